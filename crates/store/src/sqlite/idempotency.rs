//! Idempotency keys, in the commit of their call.

use jiff::Timestamp;
use protocol::id::{ClientId, CustomerId, IdempotencyKey};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::Sqlite;
use super::columns::moment;
use crate::error::StoreError;
use crate::idempotency::{Claim, Claimed, KnownIdempotencyKey, oldest};

impl Sqlite {
    pub(crate) async fn known_idempotency_keys(&self, now: Timestamp) -> Result<Vec<KnownIdempotencyKey>, StoreError> {
        self.read(move |connection| known(connection, oldest(now))).await
    }
}

/// The column of the customer: empty where there is none, which no customer's id is.
fn of(customer: Option<&CustomerId>) -> &str {
    customer.map_or("", CustomerId::as_str)
}

/// Writes the key, or returns what became of an earlier one.
pub(super) fn claim(transaction: &Transaction<'_>, claim: &Claim, now: Timestamp) -> rusqlite::Result<Option<Claimed>> {
    let (client_id, customer, key) = (claim.client_id.as_str(), of(claim.customer.as_ref()), claim.key.as_str());
    let mut select = transaction.prepare_cached(
        "SELECT body, answer FROM idempotency WHERE client_id = ?1 AND customer = ?2 AND key = ?3 AND created > ?4",
    )?;
    let earlier: Option<([u8; 32], String)> =
        select.query_row(params![client_id, customer, key, oldest(now)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match earlier {
        Some((body, answer)) if body == claim.body => return Ok(Some(Claimed::Repeated(answer))),
        Some(_) => return Ok(Some(Claimed::Conflict)),
        None => {}
    }
    let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    insert.execute(params![client_id, customer, key, claim.body, claim.answer, now.as_millisecond()])?;
    Ok(None)
}

/// Deletes what is too old; at most `rows_max`.
pub(super) fn forget(transaction: &Transaction<'_>, now: Timestamp, rows_max: u32) -> rusqlite::Result<usize> {
    let mut delete = transaction.prepare_cached(
        "DELETE FROM idempotency WHERE (client_id, customer, key) IN (
             SELECT client_id, customer, key FROM idempotency WHERE created <= ?1 ORDER BY created LIMIT ?2)",
    )?;
    delete.execute(params![oldest(now), rows_max])
}

fn known(connection: &Connection, oldest: i64) -> rusqlite::Result<Vec<KnownIdempotencyKey>> {
    let mut select = connection
        .prepare("SELECT client_id, customer, key, body, answer, created FROM idempotency WHERE created > ?1 ORDER BY created")?;
    let rows = select.query_map([oldest], |row| {
        let (client_id, customer, key): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (body, answer, created) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let customer = Some(customer).filter(|text| !text.is_empty()).map(|text| CustomerId::parse(&text)).transpose();
        let ids = (ClientId::parse(&client_id), customer, IdempotencyKey::parse(&key));
        let (Ok(client_id), Ok(customer), Ok(key)) = ids else { return Ok(None) };
        let created = moment(created);
        Ok(Some(KnownIdempotencyKey { claim: Claim { client_id, customer, key, body, answer }, created }))
    })?;
    rows.filter_map(Result::transpose).collect()
}
