//! What is deleted here is overwritten with zeros in the file; a plain `DELETE` only marks its place as free.

use std::sync::atomic::Ordering;

use rusqlite::{Transaction, params};

use super::Sqlite;
use crate::error::StoreError;
use crate::purge::Whose;

impl Sqlite {
    pub(crate) async fn purge_idempotency_keys(&self, whose: Whose) -> Result<u64, StoreError> {
        let shredded = self.writer.shredded();
        let run = move |transaction: &Transaction<'_>| shredding(transaction, || keys(transaction, &whose));
        let done = move |_: &usize| shredded.store(true, Ordering::Release);
        self.write(run, done).await.map(|rows| rows as u64)
    }
}

fn keys(transaction: &Transaction<'_>, whose: &Whose) -> rusqlite::Result<usize> {
    let (customer, negotiator) = whose.columns();
    let sql = "DELETE FROM idempotency WHERE customer = ?1 AND (?2 IS NULL OR json_valid(answer) AND EXISTS (
                   SELECT 1 FROM json_each(answer, '$.targets') WHERE json_extract(value, '$.negotiatorId') = ?2))";
    transaction.execute(sql, params![customer, negotiator])
}

/// Overwrites what `delete` deletes.
pub(super) fn shredding<T>(transaction: &Transaction<'_>, delete: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    transaction.pragma_update(None, "secure_delete", true)?;
    let deleted = delete();
    transaction.pragma_update(None, "secure_delete", false)?;
    deleted
}
