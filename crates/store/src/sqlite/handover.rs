//! What a run of the node hands to the next one: written at the end, taken once.

use protocol::id::Recipient;
use rusqlite::{Row, Transaction, params};

use super::Sqlite;
use super::columns::recipient;
use super::purge::shredding;
use crate::error::StoreError;
use crate::handover::Handover;

impl Sqlite {
    pub(crate) async fn save_handover(&self, handover: Handover) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            take(transaction)?;
            save(transaction, &handover)
        };
        self.write(run, |()| ()).await
    }

    pub(crate) async fn take_handover(&self) -> Result<Handover, StoreError> {
        self.write(take, |_| ()).await
    }

    pub(crate) async fn edit_handover<T: Send + 'static>(
        &self,
        mut edit: impl FnMut(&mut Handover) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            shredding(transaction, || {
                let mut handover = take(transaction)?;
                let edited = edit(&mut handover);
                save(transaction, &handover)?;
                Ok(edited)
            })
        };
        self.write(run, |_| ()).await
    }
}

fn save(transaction: &Transaction<'_>, handover: &Handover) -> rusqlite::Result<()> {
    let Handover { states, receipts, connectors } = handover;
    let mut insert = transaction.prepare_cached("INSERT INTO resume_receipts VALUES (?1)")?;
    for receipts in receipts {
        insert.execute([receipts])?;
    }
    let mut insert = transaction.prepare_cached("INSERT INTO resume_connector VALUES (?1, ?2)")?;
    for (id, state) in connectors {
        insert.execute([id, state])?;
    }
    let mut insert = transaction.prepare_cached("INSERT INTO resume VALUES (?1, ?2, ?3)")?;
    for (of, state) in states {
        insert.execute(params![of.customer.as_str(), of.negotiator.as_str(), state])?;
    }
    Ok(())
}

fn take(transaction: &Transaction<'_>) -> rusqlite::Result<Handover> {
    let mut delete = transaction.prepare("DELETE FROM resume_receipts RETURNING receipts")?;
    let receipts = delete.query_map((), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut delete = transaction.prepare("DELETE FROM resume RETURNING customer, negotiator, state")?;
    let rows = delete.query_map((), |row| Ok(state(row)))?;
    let states = rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
    let mut delete_connectors = transaction.prepare("DELETE FROM resume_connector RETURNING id, state")?;
    let connectors = delete_connectors.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let connectors = connectors.collect::<rusqlite::Result<_>>()?;
    Ok(Handover { states, receipts, connectors })
}

/// Returns the state of a recipient. One that cannot be read is logged: its clients begin anew.
fn state(row: &Row<'_>) -> Option<(Recipient, String)> {
    let read = recipient(row, 0, 1).and_then(|of| Ok((of, row.get(2)?)));
    let read = read.inspect_err(|error| {
        let [customer, negotiator] = [0, 1].map(|column| row.get_ref(column).ok());
        tracing::warn!(?customer, ?negotiator, %error, "what a recipient could resume cannot be read");
    });
    read.ok()
}
