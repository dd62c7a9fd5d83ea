//! What is read and written as a whole.

use rusqlite::{Transaction, params};

use super::Sqlite;
use crate::documents::Kind;
use crate::error::StoreError;

impl Sqlite {
    pub(crate) async fn documents(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let mut select = transaction.prepare_cached("SELECT id, text FROM document WHERE kind = ?1 ORDER BY id")?;
            let rows = select.query_map([kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        self.write(run, |_| ()).await
    }

    pub(crate) async fn put_document(&self, kind: Kind, id: String, text: String) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| put(transaction, kind, &id, &text);
        self.write(run, |()| ()).await
    }

    pub(crate) async fn remove_document(&self, kind: Kind, id: String) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let removed = transaction.execute("DELETE FROM document WHERE kind = ?1 AND id = ?2", params![kind.name(), id])?;
            Ok(removed > 0)
        };
        self.write(run, |_| ()).await
    }
}

/// Writes a document in a commit that others share.
pub(super) fn put(transaction: &Transaction<'_>, kind: Kind, id: &str, text: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO document VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET text = excluded.text";
    transaction.prepare_cached(sql)?.execute(params![kind.name(), id, text]).map(drop)
}
