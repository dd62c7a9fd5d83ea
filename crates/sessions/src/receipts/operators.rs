//! Receipts that an operator purges.

use protocol::id::{CustomerId, NegotiatorId};

use super::{Receipts, SavedReceipts, Trail};

impl Receipts {
    /// Drops the receipts of a customer, or of one negotiator. Returns how many events that concerned.
    pub(crate) fn purge(&self, customer: CustomerId, negotiator: Option<NegotiatorId>) -> usize {
        let theirs = self.trails.iter().filter(|entry| entry.value().poster.customer == customer);
        let theirs: Vec<_> = theirs.map(|entry| (*entry.key(), entry.value().clone())).collect();
        let purge = |(id, trail): &(_, std::sync::Arc<Trail>)| {
            let lines = match negotiator {
                Some(negotiator) => trail.forget(negotiator),
                None => {
                    self.trails.remove(id);
                    trail.close()
                }
            };
            self.lines.dec_by(i64::try_from(lines).unwrap_or(i64::MAX));
            lines > 0
        };
        theirs.iter().filter(|trail| purge(trail)).count()
    }
}

impl SavedReceipts {
    /// Returns what is left of them without those of a customer, or of one negotiator.
    #[must_use]
    pub fn without(mut self, customer: CustomerId, negotiator: Option<NegotiatorId>) -> Option<Self> {
        if self.poster.customer != customer {
            return Some(self);
        }
        let negotiator = negotiator?;
        self.targets.retain(|target| target.negotiator_id != negotiator);
        Some(self)
    }
}
