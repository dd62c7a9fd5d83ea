//! Who may post, and for whom. A change reads all applications again, in its own commit, and puts them into memory after it.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::authorise::Application;
use protocol::id::{ClientId, CustomerId};
use rusqlite::{Connection, Transaction, params};

use super::Sqlite;
use crate::applications::Installed;
use crate::error::StoreError;
use crate::memory::ById;

impl Sqlite {
    pub(crate) async fn put_application(&self, client_id: ClientId, scopes: BTreeSet<String>) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "INSERT INTO application VALUES (?1, ?2) ON CONFLICT DO UPDATE SET scopes = excluded.scopes";
            let scopes = scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            transaction.execute(sql, params![client_id.as_str(), scopes])?;
            Ok(((), all(transaction)?))
        };
        self.change_applications(run).await
    }

    pub(crate) async fn install(&self, client_id: ClientId, customer: CustomerId) -> Result<Installed, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "INSERT OR IGNORE INTO installation SELECT client_id, ?2 FROM application WHERE client_id = ?1";
            transaction.execute(sql, params![client_id.as_str(), customer.as_str()])?;
            let by_id = all(transaction)?;
            let installed = if by_id.contains_key(&client_id) { Installed::Done } else { Installed::NoApplication };
            Ok((installed, by_id))
        };
        self.change_applications(run).await
    }

    pub(crate) async fn grant(&self, client_id: ClientId, more: BTreeSet<String>) -> Result<Installed, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let by_id = all(transaction)?;
            let Some(application) = by_id.get(&client_id) else { return Ok((Installed::NoApplication, by_id)) };
            let scopes = application.scopes.union(&more).map(String::as_str).collect::<Vec<_>>().join(" ");
            transaction
                .execute("UPDATE application SET scopes = ?2 WHERE client_id = ?1", params![client_id.as_str(), scopes])?;
            Ok((Installed::Done, all(transaction)?))
        };
        self.change_applications(run).await
    }

    pub(crate) async fn remove_application(&self, client_id: ClientId) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            transaction.execute("DELETE FROM installation WHERE client_id = ?1", [client_id.as_str()])?;
            let removed = transaction.execute("DELETE FROM application WHERE client_id = ?1", [client_id.as_str()])?;
            Ok((removed > 0, all(transaction)?))
        };
        self.change_applications(run).await
    }

    pub(crate) async fn uninstall(&self, client_id: ClientId, customer: CustomerId) -> Result<Installed, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "DELETE FROM installation WHERE client_id = ?1 AND customer = ?2";
            transaction.execute(sql, params![client_id.as_str(), customer.as_str()])?;
            let by_id = all(transaction)?;
            let done = if by_id.contains_key(&client_id) { Installed::Done } else { Installed::NoApplication };
            Ok((done, by_id))
        };
        self.change_applications(run).await
    }

    async fn change_applications<T: Send + 'static>(
        &self,
        run: impl FnMut(&Transaction<'_>) -> rusqlite::Result<(T, ById)> + Send + 'static,
    ) -> Result<T, StoreError> {
        let applications = self.memory.applications.clone();
        let done = move |(_, by_id): &(T, ById)| applications.replace(by_id);
        self.write(run, done).await.map(|(result, _)| result)
    }
}

/// Returns all applications, each with its customers.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<ById> {
    let mut select = connection.prepare_cached("SELECT client_id, scopes FROM application")?;
    let rows = select.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut by_id = ById::new();
    for row in rows {
        let (client_id, scopes) = row?;
        let Ok(client_id) = ClientId::parse(&client_id) else { continue };
        let scopes = scopes.split_ascii_whitespace().map(str::to_owned).collect();
        by_id.insert(client_id, Arc::new(Application { client_id, scopes, customers: customers(connection, &client_id)? }));
    }
    Ok(by_id)
}

fn customers(connection: &Connection, client_id: &ClientId) -> rusqlite::Result<BTreeSet<CustomerId>> {
    let mut select = connection.prepare_cached("SELECT customer FROM installation WHERE client_id = ?1")?;
    let rows = select.query_map([client_id.as_str()], |row| row.get::<_, String>(0))?;
    rows.filter_map(|row| row.map(|text| CustomerId::parse(&text).ok()).transpose()).collect()
}
