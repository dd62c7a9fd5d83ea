//! Missed calls: added, listed, taken away, forgotten.
//!
//! The id of a row is made by the writer, always larger than all before it, whatever the clock does: so the order of the ids is
//! the order of the commits, and `after` means "later" even when the row it names is gone.
//!
//! A list's *version* is the number of the last change to it, from a counter on disk that never goes back; an empty list has
//! version 0. It is read in the same snapshot as the rows, so an ETag made of it never stands for two contents.

mod operators; // all lists, for who runs the node

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use protocol::id::{CustomerId, EventId, NegotiatorId, Product, Recipient};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};

pub use self::operators::Mailbox;

use crate::Store;
use crate::error::StoreError;
use crate::idempotency::{self, Claim, Claimed};
use crate::webhooks::{self, Enqueue};

/// How many rows one sweep lets go at most, so that it never holds the writer up for long.
const SWEEP_ROWS_MAX: u32 = 1000;

/// A missed call for one or more negotiators of a customer.
#[derive(Debug)]
pub struct NewMissed {
    /// Whose it is.
    pub customer: CustomerId,
    /// Who missed it; each gets a row.
    pub negotiators: Vec<NegotiatorId>,
    /// The id of the first row, unless one as large was given before.
    pub id: EventId,
    /// When the broker took it.
    pub created: Timestamp,
    /// `{type, subType, products, payload}`
    pub notification: String,
    /// The caller's `Idempotency-Key`, written in the same commit.
    pub claim: Option<Claim>,
    /// What subscribers are told of it, written in the same commit.
    pub enqueue: Option<Enqueue>,
}

/// A missed call as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedCall {
    /// Its own id, which is also its place in the list.
    pub id: EventId,
    /// When the broker took it.
    pub created: Timestamp,
    /// `{type, subType, products, payload}`
    pub notification: String,
}

/// What part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only what named this product.
    pub product: Option<Product>,
    /// Only what is later than this.
    pub after: Option<EventId>,
    /// How many rows, 1 to 100.
    pub size: u32,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The rows in the order of the commits.
    pub calls: Vec<MissedCall>,
    /// Whether more stand behind them.
    pub more: bool,
    /// What the list's ETag is made of.
    pub version: ListVersion,
}

/// Stands for one content of one list in one folder; read it before asking whether a copy is still good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListVersion {
    store_id: String,
    change: i64,
}

impl std::fmt::Display for ListVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:x}", self.store_id, self.change)
    }
}

/// The versions of all lists that are not empty, so that a poll for nothing new does not touch the disk.
#[derive(Debug)]
pub(crate) struct Versions {
    // Written by the writer's thread alone, after a commit; held for a look-up, never over I/O.
    by_recipient: RwLock<HashMap<Recipient, i64>>,
}

type Changes = Vec<(Recipient, i64)>;

impl Versions {
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare("SELECT customer, negotiator, version FROM mailbox")?;
        let rows = statement.query_map((), |row| Ok((recipient(row, 0, 1)?, row.get(2)?)))?;
        Ok(Self { by_recipient: RwLock::new(rows.collect::<rusqlite::Result<_>>()?) })
    }

    fn of(&self, recipient: &Recipient) -> i64 {
        self.by_recipient.read().unwrap_or_else(PoisonError::into_inner).get(recipient).copied().unwrap_or(0)
    }

    fn apply(&self, changes: &Changes) {
        let mut by_recipient = self.by_recipient.write().unwrap_or_else(PoisonError::into_inner);
        for (recipient, version) in changes {
            match version {
                0 => by_recipient.remove(recipient),
                version => by_recipient.insert(*recipient, *version),
            };
        }
    }
}

impl Store {
    /// Writes a missed call for each of its negotiators. Durable when it returns. Where the same key was written before,
    /// nothing is added and the first answer is given.
    ///
    /// Takes one commit, which it shares with whatever else has gathered.
    ///
    /// # Errors
    /// Any [`StoreError`]; after [`StoreError::Busy`] it may have been written.
    pub async fn add_missed(&self, mut new: NewMissed) -> Result<Claimed, StoreError> {
        let (events, on_commit) = new.enqueue.take().map(|enqueue| (enqueue.events, enqueue.on_commit)).unzip();
        let events = events.unwrap_or_default();
        let (keep_count, metrics, versions) =
            (self.shared.config.keep_count, self.shared.metrics.clone(), self.shared.versions.clone());
        let run = move |transaction: &Transaction<'_>| {
            let (claimed, changes, expired) = add(transaction, &new, keep_count)?;
            let numbers = if claimed == Claimed::First { webhooks::add(transaction, &events)? } else { Vec::new() };
            Ok((claimed, changes, expired, numbers))
        };
        let done = move |(claimed, changes, expired, numbers): &(Claimed, Changes, usize, Vec<i64>)| {
            versions.apply(changes);
            metrics.missed_stored.inc_by(changes.len() as u64);
            metrics.missed_expired.inc_by(*expired as u64);
            if let Some(on_commit) = on_commit.filter(|_| *claimed == Claimed::First) {
                on_commit(numbers);
            }
        };
        self.shared.writer.write(self.shared.config.timeout, run, done).await.map(|(claimed, ..)| claimed)
    }

    /// The version of a list, from memory.
    #[must_use]
    pub fn missed_version(&self, of: &Recipient) -> ListVersion {
        self.list_version(self.shared.versions.of(of))
    }

    /// Reads a part of a list.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn list_missed(&self, of: Recipient, page: Page) -> Result<Listed, StoreError> {
        let query = move |connection: &mut Connection| {
            let snapshot = connection.transaction()?;
            Ok((list(&snapshot, &of, page)?, version(&snapshot, &of)?))
        };
        let (mut calls, change) = self.shared.readers.read(self.shared.config.timeout, query).await?;
        let more = calls.len() > page.size as usize;
        calls.truncate(page.size as usize);
        Ok(Listed { calls, more, version: self.list_version(change) })
    }

    /// Takes a missed call away from the lists of `customer`, only from that of `negotiator` and only if it named `product`
    /// where these are given. What is not there is no error.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn delete_missed(
        &self,
        id: EventId,
        customer: CustomerId,
        of: Option<(NegotiatorId, Product)>,
    ) -> Result<(), StoreError> {
        let versions = self.shared.versions.clone();
        let run = move |transaction: &Transaction<'_>| delete(transaction, id, customer, of);
        self.shared.writer.write(self.shared.config.timeout, run, move |changes: &Changes| versions.apply(changes)).await?;
        Ok(())
    }

    /// Takes the newest missed call with this `payload.id` away from a negotiator's list: it was not missed after all. Durable when
    /// it returns; what is not there is no error.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn retract_missed(&self, of: Recipient, call: String) -> Result<(), StoreError> {
        let versions = self.shared.versions.clone();
        let run = move |transaction: &Transaction<'_>| retract(transaction, &of, &call);
        self.shared.writer.write(self.shared.config.timeout, run, move |changes: &Changes| versions.apply(changes)).await?;
        Ok(())
    }

    /// Lets go what is older than the configured age, and old keys: a bounded number of rows. Gives whether more may be due.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn sweep(&self, now: Timestamp) -> Result<bool, StoreError> {
        let before = now.checked_sub(self.shared.config.keep_age).unwrap_or(Timestamp::MIN);
        let (versions, metrics) = (self.shared.versions.clone(), self.shared.metrics.clone());
        let run = move |transaction: &Transaction<'_>| {
            let keys = idempotency::forget(transaction, now, SWEEP_ROWS_MAX)?;
            let (changes, rows) = expire(transaction, before)?;
            Ok((changes, rows, keys))
        };
        let done = move |(changes, rows, _): &(Changes, usize, usize)| {
            versions.apply(changes);
            metrics.missed_expired.inc_by(*rows as u64);
        };
        let (_, rows, keys) = self.shared.writer.write(self.shared.config.timeout, run, done).await?;
        Ok(rows.max(keys) >= SWEEP_ROWS_MAX as usize)
    }

    fn list_version(&self, change: i64) -> ListVersion {
        ListVersion { store_id: self.shared.store_id.clone(), change }
    }
}

fn add(transaction: &Transaction<'_>, new: &NewMissed, keep_count: u32) -> rusqlite::Result<(Claimed, Changes, usize)> {
    if let Some(claim) = &new.claim
        && let Some(earlier) = idempotency::claim(transaction, claim, new.created)?
    {
        return Ok((earlier, Vec::new(), 0));
    }
    let mut id = next_id(transaction, new.id)?;
    let mut insert = transaction.prepare_cached("INSERT INTO missed VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let (mut touched, mut expired) = (Vec::with_capacity(new.negotiators.len()), 0);
    let mut newest = id;
    for &negotiator in &new.negotiators {
        let of = Recipient { customer: new.customer, negotiator };
        let created = new.created.as_millisecond();
        insert.execute(params![of.customer.as_str(), of.negotiator.as_str(), id.as_bytes(), created, new.notification])?;
        expired += keep_newest(transaction, &of, keep_count)?;
        touched.push(of);
        newest = id;
        id = id.next();
    }
    // Both in one statement, and no look whether a list is empty that has just grown: this is what a busy node does most.
    let mut advance = transaction.prepare_cached("UPDATE store SET newest = ?1, change = change + 1 RETURNING change")?;
    let change = advance.query_row([newest.as_bytes()], |row| row.get(0))?;
    touched.iter().try_for_each(|of| note(transaction, of, change))?;
    Ok((Claimed::First, touched.into_iter().map(|of| (of, change)).collect(), expired))
}

/// The smallest id from `wish` on that is larger than all before it. The newest one given is kept, since its row may go.
fn next_id(transaction: &Transaction<'_>, wish: EventId) -> rusqlite::Result<EventId> {
    let newest = transaction.prepare_cached("SELECT newest FROM store")?.query_row((), |row| row.get(0))?;
    let newest = EventId::from_bytes(newest);
    Ok(if newest < wish { wish } else { newest.next() })
}

fn keep_newest(transaction: &Transaction<'_>, of: &Recipient, keep_count: u32) -> rusqlite::Result<usize> {
    if keep_count == 0 {
        return Ok(0);
    }
    let mut delete = transaction.prepare_cached(
        "DELETE FROM missed WHERE customer = ?1 AND negotiator = ?2 AND id <= (
             SELECT id FROM missed WHERE customer = ?1 AND negotiator = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
    )?;
    delete.execute(params![of.customer.as_str(), of.negotiator.as_str(), keep_count])
}

/// Gives the lists of `touched` the next change number; those that are empty now get 0.
fn changed(transaction: &Transaction<'_>, touched: Vec<Recipient>) -> rusqlite::Result<Changes> {
    if touched.is_empty() {
        return Ok(Vec::new());
    }
    let change: i64 =
        transaction.prepare_cached("UPDATE store SET change = change + 1 RETURNING change")?.query_row((), |row| row.get(0))?;
    let mut is_empty =
        transaction.prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM missed WHERE customer = ?1 AND negotiator = ?2)")?;
    let mut forget = transaction.prepare_cached("DELETE FROM mailbox WHERE customer = ?1 AND negotiator = ?2")?;
    let mut changes = Vec::with_capacity(touched.len());
    for of in touched {
        let (customer, negotiator) = (of.customer.as_str(), of.negotiator.as_str());
        if is_empty.query_row(params![customer, negotiator], |row| row.get(0))? {
            forget.execute(params![customer, negotiator])?;
            changes.push((of, 0));
        } else {
            note(transaction, &of, change)?;
            changes.push((of, change));
        }
    }
    Ok(changes)
}

/// Gives a list that is not empty this change number.
fn note(transaction: &Transaction<'_>, of: &Recipient, change: i64) -> rusqlite::Result<()> {
    let mut note = transaction
        .prepare_cached("INSERT INTO mailbox VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET version = excluded.version")?;
    note.execute(params![of.customer.as_str(), of.negotiator.as_str(), change]).map(drop)
}

fn version(connection: &Connection, of: &Recipient) -> rusqlite::Result<i64> {
    let mut select = connection.prepare_cached("SELECT version FROM mailbox WHERE customer = ?1 AND negotiator = ?2")?;
    let version = select.query_row(params![of.customer.as_str(), of.negotiator.as_str()], |row| row.get(0)).optional()?;
    Ok(version.unwrap_or(0))
}

/// Reads one row more than the page holds, which tells whether there is a next one.
fn list(connection: &Connection, of: &Recipient, page: Page) -> rusqlite::Result<Vec<MissedCall>> {
    let mut select = connection.prepare_cached(
        "SELECT id, created, notification FROM missed
         WHERE customer = ?1 AND negotiator = ?2 AND id > ?3
           AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(notification, '$.products') WHERE value = ?4))
         ORDER BY id LIMIT ?5",
    )?;
    let after = page.after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let parameters = [
        Value::from(of.customer.as_str().to_owned()),
        Value::from(of.negotiator.as_str().to_owned()),
        Value::from(after),
        Value::from(page.product.map(|product| product.as_str().to_owned())),
        Value::from(i64::from(page.size) + 1),
    ];
    let rows = select.query_map(params_from_iter(parameters), |row| {
        let created = Timestamp::from_millisecond(row.get(1)?).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(MissedCall { id: EventId::from_bytes(row.get(0)?), created, notification: row.get(2)? })
    })?;
    rows.collect()
}

fn delete(
    transaction: &Transaction<'_>,
    id: EventId,
    customer: CustomerId,
    of: Option<(NegotiatorId, Product)>,
) -> rusqlite::Result<Changes> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM missed WHERE id = ?1 AND customer = ?2 AND (?3 IS NULL OR negotiator = ?3)
           AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(notification, '$.products') WHERE value = ?4))
         RETURNING customer, negotiator",
    )?;
    let (negotiator, product) = of.unzip();
    let (negotiator, product) = (negotiator.as_ref().map(NegotiatorId::as_str), product.as_ref().map(Product::as_str));
    let rows = delete.query_map(params![id.as_bytes(), customer.as_str(), negotiator, product], |row| recipient(row, 0, 1))?;
    let touched = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    changed(transaction, touched)
}

fn retract(transaction: &Transaction<'_>, of: &Recipient, call: &str) -> rusqlite::Result<Changes> {
    let mut newest = transaction.prepare_cached(
        "SELECT id FROM missed WHERE customer = ?1 AND negotiator = ?2 AND json_extract(notification, '$.payload.id') = ?3
         ORDER BY id DESC LIMIT 1",
    )?;
    let params = params![of.customer.as_str(), of.negotiator.as_str(), call];
    match newest.query_row(params, |row| row.get(0)).optional()?.map(EventId::from_bytes) {
        Some(id) => delete(transaction, id, of.customer, None),
        None => Ok(Changes::default()),
    }
}

fn expire(transaction: &Transaction<'_>, before: Timestamp) -> rusqlite::Result<(Changes, usize)> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM missed WHERE id IN (SELECT id FROM missed WHERE created < ?1 ORDER BY created LIMIT ?2)
         RETURNING customer, negotiator",
    )?;
    let rows = delete.query_map(params![before.as_millisecond(), SWEEP_ROWS_MAX], |row| recipient(row, 0, 1))?;
    let mut touched = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let count = touched.len();
    touched.sort_unstable();
    touched.dedup();
    Ok((changed(transaction, touched)?, count))
}

/// Reads a recipient from two columns.
pub(crate) fn recipient(row: &rusqlite::Row<'_>, customer: usize, negotiator: usize) -> rusqlite::Result<Recipient> {
    let invalid =
        |column| move |error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error));
    Ok(Recipient {
        customer: CustomerId::parse(&row.get::<_, String>(customer)?).map_err(invalid(customer))?,
        negotiator: NegotiatorId::parse(&row.get::<_, String>(negotiator)?).map_err(invalid(negotiator))?,
    })
}
