//! Copies of the database: made while the node is at work, and put in its place while the node is stopped.
//!
//! A copy is made by SQLite's backup API from one snapshot, so that it is whole however much is written meanwhile, and holds no writer
//! up. It stands in the data folder without a name while it is read: nobody but this process ever sees it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::OwnedMutexGuard;

use crate::Store;
use crate::error::OpenError;
use crate::folder::Folder;
use crate::schema;

const BACKUP: &str = "backup.tmp";
const RESTORED: &str = "restore.tmp";
/// How many pages are copied until it is asked whether to go on: 4 MiB.
const PAGES_A_STEP: i32 = 1024;
const LOCKED_PAUSE: Duration = Duration::from_millis(10);

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
    /// SQLite refused.
    #[error("the copy cannot be made")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) { Self::NoRoom } else { Self::Sqlite(error) }
    }
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

impl Store {
    /// Copies the database as it is now; breaks off where `go_on` says so. Needs as much room again in the data folder.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn back_up(&self, go_on: impl Fn() -> bool + Send + 'static) -> Result<Copied, BackupError> {
        let turn = self.shared.backing_up.clone().try_lock_owned().map_err(|_held| BackupError::Running)?;
        let (database, copy) = (self.shared.folder.database(), self.shared.folder.file(BACKUP));
        let work = move || {
            remove(&copy);
            let copied = copy_database(&database, &copy, go_on).and_then(|()| Ok(File::open(&copy)?));
            // Who has opened it reads on.
            remove(&copy);
            let file = copied?;
            Ok(Copied { bytes: file.metadata()?.len(), file, turn })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(BackupError::Stopped))
    }
}

fn copy_database(from: &Path, to: &Path, go_on: impl Fn() -> bool) -> Result<(), BackupError> {
    let source = Connection::open(from)?;
    // A snapshot that is held: else the copy would begin anew whenever something was written meanwhile.
    source.execute_batch("PRAGMA query_only = true; BEGIN")?;
    source.query_row("SELECT id FROM store", (), |row| row.get::<_, String>(0))?;
    let mut target = Connection::open(to)?;
    let backup = Backup::new(&source, &mut target)?;
    loop {
        match backup.step(PAGES_A_STEP)? {
            StepResult::Done => break,
            StepResult::Busy | StepResult::Locked => std::thread::sleep(LOCKED_PAUSE),
            _ => {}
        }
        if !go_on() {
            return Err(BackupError::Stopped);
        }
    }
    drop(backup);
    // One file, without a log of its own.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(())
}

/// Removes what a crash has left.
pub(crate) fn tidy_up(folder: &Folder) {
    [BACKUP, RESTORED].iter().for_each(|name| remove(&folder.file(name)));
}

/// Removes a database that is of no use, with what SQLite puts beside it.
fn remove(path: &Path) {
    for end in ["", "-journal", "-wal", "-shm"] {
        // It is seldom there.
        drop(fs::remove_file(format!("{}{end}", path.display())));
    }
}

/// Reads a backup whole, and says what is wrong with it. Blocks.
///
/// # Errors
/// [`OpenError`].
pub fn verify(backup: &Path) -> Result<(), OpenError> {
    schema::verify(backup)
}

/// Puts a backup into the folder of a node that is stopped, under a new mark, so that no ETag of before stands for what is in it. A
/// database that is there stays unless it is to be replaced. Blocks while the backup is read whole.
///
/// # Errors
/// [`RestoreError`]; the folder is as it was.
pub fn restore(backup: &Path, folder: &Path, replace: bool) -> Result<(), RestoreError> {
    verify(backup)?;
    let failed = |source| RestoreError::File { path: folder.to_owned(), source };
    let locked = Folder::lock(folder)?;
    let (database, new) = (locked.database(), locked.file(RESTORED));
    if database.exists() && !replace {
        return Err(RestoreError::Occupied { path: folder.to_owned() });
    }
    let prepare = || {
        remove(&new);
        fs::copy(backup, &new).map_err(failed)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let connection = schema::open(&new)?;
        schema::begin_anew(&connection).map_err(OpenError::Sqlite)?;
        drop(connection);
        File::open(&new).and_then(|file| file.sync_all()).map_err(failed)
    };
    prepare().inspect_err(|_| remove(&new))?;
    // The log of what is replaced must not be taken for one of what comes.
    for end in ["-wal", "-shm"] {
        drop(fs::remove_file(format!("{}{end}", database.display())));
    }
    fs::rename(&new, &database).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
