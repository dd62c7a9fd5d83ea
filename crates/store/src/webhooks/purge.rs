//! What a step of a purge has done.

use std::collections::{BTreeMap, HashSet};

/// What one step has done.
#[derive(Debug, Clone, Default)]
pub struct PurgeStep {
    /// How many events went.
    pub events: usize,
    /// How many deliveries went.
    pub deliveries: usize,
    /// Of them, those that were queued: endpoint → events.
    pub queued: BTreeMap<i64, HashSet<i64>>,
    /// The number of the event that was looked at last; `None`: that was all.
    pub next: Option<i64>,
}
