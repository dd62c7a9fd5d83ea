//! What an operator sees of the deliveries.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The measurements of the deliveries; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Requests sent, by profile and by what came of them.
    pub attempts: Family<OfAttempt, Counter>,
    /// From taking an event to the begin of its first attempt.
    pub taken_to_attempted: Histogram,
    /// From the begin of an attempt to its end.
    pub attempt: Histogram,
    /// Deliveries queued, on disk.
    pub queued: Gauge,
    /// Requests on their way.
    pub in_flight: Gauge,
    /// Outcomes that wait for the disk.
    pub outcomes: Gauge,
    /// Events recorded for endpoints that took nothing then.
    pub suppressed: Counter,
    /// Deliveries given up.
    pub dead: Counter,
    /// Callback URLs disabled.
    pub disabled: Counter,
    /// Requests over a kept connection.
    pub reused: Counter,
    /// Connections refused by the rules on addresses.
    pub forbidden: Counter,
}

/// The labels of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfAttempt {
    /// The profile.
    pub profile: &'static str,
    /// What came of it.
    pub outcome: Came,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the values of the label as they are read")]
pub enum Came {
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
        let metrics = Self {
            attempts: Family::default(),
            taken_to_attempted: Histogram::new(exponential_buckets(0.000_25, 2.0, 20)),
            attempt: Histogram::new(exponential_buckets(0.000_25, 2.0, 18)),
            queued: Gauge::default(),
            in_flight: Gauge::default(),
            outcomes: Gauge::default(),
            suppressed: Counter::default(),
            dead: Counter::default(),
            disabled: Counter::default(),
            reused: Counter::default(),
            forbidden: Counter::default(),
        };
        let help = "Webhook requests sent, by profile and by what came of them";
        registry.register("webhook_attempts", help, metrics.attempts.clone());
        let help = "Time from taking an event to the begin of its first attempt";
        registry.register_with_unit("webhook_taken_to_attempted", help, Unit::Seconds, metrics.taken_to_attempted.clone());
        registry.register_with_unit(
            "webhook_attempt_duration",
            "Time that a request took",
            Unit::Seconds,
            metrics.attempt.clone(),
        );
        registry.register("webhook_deliveries_queued", "Deliveries that are queued on disk", metrics.queued.clone());
        registry.register("webhook_requests_in_flight", "Requests that are on their way", metrics.in_flight.clone());
        registry.register("webhook_outcomes_waiting", "Outcomes of requests that wait for the disk", metrics.outcomes.clone());
        let help = "Events recorded for endpoints that took nothing when they came";
        registry.register("webhook_deliveries_suppressed", help, metrics.suppressed.clone());
        registry.register("webhook_deliveries_dead", "Deliveries that were given up", metrics.dead.clone());
        registry.register("webhook_urls_disabled", "Callback URLs disabled for failing or being gone", metrics.disabled.clone());
        registry.register("webhook_connections_reused", "Requests over a kept connection", metrics.reused.clone());
        let help = "Attempts refused since the host's address is private or otherwise not public";
        registry.register("webhook_addresses_refused", help, metrics.forbidden.clone());
        metrics
    }
}
