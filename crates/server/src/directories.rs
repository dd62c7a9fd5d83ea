//! The directories of all customers, as they are on disk.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use protocol::directory::Directory;
use protocol::id::CustomerId;
use store::Store;
use store::documents::Kind;
use store::error::StoreError;

type ByCustomer = HashMap<CustomerId, Arc<Directory>>;

/// In memory, since each event asks; a directory changes seldom.
#[derive(Debug)]
pub struct Directories {
    // Replaced after a write; held for a look-up, never over I/O.
    by_customer: RwLock<ByCustomer>,
    /// Held over a write, so that what is in memory is what was written last.
    writing: tokio::sync::Mutex<()>,
}

impl Directories {
    /// Reads them all; one that cannot be read is left out and logged.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let read = |(customer, text): (String, String)| {
            let directory = serde_json::from_str(&text);
            let directory = directory.inspect_err(|error| tracing::error!(%customer, %error, "a directory cannot be read"));
            Some((CustomerId::parse(&customer).ok()?, Arc::new(directory.ok()?)))
        };
        let by_customer = store.documents(Kind::Directory).await?.into_iter().filter_map(read).collect();
        Ok(Self { by_customer: RwLock::new(by_customer), writing: tokio::sync::Mutex::new(()) })
    }

    /// That of a customer.
    #[must_use]
    pub fn of(&self, customer: &CustomerId) -> Option<Arc<Directory>> {
        self.by_customer.read().unwrap_or_else(PoisonError::into_inner).get(customer).cloned()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<(CustomerId, Arc<Directory>)> {
        let by_customer = self.by_customer.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = by_customer.iter().map(|(customer, directory)| (*customer, directory.clone())).collect();
        all.sort_by_key(|(customer, _)| *customer);
        all
    }

    /// Sets that of a customer, in place of an earlier one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put(&self, store: &Store, customer: CustomerId, mut new: Directory, now: Timestamp) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        new.stamp(self.of(&customer).as_deref(), now);
        let text = serde_json::to_string(&new).unwrap_or_default();
        store.put_document(Kind::Directory, customer.to_string(), text).await?;
        self.by_customer.write().unwrap_or_else(PoisonError::into_inner).insert(customer, Arc::new(new));
        Ok(())
    }

    /// Takes that of a customer away; gives whether there was one.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove(&self, store: &Store, customer: &CustomerId) -> Result<bool, StoreError> {
        let _writing = self.writing.lock().await;
        let removed = store.remove_document(Kind::Directory, customer.to_string()).await?;
        self.by_customer.write().unwrap_or_else(PoisonError::into_inner).remove(customer);
        Ok(removed)
    }
}
