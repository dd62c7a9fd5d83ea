//! Documents, each read and written as a whole.

use super::Store;
use crate::documents::Kind;
use crate::error::StoreError;

impl Store {
    /// Returns all documents of a kind, with their ids.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn documents(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        self.shared.engine.documents(kind).await
    }

    /// Writes a document, in place of an earlier one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn put_document(&self, kind: Kind, id: String, text: String) -> Result<(), StoreError> {
        self.shared.engine.put_document(kind, id, text).await
    }

    /// Takes a document away; returns whether there was one. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn remove_document(&self, kind: Kind, id: String) -> Result<bool, StoreError> {
        self.shared.engine.remove_document(kind, id).await
    }
}
