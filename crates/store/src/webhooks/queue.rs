//! What is due, endpoint by endpoint: a look-up in an index, whatever else is queued.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{DeliveryState, count, millis};
use crate::Store;
use crate::error::StoreError;

/// How many rows one commit settles at most, so that it never holds the writer up for long.
const SETTLE_ROWS_MAX: u32 = 2000;

/// The queue of an endpoint as a node finds it when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointQueue {
    /// The endpoint's number.
    pub endpoint: i64,
    /// How many deliveries are queued.
    pub queued: i64,
    /// When the first of them is due.
    pub first_due: Option<Timestamp>,
    /// The number of the newest attempt.
    pub newest_attempt: i64,
}

/// How far the end of a queue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Whether that was all.
    pub is_done: bool,
    /// The number of the last event that is concerned.
    pub upto: i64,
    /// How many deliveries are queued still, those of later events.
    pub queued: i64,
}

/// A delivery that is queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// The event's number.
    pub event: i64,
    /// When it is due.
    pub due: Timestamp,
    /// How often it failed.
    pub failures: u32,
    /// How often it was sent.
    pub sends: u32,
    /// When the broker took it.
    pub taken: Timestamp,
    /// What happened.
    pub document: String,
}

impl Store {
    /// The queues of all endpoints that ever had one: a look-up for each of them, however many deliveries are queued.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn queues(&self) -> Result<Vec<EndpointQueue>, StoreError> {
        self.shared.readers.read(self.shared.config.timeout, |connection| queues(connection)).await
    }

    /// The deliveries of an endpoint that are due first, but those of events that are `held`: at most `rows_max`, and whether that is
    /// all. Those at the end may be due later than now.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn due(&self, endpoint: i64, rows_max: usize, held: HashSet<i64>) -> Result<(Vec<DueRow>, bool), StoreError> {
        let run = move |connection: &mut Connection| due(connection, endpoint, rows_max, &held);
        self.shared.readers.read(self.shared.config.timeout, run).await
    }

    /// Ends what is queued for an endpoint, a bounded number of deliveries: of events up to number `upto`, or where there is none, of
    /// all that there are now. What comes later is not ended.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn settle(&self, endpoint: i64, state: DeliveryState, upto: Option<i64>) -> Result<Settled, StoreError> {
        let run = move |transaction: &Transaction<'_>| settle(transaction, endpoint, state, upto);
        self.shared.writer.write(self.shared.config.timeout, run, |_| ()).await
    }
}

fn queues(connection: &Connection) -> rusqlite::Result<Vec<EndpointQueue>> {
    let mut first = connection.prepare_cached("SELECT min(due) FROM webhook_delivery WHERE endpoint = ?1 AND due IS NOT NULL")?;
    let mut newest =
        connection.prepare_cached("SELECT number FROM webhook_attempt WHERE endpoint = ?1 ORDER BY number DESC LIMIT 1")?;
    let mut select = connection.prepare_cached("SELECT endpoint, queued FROM webhook_queue")?;
    let rows = select.query_map((), |row| {
        let endpoint = row.get(0)?;
        let first_due = first.query_row([endpoint], |row| row.get::<_, Option<i64>>(0))?.map(millis);
        let newest_attempt = newest.query_row([endpoint], |row| row.get(0)).optional()?.unwrap_or(0);
        Ok(EndpointQueue { endpoint, queued: row.get(1)?, first_due, newest_attempt })
    })?;
    rows.collect()
}

/// What is held is passed over in the index alone: there can be many times more of it than rows that are asked for.
fn due(connection: &Connection, endpoint: i64, rows_max: usize, held: &HashSet<i64>) -> rusqlite::Result<(Vec<DueRow>, bool)> {
    let mut index = connection
        .prepare_cached("SELECT event, due FROM webhook_delivery WHERE endpoint = ?1 AND due IS NOT NULL ORDER BY due, event")?;
    let mut select = connection.prepare_cached(
        "SELECT d.failures, d.sends, e.taken, e.document FROM webhook_delivery d JOIN webhook_event e ON e.number = d.event
         WHERE d.event = ?1 AND d.endpoint = ?2",
    )?;
    let mut rows = Vec::new();
    let mut queued = index.query([endpoint])?;
    while let Some(row) = queued.next()? {
        let (event, due): (i64, i64) = (row.get(0)?, row.get(1)?);
        if held.contains(&event) {
            continue;
        }
        if rows.len() >= rows_max {
            return Ok((rows, false));
        }
        let row = select.query_row([event, endpoint], |row| {
            let (failures, sends, document) = (row.get(0)?, row.get(1)?, row.get(3)?);
            Ok(DueRow { event, due: millis(due), failures, sends, taken: millis(row.get(2)?), document })
        });
        rows.extend(row.optional()?);
    }
    Ok((rows, true))
}

fn settle(transaction: &Transaction<'_>, endpoint: i64, state: DeliveryState, upto: Option<i64>) -> rusqlite::Result<Settled> {
    let newest = "SELECT coalesce(max(number), 0) FROM webhook_event";
    let upto = upto.map_or_else(|| transaction.prepare_cached(newest)?.query_row((), |row| row.get(0)), Ok)?;
    let mut update = transaction.prepare_cached(
        "UPDATE webhook_delivery SET state = ?2, due = NULL WHERE endpoint = ?1 AND event IN (
             SELECT event FROM webhook_delivery WHERE endpoint = ?1 AND due IS NOT NULL AND event <= ?4 LIMIT ?3)",
    )?;
    let settled = update.execute(params![endpoint, state.code(), SETTLE_ROWS_MAX, upto])?;
    count(transaction, std::iter::once((endpoint, -i64::try_from(settled).unwrap_or(0))))?;
    let mut select = transaction.prepare_cached("SELECT queued FROM webhook_queue WHERE endpoint = ?1")?;
    let queued = select.query_row([endpoint], |row| row.get(0)).optional()?.unwrap_or(0);
    Ok(Settled { is_done: settled < SETTLE_ROWS_MAX as usize, upto, queued })
}
