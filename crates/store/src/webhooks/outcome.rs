//! What became of attempts, a batch in a commit. Losing the last batch in a crash means that its deliveries are sent again.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{DeliveryState, count};
use crate::Store;
use crate::documents::{self, Kind};
use crate::error::StoreError;

/// What became of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptOutcome {
    /// The endpoint's number.
    pub endpoint: i64,
    /// The event's number.
    pub event: i64,
    /// What becomes of the delivery.
    pub disposition: Disposition,
    /// How often it failed.
    pub failures: u32,
    /// How often it was sent.
    pub sends: u32,
    /// The attempt's number, unique for the endpoint and growing, and its record.
    pub attempt: Option<(i64, String)>,
}

/// What becomes of a delivery after an attempt, or instead of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It failed and is due again at this time.
    Retry(Timestamp),
    /// The receiver took it.
    Delivered,
    /// It is given up.
    Dead,
    /// It was not sent: its subscriber may not be told any more.
    Suppressed,
}

impl Disposition {
    /// Returns when the delivery is due again; `None` where it has ended.
    #[must_use]
    pub fn due(self) -> Option<Timestamp> {
        match self {
            Self::Retry(due) => Some(due),
            Self::Delivered | Self::Dead | Self::Suppressed => None,
        }
    }

    fn state(self) -> DeliveryState {
        match self {
            Self::Retry(_) => DeliveryState::Queued,
            Self::Delivered => DeliveryState::Delivered,
            Self::Dead => DeliveryState::Dead,
            Self::Suppressed => DeliveryState::Suppressed,
        }
    }
}

/// A batch of outcomes and what changed with them.
#[derive(Debug, Clone, Default)]
pub struct OutcomeBatch {
    /// In the order in which they came.
    pub outcomes: Vec<AttemptOutcome>,
    /// How many requests were sent for an application on a day (`2020-05-13`).
    pub sends: Vec<(String, String, u32)>,
    /// How the receivers behind callback URLs are now.
    pub health: Vec<(String, String)>,
}

impl Store {
    /// Writes a batch. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn record(&self, batch: OutcomeBatch) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| record(transaction, &batch);
        self.shared.writer.write(self.shared.config.timeout, run, |()| ()).await
    }
}

fn record(transaction: &Transaction<'_>, batch: &OutcomeBatch) -> rusqlite::Result<()> {
    let mut delivery = transaction.prepare_cached(
        "UPDATE webhook_delivery SET state = ?3, due = ?4, failures = ?5, sends = ?6
         WHERE event = ?1 AND endpoint = ?2 AND due IS NOT NULL",
    )?;
    // It was settled while it was on its way: how it ended still counts, but it is not queued again.
    let mut settled = transaction.prepare_cached(
        "UPDATE webhook_delivery SET state = ?3, failures = ?4, sends = ?5 WHERE event = ?1 AND endpoint = ?2 AND due IS NULL",
    )?;
    // Of a delivery that was purged while it was on its way nothing is kept.
    let mut attempt = transaction.prepare_cached(
        "INSERT OR REPLACE INTO webhook_attempt SELECT ?1, ?2, ?3, ?4
         WHERE EXISTS (SELECT 1 FROM webhook_delivery WHERE event = ?3 AND endpoint = ?1)",
    )?;
    let mut ended = Vec::with_capacity(batch.outcomes.len());
    for AttemptOutcome { endpoint, event, disposition, failures, sends, attempt: record } in &batch.outcomes {
        let (state, due) = (disposition.state(), disposition.due().map(Timestamp::as_millisecond));
        let changed = delivery.execute(params![event, endpoint, state.code(), due, failures, sends])?;
        match (changed, due) {
            (0, None) => drop(settled.execute(params![event, endpoint, state.code(), failures, sends])?),
            (_, None) => ended.push((*endpoint, -1)),
            (_, Some(_)) => {}
        }
        if let Some((number, document)) = record {
            attempt.execute(params![endpoint, number, event, document])?;
        }
    }
    count(transaction, ended.into_iter())?;
    let mut usage = transaction.prepare_cached(
        "INSERT INTO webhook_usage VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET sends = sends + excluded.sends",
    )?;
    batch.sends.iter().try_for_each(|sends| usage.execute(params![sends.0, sends.1, sends.2]).map(drop))?;
    batch.health.iter().try_for_each(|(id, text)| documents::put(transaction, Kind::Health, id, text))
}
