//! The data folder: readable by its owner only, and locked against a second process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::OpenError;

const DATABASE: &str = "bellwire.sqlite";
/// What can stand in a folder before the database does: a start that was cut off, a key that was put there for a backup.
const COMPANIONS: [&str; 2] = ["lock", "webhooks.key"];

/// A data folder that this process has; given up when dropped, also by a crash.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, sets its mode to 0700 and locks it. One that holds other things is left alone.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Folder { path: path.to_owned(), source };
        if holds_other_things(path) {
            return Err(OpenError::Foreign { path: path.to_owned() });
        }
        make_private(path).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether the folder is somebody else's: it has entries, and no database of ours.
fn holds_other_things(path: &Path) -> bool {
    let is_other =
        |entry: io::Result<fs::DirEntry>| !entry.is_ok_and(|entry| COMPANIONS.iter().any(|name| entry.file_name() == *name));
    let has_others = fs::read_dir(path).is_ok_and(|mut entries| entries.any(is_other));
    has_others && !path.join(DATABASE).exists()
}

fn make_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}
