//! Why the store did not do it: a variant per reaction.

use std::path::PathBuf;
use std::sync::Arc;

/// What the engine said, for the log: nobody can react to it.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made, entered or made private.
    #[error("data folder {path}: cannot be used")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds other things.
    #[error(
        "data folder {path} holds other files and no database of bellwire: choose an empty folder, or one that is not there yet"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("data folder {path} is in use by another bellwire process; stop that one, or choose another folder")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{path} has tables of version {found}, this program knows up to {known}: run the newer program, or restore a backup")]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Not a store, or a broken one.
    #[error("{path} is damaged ({fault}): move it away and restore a backup; `sqlite3 FILE .recover` may save rows")]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What the check found first.
        fault: String,
    },
    /// The engine refused for another reason.
    #[error("cannot open the store")]
    Failed(#[source] Cause),
    /// The writer's thread could not be started.
    #[error("cannot start the store's writer")]
    Thread(#[source] std::io::Error),
}

/// Why a read or a write was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk has no room; the same call can succeed later.
    #[error("the disk is full")]
    Full,
    /// A sync or a write failed, or the file is damaged: nothing is taken until a restart.
    #[error("the store is poisoned by a failed write; restart the node once the disk is sound")]
    Poisoned,
    /// Too much waits, or it took too long. Of a write that took too long it is not known whether it was done.
    #[error("the store is busy")]
    Busy,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The engine refused for another reason; the same call can succeed later.
    #[error("the store failed")]
    Failed(#[source] Cause),
}
