//! Who is connected and what is known of them, as the node's operator sees it.

use protocol::id::{CustomerId, DeviceId, EventId, NegotiatorId, Product, Recipient};

use super::Registry;

/// A session that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSession {
    /// Its id, which says when it was opened.
    pub id: EventId,
    /// Whose it is.
    pub of: Recipient,
    /// The product.
    pub product: Product,
    /// The device, where the client named one.
    pub device: Option<DeviceId>,
}

/// What was purged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgedStates {
    /// Events that clients could come back for.
    pub events: usize,
    /// Live calls.
    pub calls: usize,
    /// Events whose receipts are gone.
    pub receipts: usize,
}

impl Registry {
    /// Returns at most `size` sessions in the order in which they were opened, from the one after `after`: of one customer, of
    /// one negotiator, or all. Looks at every recipient: not for the hot path.
    #[must_use]
    pub fn sessions(
        &self,
        customer: Option<CustomerId>,
        negotiator: Option<NegotiatorId>,
        after: Option<EventId>,
        size: usize,
    ) -> Vec<OpenSession> {
        let mut all = Vec::new();
        for of in self.known(customer, negotiator) {
            let members = self.find(&of).map(|state| state.members()).unwrap_or_default();
            all.extend(members.into_iter().map(|(id, product, device)| OpenSession { id, of, product, device }));
        }
        all.retain(|session| after.is_none_or(|after| session.id > after));
        all.sort_unstable_by_key(|session| session.id);
        all.truncate(size);
        all
    }

    /// Forgets events, calls and receipts of a customer or of one negotiator. Sessions stay open.
    #[must_use]
    pub fn forget_events(&self, customer: CustomerId, negotiator: Option<NegotiatorId>) -> PurgedStates {
        let mut purged = PurgedStates::default();
        for of in self.known(Some(customer), negotiator) {
            let (events, calls) = self.find(&of).map(|state| state.purge(&self.shared.context)).unwrap_or_default();
            purged.events += events;
            purged.calls += calls;
        }
        purged.receipts = self.receipts().purge(customer, negotiator);
        purged
    }

    /// Returns the recipients of whom something is known.
    fn known(&self, customer: Option<CustomerId>, negotiator: Option<NegotiatorId>) -> Vec<Recipient> {
        let is_asked = |of: &Recipient| {
            customer.is_none_or(|customer| of.customer == customer)
                && negotiator.is_none_or(|negotiator| of.negotiator == negotiator)
        };
        self.shared.recipients.iter().map(|known| *known.0.recipient()).filter(is_asked).collect()
    }
}
