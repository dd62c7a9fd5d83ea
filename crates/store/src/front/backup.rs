//! Copies of the database.

use std::path::Path;

use super::Store;
use crate::backup::{BackupError, Copied, RestoreError};
use crate::error::OpenError;
use crate::sqlite;

impl Store {
    /// Copies the database as it is now; breaks off where `go_on` says so. Needs as much room again in the data folder.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn back_up(&self, go_on: impl Fn() -> bool + Send + 'static) -> Result<Copied, BackupError> {
        self.shared.engine.back_up(go_on).await
    }

    /// Reads a backup whole, and says what is wrong with it. Blocks.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn verify(backup: &Path) -> Result<(), OpenError> {
        sqlite::verify(backup)
    }

    /// Puts a backup into the folder of a node that is stopped, under a new mark, so that no ETag of before stands for what is in it. A
    /// database that is there stays unless it is to be replaced. Blocks while the backup is read whole.
    ///
    /// # Errors
    /// [`RestoreError`]; the folder is as it was.
    pub fn restore(backup: &Path, folder: &Path, replace: bool) -> Result<(), RestoreError> {
        sqlite::restore(backup, folder, replace)
    }
}
