//! What an operator sees of the store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The store's measurements; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// How long a commit took, sync included.
    pub commit: Histogram,
    /// How many writes a commit held.
    pub batch: Histogram,
    /// How many writes wait.
    pub queued: Gauge,
    /// Missed calls written.
    pub missed_stored: Counter,
    /// Missed calls let go by age or count.
    pub missed_expired: Counter,
    /// Commits that failed.
    pub failures: Counter,
    /// 1 while writes can be taken, 0 after a failed sync.
    pub sound: Gauge,
}

impl Metrics {
    /// Makes the measurements known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commit: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            queued: Gauge::default(),
            missed_stored: Counter::default(),
            missed_expired: Counter::default(),
            failures: Counter::default(),
            sound: Gauge::default(),
        };
        let help = "Time that a commit to the store took, sync included";
        registry.register_with_unit("store_commit_duration", help, Unit::Seconds, metrics.commit.clone());
        registry.register("store_commit_writes", "Writes that one commit held", metrics.batch.clone());
        registry.register("store_queue_length", "Writes that wait for the store", metrics.queued.clone());
        registry.register("missed_calls_stored", "Missed calls written, one for each target", metrics.missed_stored.clone());
        registry.register("missed_calls_expired", "Missed calls let go by age or count", metrics.missed_expired.clone());
        registry.register("store_commit_failures", "Commits that failed", metrics.failures.clone());
        let help = "1 while the store takes writes, 0 after a failed sync until a restart";
        registry.register("store_sound", help, metrics.sound.clone());
        metrics
    }
}
