//! Events for subscribers.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Store;
use crate::error::StoreError;
use crate::idempotency::{Claim, Claimed};
use crate::purge::Whose;
use crate::webhooks::{
    AttemptRow, AttemptsPage, Candidate, DeliveryRow, DeliveryState, DueRow, EndpointQueue, Enqueue, OutcomeBatch, PurgeStep,
    Requeue, Settled, TakenRange,
};

impl Store {
    /// Writes events with their deliveries. Durable when it returns. Where the same key was written before, nothing is added and
    /// the first answer is returned.
    ///
    /// # Errors
    /// Any [`StoreError`]; after [`StoreError::Busy`] it may have been written.
    pub async fn enqueue(&self, enqueue: Enqueue, claim: Option<Claim>, now: Timestamp) -> Result<Claimed, StoreError> {
        self.shared.engine.enqueue(enqueue, claim, now).await
    }

    /// Returns attempts of an endpoint, newest first; and the number to go on before, where there may be more. A page that is filtered looks
    /// at 10,000 attempts at most.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn attempts(&self, endpoint: i64, page: AttemptsPage) -> Result<(Vec<AttemptRow>, Option<i64>), StoreError> {
        self.shared.engine.attempts(endpoint, page).await
    }

    /// Returns a delivery with its attempts.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn delivery(&self, event: i64, endpoint: i64) -> Result<Option<DeliveryRow>, StoreError> {
        self.shared.engine.delivery(event, endpoint).await
    }

    /// Returns how many requests were sent for an application, by day, from one day to another.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn sends(&self, application: String, from: String, to: String) -> Result<Vec<(String, i64)>, StoreError> {
        self.shared.engine.sends(application, from, to).await
    }

    /// Deletes events that were taken before a moment, with their deliveries and attempts, but what is still queued: a bounded number.
    /// Returns whether more may be due.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn sweep_webhooks(&self, before: Timestamp) -> Result<bool, StoreError> {
        self.shared.engine.sweep_webhooks(before).await
    }

    /// Deletes the attempts of an endpoint that is gone: a bounded number. Returns whether that was all. That there was a queue is
    /// remembered, so that its number is not given again: its deliveries stay until their events go.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn forget_endpoint(&self, endpoint: i64) -> Result<bool, StoreError> {
        self.shared.engine.forget_endpoint(endpoint).await
    }

    /// Writes a batch. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn record(&self, batch: OutcomeBatch) -> Result<(), StoreError> {
        self.shared.engine.record(batch).await
    }

    /// Returns the queues of all endpoints that ever had one: a look-up for each of them, however many deliveries are queued.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn queues(&self) -> Result<Vec<EndpointQueue>, StoreError> {
        self.shared.engine.queues().await
    }

    /// Returns the deliveries of an endpoint that are due first, but those of events that are `held`: at most `rows_max`, and whether that is
    /// all. Those at the end may be due later than now.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn due(&self, endpoint: i64, rows_max: usize, held: HashSet<i64>) -> Result<(Vec<DueRow>, bool), StoreError> {
        self.shared.engine.due(endpoint, rows_max, held).await
    }

    /// Ends what is queued for an endpoint, a bounded number of deliveries: of events up to number `upto`, or where there is none, of
    /// all that there are now. What comes later is not ended.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn settle(&self, endpoint: i64, state: DeliveryState, upto: Option<i64>) -> Result<Settled, StoreError> {
        self.shared.engine.settle(endpoint, state, upto).await
    }

    /// Returns the events behind number `after` that were taken within a range of time, with how they stand for an endpoint; the first
    /// `rows_max` of them.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn candidates(
        &self,
        endpoint: i64,
        after: i64,
        range: TakenRange,
        rows_max: u32,
    ) -> Result<Vec<Candidate>, StoreError> {
        self.shared.engine.candidates(endpoint, after, range, rows_max).await
    }

    /// Makes a delivery that is queued for later due now. Returns whether there is one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn hasten(&self, event: i64, endpoint: i64, due: Timestamp) -> Result<bool, StoreError> {
        self.shared.engine.hasten(event, endpoint, due).await
    }

    /// Queues events anew, but those that are queued already. Returns how many. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn requeue(&self, requeue: Requeue) -> Result<usize, StoreError> {
        self.shared.engine.requeue(requeue).await
    }

    /// Looks at the events behind number `after`, a bounded number of them, and takes away those of a customer; of one negotiator, what
    /// bellwire itself tells of them. `on_commit` is called as that of [`Enqueue`] is, so that the two never pass each other.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn purge_webhooks(
        &self,
        whose: Whose,
        after: i64,
        on_commit: impl FnOnce(&PurgeStep) + Send + 'static,
    ) -> Result<PurgeStep, StoreError> {
        self.shared.engine.purge_webhooks(whose, after, on_commit).await
    }
}
