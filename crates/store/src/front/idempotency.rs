//! Idempotency keys. They are written with the call that has them: [`Store::add_missed`], [`Store::enqueue`].

use jiff::Timestamp;

use super::Store;
use crate::error::StoreError;
use crate::idempotency::KnownIdempotencyKey;
use crate::purge::Whose;

impl Store {
    /// Returns the keys that are still to be remembered at `now`.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn known_idempotency_keys(&self, now: Timestamp) -> Result<Vec<KnownIdempotencyKey>, StoreError> {
        self.shared.engine.known_idempotency_keys(now).await
    }

    /// Forgets idempotency keys and their answers: of a negotiator, those that name them. Returns how many. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn purge_idempotency_keys(&self, whose: Whose) -> Result<u64, StoreError> {
        self.shared.engine.purge_idempotency_keys(whose).await
    }
}
