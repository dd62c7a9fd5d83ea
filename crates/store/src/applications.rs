//! Who may post, and for whom: applications with their granted scopes and the customers that installed them.
//!
//! All of them stand in memory, for each request asks; they are few and change seldom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use protocol::authorise::Application;
use protocol::id::{ClientId, CustomerId};
use rusqlite::{Connection, Transaction, params};

use crate::Store;
use crate::error::StoreError;

type ById = BTreeMap<ClientId, Arc<Application>>;

/// The applications as they are on disk.
#[derive(Debug, Clone)]
pub(crate) struct Applications {
    // Replaced by the writer's thread after a commit; held for a look-up, never over I/O.
    by_id: Arc<RwLock<ById>>,
}

/// What became of a change to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// It stands.
    Done,
    /// There is no such application.
    NoApplication,
}

impl Applications {
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { by_id: Arc::new(RwLock::new(all(connection)?)) })
    }

    fn replace(&self, by_id: &ById) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).clone_from(by_id);
    }
}

impl Store {
    /// The application with this id.
    #[must_use]
    pub fn application(&self, client_id: &ClientId) -> Option<Arc<Application>> {
        self.shared.applications.by_id.read().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned()
    }

    /// All applications, by id.
    #[must_use]
    pub fn applications(&self) -> Vec<Arc<Application>> {
        self.shared.applications.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds an application, or sets the scopes of one that is there. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put_application(&self, client_id: ClientId, scopes: BTreeSet<String>) -> Result<(), StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "INSERT INTO application VALUES (?1, ?2) ON CONFLICT DO UPDATE SET scopes = excluded.scopes";
            let scopes = scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            transaction.execute(sql, params![client_id.as_str(), scopes])?;
            Ok(((), all(transaction)?))
        };
        self.change_applications(run).await
    }

    /// Notes that `customer` has installed an application. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn install(&self, client_id: ClientId, customer: CustomerId) -> Result<Installed, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            let sql = "INSERT OR IGNORE INTO installation SELECT client_id, ?2 FROM application WHERE client_id = ?1";
            transaction.execute(sql, params![client_id.as_str(), customer.as_str()])?;
            let by_id = all(transaction)?;
            let installed = if by_id.contains_key(&client_id) { Installed::Done } else { Installed::NoApplication };
            Ok((installed, by_id))
        };
        self.change_applications(run).await
    }

    /// Grants an application more scopes. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn grant(&self, client_id: ClientId, more: BTreeSet<String>) -> Result<Installed, StoreError> {
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

    /// Takes an application away, with its installations. Gives whether there was one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove_application(&self, client_id: ClientId) -> Result<bool, StoreError> {
        let run = move |transaction: &Transaction<'_>| {
            transaction.execute("DELETE FROM installation WHERE client_id = ?1", [client_id.as_str()])?;
            let removed = transaction.execute("DELETE FROM application WHERE client_id = ?1", [client_id.as_str()])?;
            Ok((removed > 0, all(transaction)?))
        };
        self.change_applications(run).await
    }

    /// Notes that `customer` has no application of this name any more; that they had none is no error. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn uninstall(&self, client_id: ClientId, customer: CustomerId) -> Result<Installed, StoreError> {
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
        let applications = self.shared.applications.clone();
        let done = move |(_, by_id): &(T, ById)| applications.replace(by_id);
        self.shared.writer.write(self.shared.config.timeout, run, done).await.map(|(result, _)| result)
    }
}

fn all(connection: &Connection) -> rusqlite::Result<ById> {
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
