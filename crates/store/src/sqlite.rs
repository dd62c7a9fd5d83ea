//! The engine that keeps everything in one SQLite file: all SQL, and everything of rusqlite, is below here.
//!
//! All writes go through one writer that commits whatever has gathered; readers stand beside it. Nothing here is seen outside of the
//! store but through the front, and no type of rusqlite leaves this folder.

mod error; // what SQLite says, as what a caller can react to
mod folder; // the data folder: private, and locked against a second process
mod schema; // the tables and their versions
mod health; // whether the store can be trusted
mod writer; // one thread, group commit, poison
mod reader; // connections for reading, a bounded number at once
mod columns; // ids and times as they stand in columns
mod missed; // missed calls: added, listed, taken away, forgotten
mod idempotency; // keys, in the commit of their call
mod applications; // who may post, and for whom
mod documents; // what is read and written as a whole
mod webhooks; // events for subscribers: queued, due, attempted
mod handover; // what a run of the node hands to the next one
mod purge; // what is deleted is overwritten
mod backup; // copies of the file: made at work, put back while stopped

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use self::error::failed;
use self::folder::Folder;
use self::health::Health;
use self::reader::Readers;
use self::writer::Writer;
use crate::config::Config;
use crate::error::{OpenError, StoreError};
use crate::memory::Memory;
use crate::metrics::Metrics;

pub(crate) use self::backup::{restore, verify};

/// The store of one node in a folder of its own. It closes, and gives up the folder, when it is dropped.
#[derive(Debug)]
pub(crate) struct Sqlite {
    config: Config,
    /// Stands in every ETag, so that none is good for another folder.
    id: String,
    memory: Memory,
    readers: Readers,
    writer: Writer,
    metrics: Metrics,
    /// Held while a backup is made and read: one at a time.
    backing_up: Arc<tokio::sync::Mutex<()>>,
    // The lock is given up last, after the writer has ended.
    folder: Folder,
}

impl Sqlite {
    /// Opens the store and fills `memory`, which it alone changes from then on.
    pub(crate) fn open(folder: &Path, config: Config, memory: Memory, metrics: Metrics) -> Result<Self, OpenError> {
        let folder = Folder::lock(folder)?;
        backup::tidy_up(&folder);
        let connection = schema::open(&folder.database())?;
        let id = schema::store_id(&connection).map_err(failed)?;
        memory.applications.replace(&applications::all(&connection).map_err(failed)?);
        memory.versions.apply(&missed::versions(&connection).map_err(failed)?);
        let health = Health::new(metrics.clone());
        let readers = Readers::open(&folder.database(), config.readers, health.clone())?;
        if schema::is_large(&folder.database()) {
            check_later(folder.database(), health.clone())?;
        }
        let writer = Writer::start(connection, config.queue_max, health)?;
        Ok(Self { config, id, memory, readers, writer, metrics, backing_up: Arc::default(), folder })
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.writer.is_sound()
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn bytes(&self) -> u64 {
        let database = self.folder.database();
        let log = PathBuf::from(format!("{}-wal", database.display()));
        [database, log].iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
    }

    pub(crate) fn close(&self) {
        self.writer.close();
    }

    /// Runs `run` in the next commit; `done` is called on the writer's thread once that is on disk, before this returns.
    async fn write<T, R, D>(&self, run: R, done: D) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        D: FnOnce(&T) + Send + 'static,
    {
        self.writer.write(self.config.timeout, run, done).await
    }

    /// Runs `query` on a connection for reading.
    async fn read<T, Q>(&self, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.readers.read(self.config.timeout, query).await
    }
}

/// Reads the whole file beside the work.
fn check_later(path: PathBuf, health: Health) -> Result<(), OpenError> {
    let check = move || match schema::open_for_reading(&path).map(|connection| schema::check_whole(&connection)) {
        Ok(Ok(None)) => tracing::info!("the store's file is sound"),
        Ok(Ok(Some(fault))) => health.condemn(&fault),
        Ok(Err(error)) => drop(health.judge(error)),
        Err(error) => tracing::warn!(%error, "the store's file could not be checked"),
    };
    std::thread::Builder::new().name("store-check".to_owned()).spawn(check).map(drop).map_err(OpenError::Thread)
}

#[cfg(test)]
mod tests;
