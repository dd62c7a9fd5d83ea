//! What is on disk and asked for too often to be read there: the versions of lists and the applications.
//!
//! Both are held by the front, which reads them, and by the engine, which alone changes them: after a commit, in the order of the commits
//! and before whoever wrote hears of it. Nothing here touches the disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use protocol::authorise::Application;
use protocol::id::{ClientId, Recipient};

/// The new version of each list that changed; 0 where it is empty now.
pub(crate) type Changes = Vec<(Recipient, i64)>;

/// The applications by id.
pub(crate) type ById = BTreeMap<ClientId, Arc<Application>>;

/// What a node has in memory; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// The versions of all lists that are not empty, so that a poll for nothing new does not touch the disk.
    pub(crate) versions: Versions,
    /// The applications, which each request asks for; they are few and change seldom.
    pub(crate) applications: Applications,
}

/// The versions of lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions {
    // Written by the engine alone, after a commit; held for a look-up, never over I/O.
    by_recipient: Arc<RwLock<HashMap<Recipient, i64>>>,
}

impl Versions {
    /// Returns the version of a list; 0 where it is empty.
    pub(crate) fn of(&self, recipient: &Recipient) -> i64 {
        self.by_recipient.read().unwrap_or_else(PoisonError::into_inner).get(recipient).copied().unwrap_or(0)
    }

    pub(crate) fn apply(&self, changes: &Changes) {
        let mut by_recipient = self.by_recipient.write().unwrap_or_else(PoisonError::into_inner);
        for (recipient, version) in changes {
            match version {
                0 => by_recipient.remove(recipient),
                version => by_recipient.insert(*recipient, *version),
            };
        }
    }
}

/// The applications as they are on disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applications {
    // Replaced by the engine alone, after a commit; held for a look-up, never over I/O.
    by_id: Arc<RwLock<ById>>,
}

impl Applications {
    pub(crate) fn get(&self, client_id: &ClientId) -> Option<Arc<Application>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Application>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn replace(&self, by_id: &ById) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).clone_from(by_id);
    }
}
