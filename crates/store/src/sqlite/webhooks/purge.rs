//! Events of a customer, or of one negotiator, go: with their deliveries, queued ones too, and their attempts.

use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::count;
use crate::error::StoreError;
use crate::purge::Whose;
use crate::sqlite::Sqlite;
use crate::sqlite::purge::shredding;
use crate::webhooks::PurgeStep;

/// How many events one commit looks at.
const STEP_ROWS: u32 = 2000;

impl Sqlite {
    pub(crate) async fn purge_webhooks(
        &self,
        whose: Whose,
        after: i64,
        on_commit: impl FnOnce(&PurgeStep) + Send + 'static,
    ) -> Result<PurgeStep, StoreError> {
        let shredded = self.writer.shredded();
        let run = move |transaction: &Transaction<'_>| shredding(transaction, || purge(transaction, &whose, after));
        let done = move |step: &PurgeStep| {
            on_commit(step);
            // What another purge has set stays.
            shredded.fetch_or(step.next.is_none(), Ordering::Release);
        };
        self.write(run, done).await
    }
}

fn purge(transaction: &Transaction<'_>, whose: &Whose, after: i64) -> rusqlite::Result<PurgeStep> {
    // What others report says nothing that bellwire knows of negotiators; what it tells itself names them in these places.
    let mut select = transaction.prepare_cached(
        "SELECT number, json_valid(document) AND json_extract(document, '$.customer') = ?1 AND (?2 IS NULL
             OR json_extract(document, '$.data.negotiatorId') = ?2
             OR json_extract(document, '$.data.payload.answeredById') = ?2
             OR EXISTS (SELECT 1 FROM json_each(document, '$.data.targets.negotiatorId') WHERE value = ?2))
         FROM webhook_event WHERE number > ?3 ORDER BY number LIMIT ?4",
    )?;
    let (customer, negotiator) = whose.columns();
    let rows = select.query_map(params![customer, negotiator, after, STEP_ROWS], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<bool>>(1)?.unwrap_or(false)))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let next = rows.last().map(|(number, _)| *number).filter(|_| rows.len() >= STEP_ROWS as usize);
    let mut step = PurgeStep { next, ..PurgeStep::default() };
    let newest: Option<i64> = transaction.query_row("SELECT max(number) FROM webhook_event", (), |row| row.get(0))?;
    for (number, _) in rows.into_iter().filter(|(_, is_theirs)| *is_theirs) {
        let mut delete = transaction.prepare_cached("DELETE FROM webhook_delivery WHERE event = ?1 RETURNING endpoint, due")?;
        let deliveries = delete.query_map([number], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        for delivery in deliveries {
            let (endpoint, due) = delivery?;
            step.deliveries += 1;
            if due.is_some() {
                step.queued.entry(endpoint).or_default().insert(number);
            }
        }
        transaction.prepare_cached("DELETE FROM webhook_attempt WHERE event = ?1")?.execute([number])?;
        // The newest one's number must not be given again: its place stays, without what it said.
        let sql = if newest == Some(number) {
            "UPDATE webhook_event SET document = '{}' WHERE number = ?1"
        } else {
            "DELETE FROM webhook_event WHERE number = ?1"
        };
        transaction.prepare_cached(sql)?.execute([number])?;
        step.events += 1;
    }
    count(transaction, step.queued.iter().map(|(endpoint, events)| (*endpoint, -i64::try_from(events.len()).unwrap_or(0))))?;
    Ok(step)
}
