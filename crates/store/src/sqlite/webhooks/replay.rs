//! Deliveries queued anew.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::{code, count, read_state};
use crate::documents::Kind;
use crate::error::StoreError;
use crate::sqlite::columns::moment;
use crate::sqlite::{Sqlite, documents};
use crate::webhooks::{Candidate, DeliveryState, Requeue, TakenRange};

impl Sqlite {
    pub(crate) async fn candidates(
        &self,
        endpoint: i64,
        after: i64,
        range: TakenRange,
        rows_max: u32,
    ) -> Result<Vec<Candidate>, StoreError> {
        let query = move |connection: &mut Connection| candidates(connection, endpoint, after, range, rows_max);
        self.read(query).await
    }

    pub(crate) async fn hasten(&self, event: i64, endpoint: i64, due: Timestamp) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "UPDATE webhook_delivery SET due = ?3 WHERE event = ?1 AND endpoint = ?2 AND due > ?3";
            Ok(transaction.prepare_cached(sql)?.execute(params![event, endpoint, due.as_millisecond()])? > 0)
        };
        self.write(run, |_| ()).await
    }

    pub(crate) async fn requeue(&self, requeue: Requeue) -> Result<usize, StoreError> {
        let run = move |transaction: &Transaction<'_>| again(transaction, &requeue);
        self.write(run, |_| ()).await
    }
}

fn candidates(
    connection: &Connection,
    endpoint: i64,
    after: i64,
    range: TakenRange,
    rows_max: u32,
) -> rusqlite::Result<Vec<Candidate>> {
    let since = range.since.as_millisecond();
    let until = range.until.as_millisecond();
    let mut first = connection.prepare_cached("SELECT min(number) FROM webhook_event WHERE taken >= ?1 AND number > ?2")?;
    let first: Option<i64> = match after {
        0 => first.query_row(params![since, after], |row| row.get(0))?,
        after => Some(after + 1),
    };
    let Some(first) = first else { return Ok(Vec::new()) };
    let mut select = connection.prepare_cached(
        "SELECT e.number, e.taken, d.state, e.document
         FROM webhook_event e LEFT JOIN webhook_delivery d ON d.event = e.number AND d.endpoint = ?1
         WHERE e.number >= ?2 AND e.taken >= ?3 AND e.taken < ?4 ORDER BY e.number LIMIT ?5",
    )?;
    let rows = select.query_map(params![endpoint, first, since, until, rows_max], |row| {
        let state = row.get::<_, Option<i64>>(2)?.map(|_| read_state(row, 2)).transpose()?;
        Ok(Candidate { event: row.get(0)?, taken: moment(row.get(1)?), state, document: row.get(3)? })
    })?;
    rows.collect()
}

fn again(transaction: &Transaction<'_>, requeue: &Requeue) -> rusqlite::Result<usize> {
    let Requeue { endpoint, events, due, replay } = requeue;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO webhook_delivery SELECT number, ?2, ?3, ?4, 0, 0 FROM webhook_event WHERE number = ?1
         ON CONFLICT DO UPDATE SET state = excluded.state, due = excluded.due, failures = 0 WHERE webhook_delivery.due IS NULL",
    )?;
    let mut queued = 0;
    for event in events {
        queued += insert.execute(params![event, endpoint, code(DeliveryState::Queued), due.as_millisecond()])?;
    }
    count(transaction, std::iter::once((*endpoint, i64::try_from(queued).unwrap_or(0))))?;
    if let Some((id, text)) = replay {
        documents::put(transaction, Kind::Replay, id, text)?;
    }
    Ok(queued)
}
