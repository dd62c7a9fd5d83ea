//! What SQLite says, as what a caller can react to.

use std::path::Path;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::error::{OpenError, StoreError};

/// Returns what a caller of the store can do about it.
pub(super) fn classify(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        // An operator's own tool holds a lock.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Poisoned,
        Some(_) | None => StoreError::Failed(Arc::new(error)),
    }
}

/// Returns why the store does not open, where nobody can react to what SQLite said.
pub(super) fn failed(error: rusqlite::Error) -> OpenError {
    OpenError::Failed(Arc::new(error))
}

/// Why a file is not opened: what SQLite said, or what was found in it.
#[derive(Debug)]
pub(super) enum Refusal {
    Sqlite(rusqlite::Error),
    Found(OpenError),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        Self::Found(error)
    }
}

impl Refusal {
    /// Returns what an operator can do about it. SQLite's word for a broken file becomes one that says what to do.
    pub(super) fn explain(self, path: &Path) -> OpenError {
        match self {
            Self::Found(error) => error,
            Self::Sqlite(error)
                if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) =>
            {
                OpenError::Corrupt { path: path.to_owned(), fault: error.to_string() }
            }
            Self::Sqlite(error) => failed(error),
        }
    }
}
