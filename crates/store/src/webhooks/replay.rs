//! Deliveries queued anew: one by one, or step by step over a range of time.

use jiff::Timestamp;

use super::DeliveryState;

/// When events were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenRange {
    /// From when, included.
    pub since: Timestamp,
    /// Until when, not included.
    pub until: Timestamp,
}

/// An event that may be queued anew for an endpoint.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The event's number.
    pub event: i64,
    /// When the broker took it.
    pub taken: Timestamp,
    /// Where its delivery stands; `None` where there was none.
    pub state: Option<DeliveryState>,
    /// What happened.
    pub document: String,
}

/// Events to queue anew for an endpoint.
#[derive(Debug, Clone)]
pub struct Requeue {
    /// The endpoint's number.
    pub endpoint: i64,
    /// The events' numbers.
    pub events: Vec<i64>,
    /// When they are due.
    pub due: Timestamp,
    /// The id of the replay and what is to be remembered of it, in the same commit.
    pub replay: Option<(String, String)>,
}
