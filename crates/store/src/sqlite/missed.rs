//! Missed calls: added, listed, taken away, forgotten. The ids and the numbers of changes are the writer's, so they follow the commits.

mod operators; // all lists, for who runs the node

use jiff::Timestamp;
use protocol::id::{CustomerId, EventId, NegotiatorId, Product, Recipient};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};

use super::columns::{moment, recipient};
use super::{Sqlite, idempotency, webhooks};
use crate::error::StoreError;
use crate::idempotency::Claimed;
use crate::memory::Changes;
use crate::missed::{ListVersion, Listed, MissedCall, NewMissed, Page};

/// How many rows one sweep deletes at most, so that it never holds the writer up for long.
const SWEEP_ROWS_MAX: u32 = 1000;

/// What adding a missed call did.
struct Added {
    claimed: Claimed,
    changes: Changes,
    /// How many older calls went to make room.
    expired: usize,
    /// The numbers of the events for subscribers.
    numbers: Vec<i64>,
}

impl Sqlite {
    pub(crate) async fn add_missed(&self, mut new: NewMissed) -> Result<Claimed, StoreError> {
        let (events, on_commit) = new.enqueue.take().map(|enqueue| (enqueue.events, enqueue.on_commit)).unzip();
        let events = events.unwrap_or_default();
        let keep_count = self.config.keep_count;
        let metrics = self.metrics.clone();
        let versions = self.memory.versions.clone();
        let run = move |transaction: &Transaction<'_>| {
            let mut added = add(transaction, &new, keep_count)?;
            if added.claimed == Claimed::First {
                added.numbers = webhooks::add(transaction, &events)?;
            }
            Ok(added)
        };
        let done = move |Added { claimed, changes, expired, numbers }: &Added| {
            versions.apply(changes);
            metrics.missed_stored.inc_by(changes.len() as u64);
            metrics.missed_expired.inc_by(*expired as u64);
            if let Some(on_commit) = on_commit.filter(|_| *claimed == Claimed::First) {
                on_commit(numbers);
            }
        };
        self.write(run, done).await.map(|added| added.claimed)
    }

    pub(crate) async fn list_missed(&self, of: Recipient, page: Page) -> Result<Listed, StoreError> {
        let query = move |connection: &mut Connection| {
            let snapshot = connection.transaction()?;
            Ok((list(&snapshot, &of, page)?, version(&snapshot, &of)?))
        };
        let (mut calls, change) = self.read(query).await?;
        let more = calls.len() > page.size as usize;
        calls.truncate(page.size as usize);
        Ok(Listed { calls, more, version: ListVersion::new(self.id(), change) })
    }

    pub(crate) async fn delete_missed(
        &self,
        id: EventId,
        customer: CustomerId,
        of: Option<(NegotiatorId, Product)>,
    ) -> Result<(), StoreError> {
        let versions = self.memory.versions.clone();
        let run = move |transaction: &Transaction<'_>| delete(transaction, id, customer, of);
        self.write(run, move |changes: &Changes| versions.apply(changes)).await.map(drop)
    }

    pub(crate) async fn retract_missed(&self, of: Recipient, call: String) -> Result<(), StoreError> {
        let versions = self.memory.versions.clone();
        let run = move |transaction: &Transaction<'_>| retract(transaction, &of, &call);
        self.write(run, move |changes: &Changes| versions.apply(changes)).await.map(drop)
    }

    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<bool, StoreError> {
        let before = now.checked_sub(self.config.keep_age).unwrap_or(Timestamp::MIN);
        let versions = self.memory.versions.clone();
        let metrics = self.metrics.clone();
        let run = move |transaction: &Transaction<'_>| {
            let keys = idempotency::forget(transaction, now, SWEEP_ROWS_MAX)?;
            let (changes, rows) = expire(transaction, before)?;
            Ok((changes, rows, keys))
        };
        let done = move |(changes, rows, _): &(Changes, usize, usize)| {
            versions.apply(changes);
            metrics.missed_expired.inc_by(*rows as u64);
        };
        let (_, rows, keys) = self.write(run, done).await?;
        Ok(rows.max(keys) >= SWEEP_ROWS_MAX as usize)
    }
}

/// Returns the versions of all lists that are not empty.
pub(super) fn versions(connection: &Connection) -> rusqlite::Result<Changes> {
    let mut select = connection.prepare("SELECT customer, negotiator, version FROM mailbox")?;
    let rows = select.query_map((), |row| Ok((recipient(row, 0, 1)?, row.get(2)?)))?;
    rows.collect()
}

fn add(transaction: &Transaction<'_>, new: &NewMissed, keep_count: u32) -> rusqlite::Result<Added> {
    if let Some(claim) = &new.claim
        && let Some(earlier) = idempotency::claim(transaction, claim, new.created)?
    {
        return Ok(Added { claimed: earlier, changes: Vec::new(), expired: 0, numbers: Vec::new() });
    }
    let mut id = next_id(transaction, new.id)?;
    let mut insert = transaction.prepare_cached("INSERT INTO missed VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut touched = Vec::with_capacity(new.negotiators.len());
    let mut expired = 0;
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
    let changes = touched.into_iter().map(|of| (of, change)).collect();
    Ok(Added { claimed: Claimed::First, changes, expired, numbers: Vec::new() })
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

/// Notes the next change number of the lists of `touched` and returns it for each; 0 for those that are empty now.
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
        let customer = of.customer.as_str();
        let negotiator = of.negotiator.as_str();
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

/// Notes the change number of a list that is not empty.
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
        let created = moment(row.get(1)?);
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
    let negotiator = negotiator.as_ref().map(NegotiatorId::as_str);
    let product = product.as_ref().map(Product::as_str);
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
