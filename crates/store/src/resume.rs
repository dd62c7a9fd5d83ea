//! What a run of the node hands to the next one: the ring and the live calls of each recipient, opaque here.

use protocol::id::Recipient;
use rusqlite::{Transaction, params};

use crate::Store;
use crate::error::StoreError;
use crate::missed::recipient;

impl Store {
    /// Keeps these states for the next run, in place of any others. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn save_resume_states(&self, states: Vec<(Recipient, String)>) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            transaction.execute("DELETE FROM resume", ())?;
            let mut insert = transaction.prepare_cached("INSERT INTO resume VALUES (?1, ?2, ?3)")?;
            for (of, state) in &states {
                insert.execute(params![of.customer.as_str(), of.negotiator.as_str(), state])?;
            }
            Ok(())
        };
        self.shared.writer.write(self.shared.config.timeout, run, |()| ()).await
    }

    /// Takes what the run before kept: it is given once, for what it says is old after that.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn take_resume_states(&self) -> Result<Vec<(Recipient, String)>, StoreError> {
        let run = |transaction: &Transaction<'_>| {
            let mut delete = transaction.prepare("DELETE FROM resume RETURNING customer, negotiator, state")?;
            let rows = delete.query_map((), |row| Ok(recipient(row, 0, 1).ok().zip(row.get(2).ok())))?;
            // A row that cannot be read concerns one recipient, whose clients begin anew.
            rows.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()
        };
        self.shared.writer.write(self.shared.config.timeout, run, |_| ()).await
    }
}
