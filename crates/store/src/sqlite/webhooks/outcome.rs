//! What became of attempts, a batch in a commit.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use super::{code, count};
use crate::documents::Kind;
use crate::error::StoreError;
use crate::sqlite::{Sqlite, documents};
use crate::webhooks::{AttemptOutcome, OutcomeBatch};

impl Sqlite {
    pub(crate) async fn record(&self, batch: OutcomeBatch) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| record(transaction, &batch);
        self.write(run, |()| ()).await
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
        let changed = delivery.execute(params![event, endpoint, code(state), due, failures, sends])?;
        match (changed, due) {
            (0, None) => drop(settled.execute(params![event, endpoint, code(state), failures, sends])?),
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
