//! What others call: each call is documented here and done by the engine. Versions of lists and applications are answered from memory.

mod missed; // missed calls
mod idempotency; // idempotency keys
mod applications; // who may post, and for whom
mod documents; // what is read and written as a whole
mod webhooks; // events for subscribers
mod handover; // what a run of the node hands to the next one
mod backup; // copies of the database

use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::error::OpenError;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::sqlite::Sqlite;

/// The store of one node; cheap to clone. It closes, and gives up the folder, with [`Store::close`] or the last clone.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Sqlite,
    memory: Memory,
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
        let memory = Memory::default();
        let engine = Sqlite::open(folder, config, memory.clone(), metrics)?;
        Ok(Self { shared: Arc::new(Shared { engine, memory }) })
    }

    /// Returns whether writes can be taken: `false` for good after a failed sync.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.shared.engine.is_sound()
    }

    /// Returns this store's own mark; it stands in every ETag.
    #[must_use]
    pub fn id(&self) -> &str {
        self.shared.engine.id()
    }

    /// Returns the bytes of the database on disk, its log included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.engine.bytes()
    }

    /// Writes what is queued, then refuses more. Blocks until the writer has ended.
    pub fn close(&self) {
        self.shared.engine.close();
    }
}
