//! What became of attempts, a batch in a commit. Losing the last batch in a crash means that its deliveries are sent again.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{State, count};
use crate::Store;
use crate::documents::{self, Kind};
use crate::error::StoreError;

/// What became of one attempt.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The endpoint's number.
    pub endpoint: i64,
    /// The event's number.
    pub event: i64,
    /// When it is due again; else it ends in this state.
    pub next: Result<Timestamp, State>,
    /// How often it failed.
    pub failures: u32,
    /// How often it was sent.
    pub sends: u32,
    /// The attempt's number, unique for the endpoint and growing, and its record.
    pub attempt: Option<(i64, String)>,
}

/// A batch of outcomes and what changed with them.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    /// In the order in which they came.
    pub outcomes: Vec<Outcome>,
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
    pub async fn record(&self, batch: Outcomes) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| record(transaction, &batch);
        self.shared.writer.write(self.shared.config.timeout, run, |()| ()).await
    }
}

fn record(transaction: &Transaction<'_>, batch: &Outcomes) -> rusqlite::Result<()> {
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
    for Outcome { endpoint, event, next, failures, sends, attempt: record } in &batch.outcomes {
        let (state, due) = match next {
            Ok(due) => (State::Queued, Some(due.as_millisecond())),
            Err(state) => (*state, None),
        };
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
