//! Documents that operators load as a whole, in memory as they are on disk: each event asks for them, and they change seldom.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};

use protocol::json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::Store;
use store::documents::{Kind, readable};
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
    /// Reads them all; one that cannot be read, or whose id `read` does not take, is left out and logged.
    pub(crate) async fn load<T: DeserializeOwned>(
        store: &Store,
        kind: Kind,
        read: impl Fn(&str, T) -> Option<(K, V)>,
    ) -> Result<Self, StoreError> {
        let read = |(id, text): (String, String)| {
            let document = readable(kind, &id, serde_json::from_str(&text))?;
            let (id, value) = readable(kind, &id, read(&id, document).ok_or("its id is not valid"))?;
            Some((id, Arc::new(value)))
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

    /// Sets one: `make` is given the one before, and returns what is written and what is kept. Durable when it returns.
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

    /// Takes one away. Returns whether there was one.
    pub(crate) async fn remove(&self, store: &Store, id: &K) -> Result<bool, StoreError> {
        let _writing = self.writing.lock().await;
        let removed = store.remove_document(self.kind, id.to_string()).await?;
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;
    use protocol::id::CustomerId;
    use store::metrics::Metrics;

    use super::*;

    #[tokio::test]
    async fn a_document_that_cannot_be_read_is_left_out_and_the_others_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), store::Config::default(), Metrics::register(&mut Registry::default())).unwrap();
        for (id, text) in [("SBOX", "1"), ("RES", "one"), ("no id", "2")] {
            store.put_document(Kind::Directory, id.to_owned(), text.to_owned()).await.unwrap();
        }
        let read = |id: &str, number: u8| Some((CustomerId::parse(id).ok()?, number));
        let documents = Documents::load(&store, Kind::Directory, read).await.unwrap();
        let all: Vec<_> = documents.all().iter().map(|(id, number)| (id.to_string(), **number)).collect();
        assert_eq!(all, [("SBOX".to_owned(), 1)]);
    }
}
