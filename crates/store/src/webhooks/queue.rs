//! What is due, endpoint by endpoint.

use jiff::Timestamp;

/// The queue of an endpoint as a node finds it when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointQueue {
    /// The endpoint's number.
    pub endpoint: i64,
    /// How many deliveries are queued.
    pub queued: i64,
    /// When the first of them is due.
    pub first_due: Option<Timestamp>,
    /// The number of the newest attempt.
    pub newest_attempt: i64,
}

/// How far the end of a queue has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Whether that was all.
    pub is_done: bool,
    /// The number of the last event that is concerned.
    pub upto: i64,
    /// How many deliveries are queued still, those of later events.
    pub queued: i64,
}

/// A delivery that is queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// The event's number.
    pub event: i64,
    /// When it is due.
    pub due: Timestamp,
    /// How often it failed.
    pub failures: u32,
    /// How often it was sent.
    pub sends: u32,
    /// When the broker took it.
    pub taken: Timestamp,
    /// What happened.
    pub document: String,
}
