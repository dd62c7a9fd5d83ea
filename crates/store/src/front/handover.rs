//! What a run of the node hands to the next one.

use super::Store;
use crate::error::StoreError;
use crate::handover::Handover;

impl Store {
    /// Keeps this for the next run, in place of anything else. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn save_handover(&self, handover: Handover) -> Result<(), StoreError> {
        self.shared.engine.save_handover(handover).await
    }

    /// Takes what the run before kept, and returns it once: what it says is old after that.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn take_handover(&self) -> Result<Handover, StoreError> {
        self.shared.engine.take_handover().await
    }

    /// Changes what the run before kept, where it was not taken yet. Returns what `edit` returns. Durable when it returns.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn edit_handover<T: Send + 'static>(
        &self,
        edit: impl FnMut(&mut Handover) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.shared.engine.edit_handover(edit).await
    }
}
