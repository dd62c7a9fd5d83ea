//! What an operator sees of the sessions.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};
use protocol::message::Resume;

/// The sessions' measurements; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) open: Gauge,
    pub(crate) recipients: Gauge,
    pub(crate) opened: Counter,
    pub(crate) closed: Family<Closed, Counter>,
    pub(crate) queued: Counter,
    pub(crate) written: Counter,
    pub(crate) expired: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) resumed: Family<Resumed, Counter>,
    pub(crate) late: Counter,
    pub(crate) calls_dropped: Counter,
    pub(crate) shown: Counter,
    pub(crate) dismissed: Counter,
    pub(crate) receipts: Gauge,
    pub(crate) ring_bytes: Gauge,
    pub(crate) taken_to_acknowledged: Histogram,
    pub(crate) waiting: Gauge,
    pub(crate) taken_to_written: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Closed {
    pub(crate) code: Code,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Resumed {
    pub(crate) resume: ResumeLabel,
}

/// What a client was told of its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the labels as they are published")]
pub(crate) enum ResumeLabel {
    /// No cursor was brought.
    new,
    /// Everything since the cursor followed.
    full,
    /// A gap is possible.
    none,
}

impl From<Resume> for ResumeLabel {
    fn from(resume: Resume) -> Self {
        match resume {
            Resume::New => Self::new,
            Resume::Full => Self::full,
            Resume::None => Self::none,
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    /// The broker closed with this code.
    Sent(u16),
    /// The client closed.
    Client,
    /// The line broke, or a write stalled.
    Gone,
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Sent(code) => EncodeLabelValue::encode(&u64::from(*code), encoder),
            Self::Client => EncodeLabelValue::encode(&"client", encoder),
            Self::Gone => EncodeLabelValue::encode(&"gone", encoder),
        }
    }
}

/// Buckets from 20 µs to 0.65 s.
pub fn latency_buckets() -> impl Iterator<Item = f64> {
    exponential_buckets(0.000_02, 2.0, 16)
}

impl Metrics {
    /// Makes the measurements known to `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let recipients = "Negotiators who are logged in, were of late, or for whom something happened";
        let until_acknowledged = "From taking an event to a client's word that it has it";
        let until_written = "From taking an event to its last byte in a session's socket";
        Self {
            open: metric(registry, "sessions", "Sessions that are open"),
            recipients: metric(registry, "recipients", recipients),
            opened: metric(registry, "sessions_opened", "Sessions that were opened"),
            closed: metric(registry, "sessions_closed", "Sessions that ended, by close code"),
            queued: metric(registry, "deliveries_queued", "Events put into the queue of a session"),
            written: metric(registry, "deliveries_written", "Events written to the socket of a session"),
            expired: metric(registry, "deliveries_expired", "Events that ended before they were written"),
            acknowledged: metric(registry, "deliveries_acknowledged", "Acknowledgements from clients"),
            resumed: metric(registry, "sessions_resumed", "What clients were told of their cursors"),
            late: metric(registry, "deliveries_late", "Events overtaken by a later state of their call"),
            calls_dropped: metric(registry, "calls_dropped", "Live calls let go since a negotiator had too many"),
            shown: metric(registry, "calls_shown", "Calls that a person saw"),
            dismissed: metric(registry, "calls_dismissed", "Calls that a person put aside"),
            receipts: metric(registry, "receipts", "Negotiators and devices in the receipts of recent events"),
            ring_bytes: bytes(registry, "rings", "Bytes kept for clients that come back"),
            taken_to_acknowledged: seconds(registry, "event_taken_to_acknowledged", until_acknowledged, latency_buckets()),
            waiting: metric(registry, "session_queue_events", "Events that wait in session queues"),
            taken_to_written: seconds(registry, "event_taken_to_written", until_written, latency_buckets()),
        }
    }
}

fn metric<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn bytes(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
    gauge
}

fn seconds(registry: &mut Registry, name: &str, help: &str, buckets: impl Iterator<Item = f64>) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}
