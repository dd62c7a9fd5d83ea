//! What is read and written as a whole: directories, connectors, subscriptions. Opaque here, JSON to those who read it.

use rusqlite::{Transaction, params};

use crate::Store;
use crate::error::StoreError;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The people of a customer.
    Directory,
    /// Whose callbacks are taken, and for whom.
    Connector,
    /// Which events go to which URL.
    Subscription,
    /// With what an application's deliveries are signed.
    SigningKey,
    /// How the receivers behind a callback URL are.
    Health,
    /// Deliveries that are queued anew, step by step.
    Replay,
    /// Which customer an id of a vendor's is.
    Account,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Connector => "connector",
            Self::Subscription => "subscription",
            Self::SigningKey => "signing key",
            Self::Health => "health",
            Self::Replay => "replay",
            Self::Account => "account",
        }
    }
}

impl Store {
    /// All documents of a kind, with their ids.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn documents(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let mut select = transaction.prepare_cached("SELECT id, text FROM document WHERE kind = ?1 ORDER BY id")?;
            let rows = select.query_map([kind.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        self.shared.writer.write(self.shared.config.timeout, run, |_| ()).await
    }

    /// Writes a document, in place of an earlier one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put_document(&self, kind: Kind, id: String, text: String) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| put(transaction, kind, &id, &text);
        self.shared.writer.write(self.shared.config.timeout, run, |()| ()).await
    }

    /// Takes a document away; gives whether there was one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove_document(&self, kind: Kind, id: String) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let removed = transaction.execute("DELETE FROM document WHERE kind = ?1 AND id = ?2", params![kind.name(), id])?;
            Ok(removed > 0)
        };
        self.shared.writer.write(self.shared.config.timeout, run, |_| ()).await
    }
}

/// Writes a document in a commit that others share.
pub(crate) fn put(transaction: &Transaction<'_>, kind: Kind, id: &str, text: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO document VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET text = excluded.text";
    transaction.prepare_cached(sql)?.execute(params![kind.name(), id, text]).map(drop)
}
