//! Attempts, deliveries and what was sent, for those who ask; and letting go what is old.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{DeliveryState, millis};
use crate::Store;
use crate::error::StoreError;

/// How many attempts one request for a filtered page looks at, at most.
const SCAN_ROWS_MAX: u32 = 10_000;
/// How many rows one sweep lets go at most.
const SWEEP_ROWS_MAX: u32 = 1000;

/// An attempt as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number: Unix microseconds of its begin, made unique for the endpoint.
    pub number: i64,
    /// The event's number.
    pub event: i64,
    /// Its record, JSON.
    pub document: String,
}

/// Which attempts of an endpoint are asked for, newest first.
#[derive(Debug, Clone)]
pub struct AttemptsPage {
    /// Only those with smaller numbers.
    pub before: i64,
    /// Only those with this number or larger.
    pub since: i64,
    /// Only those whose record has this outcome.
    pub outcome: Option<String>,
    /// Only those whose record has this topic.
    pub topic: Option<String>,
    /// How many.
    pub size: u32,
}

/// A delivery with its attempts.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is due.
    pub due: Option<Timestamp>,
    /// How often it was sent.
    pub sends: u32,
    /// When the broker took the event.
    pub taken: Timestamp,
    /// What happened.
    pub document: String,
    /// The attempts in order.
    pub attempts: Vec<AttemptRow>,
}

impl Store {
    /// Attempts of an endpoint, newest first; and the number to go on before, where there may be more. A page that is filtered looks
    /// at 10,000 attempts at most.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn attempts(&self, endpoint: i64, page: AttemptsPage) -> Result<(Vec<AttemptRow>, Option<i64>), StoreError> {
        self.shared.readers.read(self.shared.config.timeout, move |connection| attempts(connection, endpoint, &page)).await
    }

    /// A delivery, and its attempts.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn delivery(&self, event: i64, endpoint: i64) -> Result<Option<DeliveryRow>, StoreError> {
        self.shared.readers.read(self.shared.config.timeout, move |connection| delivery(connection, event, endpoint)).await
    }

    /// How many requests were sent for an application, by day, from one day to another.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn sends(&self, application: String, from: String, to: String) -> Result<Vec<(String, i64)>, StoreError> {
        let query = move |connection: &mut Connection| {
            let sql = "SELECT day, sends FROM webhook_usage WHERE application = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day";
            let mut select = connection.prepare_cached(sql)?;
            let rows = select.query_map(params![application, from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        self.shared.readers.read(self.shared.config.timeout, query).await
    }

    /// Lets go events that were taken before a moment, with their deliveries and attempts, but what is still queued: a bounded number.
    /// Gives whether more may be due.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn sweep_webhooks(&self, before: Timestamp) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| sweep(transaction, before);
        let gone = self.shared.writer.write(self.shared.config.timeout, run, |_| ()).await?;
        Ok(gone >= SWEEP_ROWS_MAX as usize)
    }

    /// Lets go the attempts of an endpoint that is gone: a bounded number. Gives whether that was all. That there was a queue is
    /// remembered, so that its number is not given again: its deliveries stay until their events go.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn forget_endpoint(&self, endpoint: i64) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM webhook_attempt WHERE endpoint = ?1 AND number IN (
                           SELECT number FROM webhook_attempt WHERE endpoint = ?1 LIMIT ?2)";
            transaction.prepare_cached(sql)?.execute(params![endpoint, SWEEP_ROWS_MAX])
        };
        let gone = self.shared.writer.write(self.shared.config.timeout, run, |_| ()).await?;
        Ok(gone < SWEEP_ROWS_MAX as usize)
    }
}

fn attempt(row: &rusqlite::Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow { number: row.get(0)?, event: row.get(1)?, document: row.get(2)? })
}

fn attempts(connection: &Connection, endpoint: i64, page: &AttemptsPage) -> rusqlite::Result<(Vec<AttemptRow>, Option<i64>)> {
    let mut select = connection.prepare_cached(
        "SELECT number, event, document,
                (?4 IS NULL OR json_extract(document, '$.outcome') = ?4) AND (?5 IS NULL OR json_extract(document, '$.topicId') = ?5)
         FROM webhook_attempt WHERE endpoint = ?1 AND number < ?2 AND number >= ?3 ORDER BY number DESC LIMIT ?6",
    )?;
    let mut rows = select.query(params![endpoint, page.before, page.since, page.outcome, page.topic, SCAN_ROWS_MAX])?;
    let (mut found, mut seen) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        seen += 1;
        if row.get(3)? {
            found.push(attempt(row)?);
        }
        let last = row.get(0)?;
        if found.len() >= page.size as usize || seen >= SCAN_ROWS_MAX {
            return Ok((found, Some(last)));
        }
    }
    Ok((found, None))
}

fn delivery(connection: &Connection, event: i64, endpoint: i64) -> rusqlite::Result<Option<DeliveryRow>> {
    let mut select = connection.prepare_cached(
        "SELECT d.state, d.due, d.sends, e.taken, e.document FROM webhook_delivery d JOIN webhook_event e ON e.number = d.event
         WHERE d.event = ?1 AND d.endpoint = ?2",
    )?;
    let found = select.query_row([event, endpoint], |row| {
        let due = row.get::<_, Option<i64>>(1)?.map(millis);
        let (taken, document) = (millis(row.get(3)?), row.get(4)?);
        Ok(DeliveryRow { state: DeliveryState::read(row, 0)?, due, sends: row.get(2)?, taken, document, attempts: Vec::new() })
    });
    let Some(mut found) = found.optional()? else { return Ok(None) };
    let mut select = connection.prepare_cached(
        "SELECT number, event, document FROM webhook_attempt WHERE event = ?1 AND endpoint = ?2 ORDER BY number",
    )?;
    found.attempts = select.query_map([event, endpoint], attempt)?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(found))
}

/// The newest event is kept, so that its number is not given again.
fn sweep(transaction: &Transaction<'_>, before: Timestamp) -> rusqlite::Result<usize> {
    let mut select = transaction.prepare_cached(
        "SELECT number FROM webhook_event e WHERE taken < ?1 AND number < (SELECT max(number) FROM webhook_event)
           AND NOT EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.event = e.number AND d.due IS NOT NULL)
         ORDER BY taken LIMIT ?2",
    )?;
    let old = select.query_map(params![before.as_millisecond(), SWEEP_ROWS_MAX], |row| row.get::<_, i64>(0))?;
    let old = old.collect::<rusqlite::Result<Vec<_>>>()?;
    for number in &old {
        transaction.prepare_cached("DELETE FROM webhook_attempt WHERE event = ?1")?.execute([number])?;
        transaction.prepare_cached("DELETE FROM webhook_delivery WHERE event = ?1")?.execute([number])?;
        transaction.prepare_cached("DELETE FROM webhook_event WHERE number = ?1")?.execute([number])?;
    }
    Ok(old.len())
}
