//! Copies of the file: made by SQLite's backup API from one snapshot, so that a copy is whole however much is written meanwhile, and holds
//! no writer up. A copy stands in the data folder without a name while it is read: nobody but this process ever sees it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode};

use super::error::failed;
use super::folder::Folder;
use super::{Sqlite, schema};
use crate::backup::{BackupError, Copied, RestoreError};
use crate::error::OpenError;

const BACKUP: &str = "backup.tmp";
const RESTORED: &str = "restore.tmp";
/// How many pages are copied until it is asked whether to go on: 4 MiB.
const PAGES_A_STEP: i32 = 1024;
const LOCKED_PAUSE: Duration = Duration::from_millis(10);

impl Sqlite {
    pub(crate) async fn back_up(&self, go_on: impl Fn() -> bool + Send + 'static) -> Result<Copied, BackupError> {
        let turn = self.backing_up.clone().try_lock_owned().map_err(|_held| BackupError::Running)?;
        let (database, copy) = (self.folder.database(), self.folder.file(BACKUP));
        let work = move || {
            remove(&copy);
            let copied = match copy_database(&database, &copy, go_on) {
                Ok(true) => File::open(&copy).map_err(BackupError::File),
                Ok(false) => Err(BackupError::Stopped),
                Err(error) => Err(explain(error)),
            };
            // Who has opened it reads on.
            remove(&copy);
            let file = copied?;
            Ok(Copied { bytes: file.metadata()?.len(), file, turn })
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(BackupError::Stopped))
    }
}

fn explain(error: rusqlite::Error) -> BackupError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BackupError::NoRoom,
        Some(_) | None => BackupError::Failed(Arc::new(error)),
    }
}

/// Copies all pages; returns `false` where `go_on` broke it off.
fn copy_database(from: &Path, to: &Path, go_on: impl Fn() -> bool) -> rusqlite::Result<bool> {
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
            return Ok(false);
        }
    }
    drop(backup);
    // One file, without a log of its own.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(true)
}

/// Removes what a crash has left.
pub(super) fn tidy_up(folder: &Folder) {
    [BACKUP, RESTORED].iter().for_each(|name| remove(&folder.file(name)));
}

/// Removes a database that is of no use, with what SQLite puts beside it.
fn remove(path: &Path) {
    for end in ["", "-journal", "-wal", "-shm"] {
        // It is seldom there.
        drop(fs::remove_file(format!("{}{end}", path.display())));
    }
}

/// Reads a backup whole, and says what is wrong with it.
pub(crate) fn verify(backup: &Path) -> Result<(), OpenError> {
    schema::verify(backup)
}

/// Puts a backup into the folder of a node that is stopped.
pub(crate) fn restore(backup: &Path, folder: &Path, replace: bool) -> Result<(), RestoreError> {
    verify(backup)?;
    let refused = |source| RestoreError::File { path: folder.to_owned(), source };
    let locked = Folder::lock(folder)?;
    let (database, new) = (locked.database(), locked.file(RESTORED));
    if database.exists() && !replace {
        return Err(RestoreError::Occupied { path: folder.to_owned() });
    }
    let prepare = || {
        remove(&new);
        fs::copy(backup, &new).map_err(refused)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).map_err(refused)?;
        let connection = schema::open(&new)?;
        schema::begin_anew(&connection).map_err(failed)?;
        drop(connection);
        File::open(&new).and_then(|file| file.sync_all()).map_err(refused)
    };
    prepare().inspect_err(|_| remove(&new))?;
    // The log of what is replaced must not be taken for one of what comes.
    for end in ["-wal", "-shm"] {
        drop(fs::remove_file(format!("{}{end}", database.display())));
    }
    fs::rename(&new, &database).map_err(refused)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)
}
