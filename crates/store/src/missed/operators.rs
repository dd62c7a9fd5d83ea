//! Missed calls for who runs the node: whose lists there are, and taking whole lists away.

use jiff::Timestamp;
use protocol::id::{CustomerId, Recipient};
use rusqlite::{Connection, Transaction, params};

use super::{Changes, changed, recipient};
use crate::Store;
use crate::error::StoreError;
use crate::purge::{Whose, shredding};

/// How many rows one commit takes away at most.
const PURGE_ROWS_MAX: u32 = 1000;

/// A list that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Whose it is.
    pub of: Recipient,
    /// How many calls wait.
    pub calls: i64,
    /// When the broker took the oldest, and the newest.
    pub taken: (Timestamp, Timestamp),
}

impl Store {
    /// The lists behind `after`, of one customer or of all; at most `size`.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn mailboxes(
        &self,
        customer: Option<CustomerId>,
        after: Option<Recipient>,
        size: u32,
    ) -> Result<Vec<Mailbox>, StoreError> {
        let query = move |connection: &mut Connection| mailboxes(connection, customer, after, size);
        self.shared.readers.read(self.shared.config.timeout, query).await
    }

    /// How many missed calls wait in all lists.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn count_missed(&self) -> Result<i64, StoreError> {
        let query = |connection: &mut Connection| connection.query_row("SELECT count(*) FROM missed", (), |row| row.get(0));
        self.shared.readers.read(self.shared.config.timeout, query).await
    }

    /// Takes missed calls away, all or those that were taken before a moment. Gives how many. Durable when it returns; what is deleted
    /// is overwritten.
    ///
    /// # Errors
    /// Any [`StoreError`]; what was taken away until then is gone.
    pub async fn purge_missed(&self, whose: Whose, before: Option<Timestamp>) -> Result<u64, StoreError> {
        let mut gone = 0;
        loop {
            let (versions, shredded) = (self.shared.versions.clone(), self.shared.writer.shredded());
            let run = move |transaction: &Transaction<'_>| shredding(transaction, || purge(transaction, &whose, before));
            let done = move |(changes, _): &(Changes, usize)| {
                versions.apply(changes);
                shredded.store(true, std::sync::atomic::Ordering::Release);
            };
            let (_, rows) = self.shared.writer.write(self.shared.config.timeout, run, done).await?;
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
        let at = |column| row.get(column).map(|at| Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH));
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
