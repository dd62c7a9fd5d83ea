//! What an operator sees of the deliveries.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

/// The measurements of the deliveries; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) attempts: Family<OfAttempt, Counter>,
    pub(crate) taken_to_attempted: Histogram,
    pub(crate) attempt: Histogram,
    pub(crate) queued: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) outcomes: Gauge,
    pub(crate) suppressed: Counter,
    pub(crate) dead: Counter,
    pub(crate) disabled: Counter,
    pub(crate) reused: Counter,
    pub(crate) forbidden: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfAttempt {
    pub(crate) profile: &'static str,
    pub(crate) outcome: Came,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the values of the label as they are read")]
pub(crate) enum Came {
    /// It was taken.
    delivered,
    /// It is sent again.
    retried,
    /// It was given up.
    dead,
}

impl Metrics {
    /// Makes the measurements known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let (begins, ends) = (exponential_buckets(0.000_25, 2.0, 20), exponential_buckets(0.000_25, 2.0, 18));
        let until_attempted = "Time from taking an event to the begin of its first attempt";
        let suppressed = "Events recorded for endpoints that took nothing when they came";
        let forbidden = "Attempts refused since the host's address is private or otherwise not public";
        Self {
            attempts: metric(registry, "webhook_attempts", "Webhook requests sent, by profile and by what came of them"),
            taken_to_attempted: seconds(registry, "webhook_taken_to_attempted", until_attempted, begins),
            attempt: seconds(registry, "webhook_attempt_duration", "Time that a request took", ends),
            queued: metric(registry, "webhook_deliveries_queued", "Deliveries that are queued on disk"),
            in_flight: metric(registry, "webhook_requests_in_flight", "Requests that are on their way"),
            outcomes: metric(registry, "webhook_outcomes_waiting", "Outcomes of requests that wait for the disk"),
            suppressed: metric(registry, "webhook_deliveries_suppressed", suppressed),
            dead: metric(registry, "webhook_deliveries_dead", "Deliveries that were given up"),
            disabled: metric(registry, "webhook_urls_disabled", "Callback URLs disabled for failing or being gone"),
            reused: metric(registry, "webhook_connections_reused", "Requests over a kept connection"),
            forbidden: metric(registry, "webhook_addresses_refused", forbidden),
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
