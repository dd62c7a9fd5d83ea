//! What an operator sees of the door. The other crates register their own.

use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use protocol::payload::SubType;
use sessions::metrics::latency_buckets;

/// The door's measurements; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Events taken, by sub-type.
    events: Family<OfSubType, Counter>,
    events_by_sub_type: OfSubTypes,
    /// Refusals, by reason.
    pub(crate) refusals: Family<Because, Counter>,
    /// Repeated calls that were answered and not done again.
    pub(crate) replays: Counter,
    /// Callbacks of telephone systems, by vendor and outcome.
    pub(crate) callbacks: Family<OfCallback, Counter>,
    /// What was left out of callbacks, by vendor and reason.
    pub(crate) callback_notes: Family<OfNote, Counter>,
    /// How long ago the keys of an issuer were last read, in seconds.
    pub(crate) keys_age: Family<OfIssuer, Gauge>,
    /// Readings of an issuer's keys that failed.
    pub(crate) keys_failures: Family<OfIssuer, Counter>,
    /// Connections that are open, sessions among them.
    pub(crate) connections: Gauge,
    /// Connections of operators that are open.
    pub(crate) operator_connections: Gauge,
    /// Connections that ended before their first request, by step.
    pub(crate) openings_failed: Family<OfStep, Counter>,
    /// When the certificate of a listener ends.
    pub(crate) certificate_expires: Family<OfListener, Gauge>,
    /// From the last byte of the body to the queues of all sessions.
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
        let metrics = Self {
            events: Family::default(),
            events_by_sub_type: OfSubTypes::default(),
            refusals: Family::default(),
            replays: Counter::default(),
            callbacks: Family::default(),
            callback_notes: Family::default(),
            keys_age: Family::default(),
            keys_failures: Family::default(),
            connections: Gauge::default(),
            operator_connections: Gauge::default(),
            openings_failed: Family::default(),
            certificate_expires: Family::default(),
            taken_to_queued: HistogramWithExemplars::new(latency_buckets()),
        };
        registry.register("events", "Call events taken, by sub-type", metrics.events.clone());
        registry.register("refusals", "Requests that were refused, by reason", metrics.refusals.clone());
        registry.register(
            "idempotent_replays",
            "Calls that were answered from memory and not done again",
            metrics.replays.clone(),
        );
        registry.register("connector_callbacks", "Callbacks of telephone systems, by outcome", metrics.callbacks.clone());
        let help = "What was left out of callbacks, by reason";
        registry.register("connector_left_out", help, metrics.callback_notes.clone());
        let help = "How long ago the keys of an issuer were last read";
        registry.register_with_unit("issuer_keys_age", help, Unit::Seconds, metrics.keys_age.clone());
        let help = "Readings of an issuer's keys that failed";
        registry.register("issuer_keys_failures", help, metrics.keys_failures.clone());
        registry.register("connections", "Connections that are open, sessions among them", metrics.connections.clone());
        let help = "Connections of operators that are open";
        registry.register("operator_connections", help, metrics.operator_connections.clone());
        let help = "Connections that ended before their first request, by the step that failed";
        registry.register("openings_failed", help, metrics.openings_failed.clone());
        let help = "When the certificate of a listener ends, in seconds since 1970";
        registry.register("certificate_expires_timestamp_seconds", help, metrics.certificate_expires.clone());
        let help = "From the last byte of an event's body to the queues of all its sessions";
        registry.register_with_unit("event_taken_to_queued", help, Unit::Seconds, metrics.taken_to_queued.clone());
        metrics
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
