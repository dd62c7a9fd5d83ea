//! The directories of all customers.

use std::sync::Arc;

use jiff::Timestamp;
use protocol::directory::Directory;
use protocol::id::CustomerId;
use store::Store;
use store::documents::Kind;
use store::error::StoreError;

use crate::documents::Documents;

/// Who the negotiators of each customer are.
#[derive(Debug)]
pub struct Directories(Documents<CustomerId, Directory>);

impl Directories {
    /// Reads them all; one that cannot be read is left out and logged.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let read = |customer: &str, directory| Some((CustomerId::parse(customer).ok()?, directory));
        Documents::load(store, Kind::Directory, read).await.map(Self)
    }

    /// That of a customer.
    #[must_use]
    pub fn of(&self, customer: &CustomerId) -> Option<Arc<Directory>> {
        self.0.find(customer)
    }

    /// All of them, by customer.
    #[must_use]
    pub fn all(&self) -> Vec<(CustomerId, Arc<Directory>)> {
        self.0.all()
    }

    /// Sets that of a customer, in place of an earlier one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put(&self, store: &Store, customer: CustomerId, mut new: Directory, now: Timestamp) -> Result<(), StoreError> {
        let make = |before: Option<Arc<Directory>>| {
            new.stamp(before.as_deref(), now);
            (new.clone(), new)
        };
        self.0.put(store, customer, make).await
    }

    /// Takes that of a customer away. Returns whether there was one.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove(&self, store: &Store, customer: &CustomerId) -> Result<bool, StoreError> {
        self.0.remove(store, customer).await
    }
}
