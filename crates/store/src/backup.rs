//! Copies of the database: made while the node is at work, and put in its place while the node is stopped.

use std::fs::File;
use std::path::PathBuf;

use tokio::sync::OwnedMutexGuard;

use crate::error::{Cause, OpenError};

/// A copy of the database, to be read once.
#[derive(Debug)]
pub struct Copied {
    /// The file, which has no name any more.
    pub file: File,
    /// How long it is.
    pub bytes: u64,
    /// Held while it is read: one copy at a time.
    pub turn: OwnedMutexGuard<()>,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// One is being made or read.
    #[error("another backup is being made; only one can be at a time")]
    Running,
    /// The copy stands beside the database while it is read.
    #[error("the disk of the data folder has no room for a second copy of the database")]
    NoRoom,
    /// The node shuts down.
    #[error("the node shuts down")]
    Stopped,
    /// The system refused.
    #[error("the copy cannot be made")]
    File(#[from] std::io::Error),
    /// The engine refused.
    #[error("the copy cannot be made")]
    Failed(#[source] Cause),
}

/// Why a backup was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a database already.
    #[error("data folder {path} holds a database already; --replace puts the backup in its place, and what is there now is lost")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be used, or the file is no backup.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system refused.
    #[error("the backup cannot be put into data folder {path}")]
    File {
        /// The folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}
