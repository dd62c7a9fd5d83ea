//! Attempts and deliveries, for those who ask.

use jiff::Timestamp;

use super::DeliveryState;

/// An attempt as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its number: Unix microseconds of its begin, made unique for the endpoint.
    pub number: i64,
    /// The event's number.
    pub event: i64,
    /// Its record, JSON.
    pub document: String,
}

/// Which attempts of an endpoint are asked for, newest first.
#[derive(Debug, Clone)]
pub struct AttemptsPage {
    /// Only those with smaller numbers.
    pub before: i64,
    /// Only those with this number or larger.
    pub since: i64,
    /// Only those whose record has this outcome.
    pub outcome: Option<String>,
    /// Only those whose record has this topic.
    pub topic: Option<String>,
    /// How many.
    pub size: u32,
}

/// A delivery with its attempts.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is due.
    pub due: Option<Timestamp>,
    /// How often it was sent.
    pub sends: u32,
    /// When the broker took the event.
    pub taken: Timestamp,
    /// What happened.
    pub document: String,
    /// The attempts in order.
    pub attempts: Vec<AttemptRow>,
}
