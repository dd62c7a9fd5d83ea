//! What is due, endpoint by endpoint: a look-up in an index, whatever else is queued.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{code, count};
use crate::error::StoreError;
use crate::sqlite::Sqlite;
use crate::sqlite::columns::moment;
use crate::webhooks::{DeliveryState, DueRow, EndpointQueue, Settled};

/// How many rows one commit settles at most, so that it never holds the writer up for long.
const SETTLE_ROWS_MAX: u32 = 2000;

impl Sqlite {
    pub(crate) async fn queues(&self) -> Result<Vec<EndpointQueue>, StoreError> {
        self.read(|connection| queues(connection)).await
    }

    pub(crate) async fn due(
        &self,
        endpoint: i64,
        rows_max: usize,
        held: HashSet<i64>,
    ) -> Result<(Vec<DueRow>, bool), StoreError> {
        let run = move |connection: &mut Connection| due(connection, endpoint, rows_max, &held);
        self.read(run).await
    }

    pub(crate) async fn settle(&self, endpoint: i64, state: DeliveryState, upto: Option<i64>) -> Result<Settled, StoreError> {
        let run = move |transaction: &Transaction<'_>| settle(transaction, endpoint, state, upto);
        self.write(run, |_| ()).await
    }
}

fn queues(connection: &Connection) -> rusqlite::Result<Vec<EndpointQueue>> {
    let mut first = connection.prepare_cached("SELECT min(due) FROM webhook_delivery WHERE endpoint = ?1 AND due IS NOT NULL")?;
    let mut newest =
        connection.prepare_cached("SELECT number FROM webhook_attempt WHERE endpoint = ?1 ORDER BY number DESC LIMIT 1")?;
    let mut select = connection.prepare_cached("SELECT endpoint, queued FROM webhook_queue")?;
    let rows = select.query_map((), |row| {
        let endpoint = row.get(0)?;
        let first_due = first.query_row([endpoint], |row| row.get::<_, Option<i64>>(0))?.map(moment);
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
            Ok(DueRow { event, due: moment(due), failures, sends, taken: moment(row.get(2)?), document })
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
    let settled = update.execute(params![endpoint, code(state), SETTLE_ROWS_MAX, upto])?;
    count(transaction, std::iter::once((endpoint, -i64::try_from(settled).unwrap_or(0))))?;
    let mut select = transaction.prepare_cached("SELECT queued FROM webhook_queue WHERE endpoint = ?1")?;
    let queued = select.query_row([endpoint], |row| row.get(0)).optional()?.unwrap_or(0);
    Ok(Settled { is_done: settled < SETTLE_ROWS_MAX as usize, upto, queued })
}
