//! Attempts, deliveries and what was sent, for those who ask; and the deletion of what is old.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::read_state;
use crate::error::StoreError;
use crate::sqlite::Sqlite;
use crate::sqlite::columns::moment;
use crate::webhooks::{AttemptRow, AttemptsPage, DeliveryRow};

/// How many attempts one request for a filtered page looks at, at most.
const SCAN_ROWS_MAX: u32 = 10_000;
/// How many rows one sweep deletes at most.
const SWEEP_ROWS_MAX: u32 = 1000;

impl Sqlite {
    pub(crate) async fn attempts(&self, endpoint: i64, page: AttemptsPage) -> Result<(Vec<AttemptRow>, Option<i64>), StoreError> {
        self.read(move |connection| attempts(connection, endpoint, &page)).await
    }

    pub(crate) async fn delivery(&self, event: i64, endpoint: i64) -> Result<Option<DeliveryRow>, StoreError> {
        self.read(move |connection| delivery(connection, event, endpoint)).await
    }

    pub(crate) async fn sends(&self, application: String, from: String, to: String) -> Result<Vec<(String, i64)>, StoreError> {
        let query = move |connection: &mut Connection| {
            let sql = "SELECT day, sends FROM webhook_usage WHERE application = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day";
            let mut select = connection.prepare_cached(sql)?;
            let rows = select.query_map(params![application, from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        self.read(query).await
    }

    pub(crate) async fn sweep_webhooks(&self, before: Timestamp) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| sweep(transaction, before);
        let gone = self.write(run, |_| ()).await?;
        Ok(gone >= SWEEP_ROWS_MAX as usize)
    }

    pub(crate) async fn forget_endpoint(&self, endpoint: i64) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM webhook_attempt WHERE endpoint = ?1 AND number IN (
                           SELECT number FROM webhook_attempt WHERE endpoint = ?1 LIMIT ?2)";
            transaction.prepare_cached(sql)?.execute(params![endpoint, SWEEP_ROWS_MAX])
        };
        let gone = self.write(run, |_| ()).await?;
        Ok(gone < SWEEP_ROWS_MAX as usize)
    }
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
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
        let due = row.get::<_, Option<i64>>(1)?.map(moment);
        let (taken, document) = (moment(row.get(3)?), row.get(4)?);
        Ok(DeliveryRow { state: read_state(row, 0)?, due, sends: row.get(2)?, taken, document, attempts: Vec::new() })
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
