//! Documents that operators load as a whole, in memory as they are on disk: each event asks for them, and they change seldom.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};

use protocol::json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::Store;
use store::documents::Kind;
use store::error::StoreError;

/// All documents of a kind.
#[derive(Debug)]
pub(crate) struct Documents<K, V> {
    kind: Kind,
    // Replaced after a write; held for a look-up, never over I/O.
    by_id: RwLock<BTreeMap<K, Arc<V>>>,
    /// Held over a write, so that what is in memory is what was written last.
    writing: tokio::sync::Mutex<()>,
}

impl<K: Ord + Copy + Display, V> Documents<K, V> {
    /// Reads them all; one that cannot be read is left out and logged.
    pub(crate) async fn load<T: DeserializeOwned>(
        store: &Store,
        kind: Kind,
        read: impl Fn(&str, T) -> Option<(K, V)>,
    ) -> Result<Self, StoreError> {
        let read = |(id, text): (String, String)| {
            let document = serde_json::from_str(&text);
            let document = document.inspect_err(|error| tracing::error!(?kind, id, %error, "a document cannot be read"));
            read(&id, document.ok()?).map(|(id, value)| (id, Arc::new(value)))
        };
        let by_id = store.documents(kind).await?.into_iter().filter_map(read).collect();
        Ok(Self { kind, by_id: RwLock::new(by_id), writing: tokio::sync::Mutex::new(()) })
    }

    pub(crate) fn find(&self, id: &K) -> Option<Arc<V>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(K, Arc<V>)> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.iter().map(|(id, value)| (*id, value.clone())).collect()
    }

    /// Sets one: `make` is given the one before, and gives what is written and what is kept. Durable when it returns.
    pub(crate) async fn put<T: Serialize>(
        &self,
        store: &Store,
        id: K,
        make: impl FnOnce(Option<Arc<V>>) -> (T, V),
    ) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        let (written, kept) = make(self.find(&id));
        let text = json::encode(&written);
        store.put_document(self.kind, id.to_string(), text).await?;
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(kept));
        Ok(())
    }

    /// Takes one away; gives whether there was one.
    pub(crate) async fn remove(&self, store: &Store, id: &K) -> Result<bool, StoreError> {
        let _writing = self.writing.lock().await;
        let removed = store.remove_document(self.kind, id.to_string()).await?;
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(removed)
    }
}
