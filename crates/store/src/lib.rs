//! What survives a crash: missed calls, applications and idempotency keys, in SQLite.
//!
//! Only what is on disk is acknowledged. All writes go through one writer that commits whatever has gathered; readers stand
//! beside it. The store does not know who is connected.

pub mod error; // why the store did not do it
pub mod folder; // the data folder: private, and locked against a second process
pub mod schema; // the tables and their versions
pub mod writer; // one thread, group commit, poison
pub mod reader; // connections for reading, a bounded number at once
pub mod missed; // missed calls: added, listed, taken away, forgotten
pub mod idempotency; // keys whose call is on disk
pub mod backup; // copies of the file: made at work, put back while stopped
pub mod purge; // what is kept of a customer, or of one negotiator, goes
pub mod handover; // what a run of the node hands to the next one
pub mod applications; // who may post, and for whom
pub mod documents; // what is read and written as a whole, opaque here
pub mod webhooks; // events for subscribers: queued, due, attempted
pub mod metrics; // what an operator sees of all this

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::applications::Applications;
use crate::error::OpenError;
use crate::folder::Folder;
use crate::metrics::Metrics;
use crate::missed::Versions;
use crate::reader::Readers;
use crate::writer::{Health, Writer};

/// How the store is to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// For how long missed calls are kept. Default 30 days; longer costs disk only.
    pub keep_age: Duration,
    /// How many missed calls of one negotiator are kept; the oldest go first. Default 1,000.
    pub keep_count: u32,
    /// How many writes can wait for the writer; beyond that they are refused. Default 4,096.
    pub queue_max: usize,
    /// How many reads run at once. Default 4; more helps only where the disk is slow to read.
    pub readers: usize,
    /// How long a write or a read can take before it is given up. Default 10 s.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_age: Duration::from_secs(30 * 24 * 3600),
            keep_count: 1000,
            queue_max: 4096,
            readers: 4,
            timeout: Duration::from_secs(10),
        }
    }
}

/// The store of one node; cheap to clone. It closes, and gives up the folder, with [`Store::close`] or the last clone.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    /// Stands in every ETag, so that none is good for another folder.
    store_id: String,
    versions: Arc<Versions>,
    applications: Applications,
    readers: Readers,
    writer: Writer,
    metrics: Metrics,
    /// Held while a backup is made and read: one at a time.
    backing_up: Arc<tokio::sync::Mutex<()>>,
    // The lock is given up last, after the writer has ended.
    folder: Folder,
}

impl Store {
    /// Opens the store in `folder`, which is made if it is missing, and brings its tables to this program's version.
    ///
    /// Blocks while the file is checked, which reads all of it. A file over 64 MiB is checked while the store is at work; damage that is
    /// found then poisons it.
    ///
    /// # Errors
    /// [`OpenError`], each with what an operator can do.
    pub fn open(folder: &Path, config: Config, metrics: Metrics) -> Result<Self, OpenError> {
        let folder = Folder::lock(folder)?;
        backup::tidy_up(&folder);
        let connection = schema::open(&folder.database())?;
        let store_id = schema::store_id(&connection)?;
        let applications = Applications::load(&connection)?;
        let versions = Arc::new(Versions::load(&connection)?);
        let health = Health::new(metrics.clone());
        let readers = Readers::open(&folder.database(), config.readers, health.clone())?;
        if schema::is_large(&folder.database()) {
            check_later(folder.database(), health.clone())?;
        }
        let writer = Writer::start(connection, config.queue_max, health)?;
        let backing_up = Arc::default();
        let shared = Shared { config, store_id, versions, applications, readers, writer, metrics, backing_up, folder };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether writes can be taken: `false` for good after a failed sync.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.shared.writer.is_sound()
    }

    /// This folder's own mark; it stands in every ETag.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.store_id
    }

    /// The bytes of the database on disk, its log included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let database = self.shared.folder.database();
        let log = PathBuf::from(format!("{}-wal", database.display()));
        [database, log].iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
    }

    /// Writes what is queued, then refuses more. Blocks until the writer has ended.
    pub fn close(&self) {
        self.shared.writer.close();
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
