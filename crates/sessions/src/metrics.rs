//! What an operator sees of the sessions.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use protocol::message::Resume;

/// The sessions' measurements; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Sessions that are open.
    pub open: Gauge,
    /// Recipients of whom something is remembered.
    pub recipients: Gauge,
    /// Sessions that were opened.
    pub opened: Counter,
    /// Sessions that ended, by reason.
    pub closed: Family<Closed, Counter>,
    /// Events put into a session's queue.
    pub queued: Counter,
    /// Events written to a socket.
    pub written: Counter,
    /// Events that ended before they could be written.
    pub expired: Counter,
    /// Events that a client has acknowledged.
    pub acknowledged: Counter,
    /// What clients were told of their cursors.
    pub resumed: Family<Resumed, Counter>,
    /// Events that were overtaken by a later state of their call.
    pub late: Counter,
    /// Live calls that had to go since a recipient had too many.
    pub calls_dropped: Counter,
    /// Calls that a person saw.
    pub shown: Counter,
    /// Calls that a person put aside.
    pub dismissed: Counter,
    /// Negotiators and devices in all receipts.
    pub receipts: Gauge,
    /// What all rings take; held against what they may take, too.
    pub ring_bytes: Gauge,
    /// From the moment an event was taken to a client's word that it has it.
    pub taken_to_acknowledged: Histogram,
    /// Events that wait in the queues of all sessions.
    pub waiting: Gauge,
    /// From the moment an event was taken to its last byte in the socket.
    pub taken_to_written: Histogram,
}

/// Why a session ended: a close code, or `gone` when the line broke.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Closed {
    /// The close code.
    pub code: Code,
}

/// What a client was told of its cursor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Resumed {
    /// `new`, `full` or `none`.
    pub resume: ResumeLabel,
}

/// The label of a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the labels as they are published")]
pub enum ResumeLabel {
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

/// The label of a close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
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
        let metrics = Self {
            open: Gauge::default(),
            recipients: Gauge::default(),
            opened: Counter::default(),
            closed: Family::default(),
            queued: Counter::default(),
            written: Counter::default(),
            expired: Counter::default(),
            acknowledged: Counter::default(),
            resumed: Family::default(),
            late: Counter::default(),
            calls_dropped: Counter::default(),
            shown: Counter::default(),
            dismissed: Counter::default(),
            receipts: Gauge::default(),
            ring_bytes: Gauge::default(),
            taken_to_acknowledged: Histogram::new(latency_buckets()),
            waiting: Gauge::default(),
            taken_to_written: Histogram::new(latency_buckets()),
        };
        registry.register("sessions", "Sessions that are open", metrics.open.clone());
        registry.register(
            "recipients",
            "Negotiators who are logged in, were of late, or for whom something happened",
            metrics.recipients.clone(),
        );
        registry.register("sessions_opened", "Sessions that were opened", metrics.opened.clone());
        registry.register("sessions_closed", "Sessions that ended, by close code", metrics.closed.clone());
        registry.register("deliveries_queued", "Events put into the queue of a session", metrics.queued.clone());
        registry.register("deliveries_written", "Events written to the socket of a session", metrics.written.clone());
        registry.register("deliveries_expired", "Events that ended before they were written", metrics.expired.clone());
        registry.register("deliveries_acknowledged", "Acknowledgements from clients", metrics.acknowledged.clone());
        registry.register("sessions_resumed", "What clients were told of their cursors", metrics.resumed.clone());
        registry.register("deliveries_late", "Events overtaken by a later state of their call", metrics.late.clone());
        registry.register("calls_dropped", "Live calls let go since a negotiator had too many", metrics.calls_dropped.clone());
        registry.register("calls_shown", "Calls that a person saw", metrics.shown.clone());
        registry.register("calls_dismissed", "Calls that a person put aside", metrics.dismissed.clone());
        registry.register("receipts", "Negotiators and devices in the receipts of recent events", metrics.receipts.clone());
        let help = "Bytes kept for clients that come back";
        registry.register_with_unit("rings", help, Unit::Bytes, metrics.ring_bytes.clone());
        let help = "From taking an event to a client's word that it has it";
        registry.register_with_unit("event_taken_to_acknowledged", help, Unit::Seconds, metrics.taken_to_acknowledged.clone());
        registry.register("session_queue_events", "Events that wait in session queues", metrics.waiting.clone());
        let help = "From taking an event to its last byte in a session's socket";
        registry.register_with_unit("event_taken_to_written", help, Unit::Seconds, metrics.taken_to_written.clone());
        metrics
    }
}
