//! What an operator sees of the store.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

/// The store's measurements; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) commit: Histogram,
    pub(crate) batch: Histogram,
    pub(crate) queued: Gauge,
    pub(crate) missed_stored: Counter,
    pub(crate) missed_expired: Counter,
    pub(crate) failures: Counter,
    pub(crate) sound: Gauge,
}

impl Metrics {
    /// Makes the measurements known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let until_synced = "Time that a commit to the store took, sync included";
        Self {
            commit: seconds(registry, "store_commit_duration", until_synced, exponential_buckets(0.000_05, 2.0, 16)),
            batch: writes(registry, "store_commit_writes", "Writes that one commit held"),
            queued: metric(registry, "store_queue_length", "Writes that wait for the store"),
            missed_stored: metric(registry, "missed_calls_stored", "Missed calls written, one for each target"),
            missed_expired: metric(registry, "missed_calls_expired", "Missed calls let go by age or count"),
            failures: metric(registry, "store_commit_failures", "Commits that failed"),
            sound: metric(registry, "store_sound", "1 while the store takes writes, 0 after a failed sync until a restart"),
        }
    }
}

fn metric<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn seconds(registry: &mut Registry, name: &str, help: &str, buckets: impl Iterator<Item = f64>) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

fn writes(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(1.0, 2.0, 10));
    registry.register(name, help, histogram.clone());
    histogram
}
