//! Missed calls.

use jiff::Timestamp;
use protocol::id::{CustomerId, EventId, NegotiatorId, Product, Recipient};

use super::Store;
use crate::error::StoreError;
use crate::idempotency::Claimed;
use crate::missed::{ListVersion, Listed, Mailbox, NewMissed, Page};
use crate::purge::Whose;

impl Store {
    /// Writes a missed call for each of its negotiators. Durable when it returns. Where the same key was written before,
    /// nothing is added and the first answer is returned.
    ///
    /// Takes one commit, which it shares with whatever else has gathered.
    ///
    /// # Errors
    /// Any [`StoreError`]; after [`StoreError::Busy`] it may have been written.
    pub async fn add_missed(&self, new: NewMissed) -> Result<Claimed, StoreError> {
        self.shared.engine.add_missed(new).await
    }

    /// Returns the version of a list, from memory.
    #[must_use]
    pub fn missed_version(&self, of: &Recipient) -> ListVersion {
        ListVersion::new(self.id(), self.shared.memory.versions.of(of))
    }

    /// Returns a part of a list.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn list_missed(&self, of: Recipient, page: Page) -> Result<Listed, StoreError> {
        self.shared.engine.list_missed(of, page).await
    }

    /// Takes a missed call away from the lists of `customer`, only from that of `negotiator` and only if it named `product`
    /// where these are given. What is not there is no error.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn delete_missed(
        &self,
        id: EventId,
        customer: CustomerId,
        of: Option<(NegotiatorId, Product)>,
    ) -> Result<(), StoreError> {
        self.shared.engine.delete_missed(id, customer, of).await
    }

    /// Takes the newest missed call with this `payload.id` away from a negotiator's list: it was not missed after all. Durable when
    /// it returns; what is not there is no error.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn retract_missed(&self, of: Recipient, call: String) -> Result<(), StoreError> {
        self.shared.engine.retract_missed(of, call).await
    }

    /// Deletes what is older than the configured age, and old keys: a bounded number of rows. Returns whether more may be due.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn sweep(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.shared.engine.sweep(now).await
    }

    /// Returns the lists behind `after`, of one customer or of all; at most `size`.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn mailboxes(
        &self,
        customer: Option<CustomerId>,
        after: Option<Recipient>,
        size: u32,
    ) -> Result<Vec<Mailbox>, StoreError> {
        self.shared.engine.mailboxes(customer, after, size).await
    }

    /// Returns how many missed calls wait in all lists.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn count_missed(&self) -> Result<i64, StoreError> {
        self.shared.engine.count_missed().await
    }

    /// Takes missed calls away, all or those that were taken before a moment. Returns how many. Durable when it returns; what is deleted
    /// is overwritten.
    ///
    /// # Errors
    /// Any [`StoreError`]; what was taken away until then is gone.
    pub async fn purge_missed(&self, whose: Whose, before: Option<Timestamp>) -> Result<u64, StoreError> {
        self.shared.engine.purge_missed(whose, before).await
    }
}
