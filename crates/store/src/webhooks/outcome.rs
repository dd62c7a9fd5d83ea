//! What became of attempts, recorded in batches. Losing the last batch in a crash means that its deliveries are sent again.

use jiff::Timestamp;

use super::DeliveryState;

/// What became of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptOutcome {
    /// The endpoint's number.
    pub endpoint: i64,
    /// The event's number.
    pub event: i64,
    /// What becomes of the delivery.
    pub disposition: Disposition,
    /// How often it failed.
    pub failures: u32,
    /// How often it was sent.
    pub sends: u32,
    /// The attempt's number, unique for the endpoint and growing, and its record.
    pub attempt: Option<(i64, String)>,
}

/// What becomes of a delivery after an attempt, or instead of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It failed and is due again at this time.
    Retry(Timestamp),
    /// The receiver took it.
    Delivered,
    /// It is given up.
    Dead,
    /// It was not sent: its subscriber may not be told any more.
    Suppressed,
}

impl Disposition {
    /// Returns when the delivery is due again; `None` where it has ended.
    #[must_use]
    pub fn due(self) -> Option<Timestamp> {
        match self {
            Self::Retry(due) => Some(due),
            Self::Delivered | Self::Dead | Self::Suppressed => None,
        }
    }

    /// Returns where the delivery stands then.
    pub(crate) fn state(self) -> DeliveryState {
        match self {
            Self::Retry(_) => DeliveryState::Queued,
            Self::Delivered => DeliveryState::Delivered,
            Self::Dead => DeliveryState::Dead,
            Self::Suppressed => DeliveryState::Suppressed,
        }
    }
}

/// A batch of outcomes and what changed with them.
#[derive(Debug, Clone, Default)]
pub struct OutcomeBatch {
    /// In the order in which they came.
    pub outcomes: Vec<AttemptOutcome>,
    /// How many requests were sent for an application on a day (`2020-05-13`).
    pub sends: Vec<(String, String, u32)>,
    /// How the receivers behind callback URLs are now.
    pub health: Vec<(String, String)>,
}
