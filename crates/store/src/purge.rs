//! What is kept of a customer, or of one negotiator, goes: telephone numbers are personal data.
//!
//! What is deleted here is overwritten with zeros in the file; a plain `DELETE` only marks its place as free.

use protocol::id::{CustomerId, NegotiatorId};
use rusqlite::{Transaction, params};

use crate::Store;
use crate::error::StoreError;

/// Whose data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose {
    /// The customer.
    pub customer: CustomerId,
    /// One of its negotiators; all where none is named.
    pub negotiator: Option<NegotiatorId>,
}

impl Whose {
    pub(crate) fn columns(&self) -> (&str, Option<&str>) {
        (self.customer.as_str(), self.negotiator.as_ref().map(NegotiatorId::as_str))
    }
}

impl Store {
    /// Forgets idempotency keys and their answers: of a negotiator, those that name them. Gives how many. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn purge_idempotency_keys(&self, whose: Whose) -> Result<u64, StoreError> {
        let shredded = self.shared.writer.shredded();
        let run = move |transaction: &Transaction<'_>| shredding(transaction, || keys(transaction, &whose));
        let done = move |_: &usize| shredded.store(true, std::sync::atomic::Ordering::Release);
        self.shared.writer.write(self.shared.config.timeout, run, done).await.map(|rows| rows as u64)
    }
}

fn keys(transaction: &Transaction<'_>, whose: &Whose) -> rusqlite::Result<usize> {
    let (customer, negotiator) = whose.columns();
    let sql = "DELETE FROM idempotency WHERE customer = ?1 AND (?2 IS NULL OR json_valid(answer) AND EXISTS (
                   SELECT 1 FROM json_each(answer, '$.targets') WHERE json_extract(value, '$.negotiatorId') = ?2))";
    transaction.execute(sql, params![customer, negotiator])
}

/// Overwrites what `delete` deletes.
pub(crate) fn shredding<T>(transaction: &Transaction<'_>, delete: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    transaction.pragma_update(None, "secure_delete", true)?;
    let deleted = delete();
    transaction.pragma_update(None, "secure_delete", false)?;
    deleted
}
