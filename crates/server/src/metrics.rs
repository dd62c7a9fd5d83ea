//! What an operator sees of the server. The other crates register their own.

use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry, Unit};
use protocol::payload::SubType;
use sessions::metrics::latency_buckets;

/// The server's measurements; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    events: Family<OfSubType, Counter>,
    events_by_sub_type: OfSubTypes,
    pub(crate) refusals: Family<Because, Counter>,
    pub(crate) replays: Counter,
    pub(crate) callbacks: Family<OfCallback, Counter>,
    pub(crate) callback_notes: Family<OfNote, Counter>,
    pub(crate) keys_age: Family<OfIssuer, Gauge>,
    pub(crate) keys_failures: Family<OfIssuer, Counter>,
    pub(crate) connections: Gauge,
    pub(crate) operator_connections: Gauge,
    pub(crate) openings_failed: Family<OfStep, Counter>,
    pub(crate) certificate_expires: Family<OfListener, Gauge>,
    pub(crate) taken_to_queued: HistogramWithExemplars<OfTrace>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSubType {
    sub_type: &'static str,
}

/// The counters of the sub-types, each looked for once and not for each event.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfSubTypes {
    incoming: OnceLock<Counter>,
    answered: OnceLock<Counter>,
    ended: OnceLock<Counter>,
    missed: OnceLock<Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfCallback {
    pub(crate) vendor: &'static str,
    /// `taken`, `repeated` or `refused`.
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfNote {
    pub(crate) vendor: &'static str,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfStep {
    /// `proxy-protocol` or `tls`.
    pub(crate) step: &'static str,
}

/// The trace of an example.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfTrace {
    pub(crate) trace_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfListener {
    /// `api` or `operators`.
    pub(crate) listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Because {
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfIssuer {
    pub(crate) issuer: String,
}

impl Metrics {
    /// Makes the measurements known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let keys_age = "How long ago the keys of an issuer were last read";
        let openings_failed = "Connections that ended before their first request, by the step that failed";
        let certificate_expires = "When the certificate of a listener ends, in seconds since 1970";
        let until_queued = "From the last byte of an event's body to the queues of all its sessions";
        Self {
            events: metric(registry, "events", "Call events taken, by sub-type"),
            events_by_sub_type: OfSubTypes::default(),
            refusals: metric(registry, "refusals", "Requests that were refused, by reason"),
            replays: metric(registry, "idempotent_replays", "Calls that were answered from memory and not done again"),
            callbacks: metric(registry, "connector_callbacks", "Callbacks of telephone systems, by outcome"),
            callback_notes: metric(registry, "connector_left_out", "What was left out of callbacks, by reason"),
            keys_age: seconds(registry, "issuer_keys_age", keys_age, Family::default()),
            keys_failures: metric(registry, "issuer_keys_failures", "Readings of an issuer's keys that failed"),
            connections: metric(registry, "connections", "Connections that are open, sessions among them"),
            operator_connections: metric(registry, "operator_connections", "Connections of operators that are open"),
            openings_failed: metric(registry, "openings_failed", openings_failed),
            certificate_expires: metric(registry, "certificate_expires_timestamp_seconds", certificate_expires),
            taken_to_queued: seconds(
                registry,
                "event_taken_to_queued",
                until_queued,
                HistogramWithExemplars::new(latency_buckets()),
            ),
        }
    }

    /// Counts an event that was taken.
    pub(crate) fn event_taken(&self, sub_type: SubType) {
        let OfSubTypes { incoming, answered, ended, missed } = &self.events_by_sub_type;
        let counter = match sub_type {
            SubType::IncomingCall => incoming,
            SubType::AnsweredCall => answered,
            SubType::EndedCall => ended,
            SubType::MissedCall => missed,
        };
        let find = || self.events.get_or_create(&OfSubType { sub_type: sub_type.name() }).clone();
        counter.get_or_init(find).inc();
    }
}

fn metric<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn seconds<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}
