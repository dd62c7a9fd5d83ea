//! Missed calls for who runs the node: whose lists there are, and taking whole lists away.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use protocol::id::{CustomerId, Recipient};
use rusqlite::{Connection, Transaction, params};

use super::changed;
use crate::error::StoreError;
use crate::memory::Changes;
use crate::missed::Mailbox;
use crate::purge::Whose;
use crate::sqlite::Sqlite;
use crate::sqlite::columns::{moment, recipient};
use crate::sqlite::purge::shredding;

/// How many rows one commit takes away at most.
const PURGE_ROWS_MAX: u32 = 1000;

impl Sqlite {
    pub(crate) async fn mailboxes(
        &self,
        customer: Option<CustomerId>,
        after: Option<Recipient>,
        size: u32,
    ) -> Result<Vec<Mailbox>, StoreError> {
        let query = move |connection: &mut Connection| mailboxes(connection, customer, after, size);
        self.read(query).await
    }

    pub(crate) async fn count_missed(&self) -> Result<i64, StoreError> {
        let query = |connection: &mut Connection| connection.query_row("SELECT count(*) FROM missed", (), |row| row.get(0));
        self.read(query).await
    }

    pub(crate) async fn purge_missed(&self, whose: Whose, before: Option<Timestamp>) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let (versions, shredded) = (self.memory.versions.clone(), self.writer.shredded());
            let run = move |transaction: &Transaction<'_>| shredding(transaction, || purge(transaction, &whose, before));
            let done = move |(changes, _): &(Changes, usize)| {
                versions.apply(changes);
                shredded.store(true, Ordering::Release);
            };
            let (_, rows) = self.write(run, done).await?;
            gone += rows as u64;
            if rows < PURGE_ROWS_MAX as usize {
                return Ok(gone);
            }
        }
    }
}

fn mailboxes(
    connection: &Connection,
    customer: Option<CustomerId>,
    after: Option<Recipient>,
    size: u32,
) -> rusqlite::Result<Vec<Mailbox>> {
    let mut select = connection.prepare_cached(
        "SELECT b.customer, b.negotiator, count(*), min(m.created), max(m.created)
         FROM (SELECT customer, negotiator FROM mailbox
               WHERE (customer, negotiator) > (?1, ?2) AND (?3 IS NULL OR customer = ?3)
               ORDER BY customer, negotiator LIMIT ?4) b
         JOIN missed m ON m.customer = b.customer AND m.negotiator = b.negotiator
         GROUP BY b.customer, b.negotiator ORDER BY b.customer, b.negotiator",
    )?;
    let (after_customer, after_negotiator) =
        after.map(|of| (of.customer.to_string(), of.negotiator.to_string())).unwrap_or_default();
    let customer = customer.map(|customer| customer.to_string());
    let rows = select.query_map(params![after_customer, after_negotiator, customer, size], |row| {
        let at = |column| row.get(column).map(moment);
        Ok(Mailbox { of: recipient(row, 0, 1)?, calls: row.get(2)?, taken: (at(3)?, at(4)?) })
    })?;
    rows.collect()
}

fn purge(transaction: &Transaction<'_>, whose: &Whose, before: Option<Timestamp>) -> rusqlite::Result<(Changes, usize)> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM missed WHERE id IN (
             SELECT id FROM missed WHERE customer = ?1 AND (?2 IS NULL OR negotiator = ?2) AND (?3 IS NULL OR created < ?3) LIMIT ?4)
         RETURNING customer, negotiator",
    )?;
    let (customer, negotiator) = whose.columns();
    let before = before.map(Timestamp::as_millisecond);
    let rows = delete.query_map(params![customer, negotiator, before, PURGE_ROWS_MAX], |row| recipient(row, 0, 1))?;
    let mut touched = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let count = touched.len();
    touched.sort_unstable();
    touched.dedup();
    Ok((changed(transaction, touched)?, count))
}
