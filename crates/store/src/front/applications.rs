//! Who may post, and for whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::authorise::Application;
use protocol::id::{ClientId, CustomerId};

use super::Store;
use crate::applications::Installed;
use crate::error::StoreError;

impl Store {
    /// Returns the application with this id.
    #[must_use]
    pub fn application(&self, client_id: &ClientId) -> Option<Arc<Application>> {
        self.shared.memory.applications.get(client_id)
    }

    /// Returns all applications, by id.
    #[must_use]
    pub fn applications(&self) -> Vec<Arc<Application>> {
        self.shared.memory.applications.all()
    }

    /// Adds an application, or sets the scopes of one that is there. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put_application(&self, client_id: ClientId, scopes: BTreeSet<String>) -> Result<(), StoreError> {
        self.shared.engine.put_application(client_id, scopes).await
    }

    /// Notes that `customer` has installed an application. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn install(&self, client_id: ClientId, customer: CustomerId) -> Result<Installed, StoreError> {
        self.shared.engine.install(client_id, customer).await
    }

    /// Grants an application more scopes. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn grant(&self, client_id: ClientId, more: BTreeSet<String>) -> Result<Installed, StoreError> {
        self.shared.engine.grant(client_id, more).await
    }

    /// Takes an application away, with its installations. Returns whether there was one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove_application(&self, client_id: ClientId) -> Result<bool, StoreError> {
        self.shared.engine.remove_application(client_id).await
    }

    /// Notes that `customer` has no application of this name any more; that they had none is no error. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn uninstall(&self, client_id: ClientId, customer: CustomerId) -> Result<Installed, StoreError> {
        self.shared.engine.uninstall(client_id, customer).await
    }
}
