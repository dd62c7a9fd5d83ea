//! Events for subscribers: queued by endpoint and due time, attempted, kept for a while. What they say is opaque here.
//!
//! Four rules make that nothing taken is lost. What is acknowledged is on disk. A delivery that is queued has a due time, one that
//! is not has none. The due time goes, or moves, only in the commit that records an outcome. Who sends keeps in memory alone what is
//! on its way: after a crash all that is due is due again, so a loss of the last outcomes means a repeat.
//!
//! Who sends must see events in the order of their commits: the first attempts of a call's events go in that order, and a purge must not
//! pass the event that it takes away. Numbers that are returned to each caller do not keep it: callers wake in any order, and one that
//! has gone, whose write is done all the same, would never pass them on. So the engine calls [`Enqueue::on_commit`] itself, one commit
//! after the other.

mod log; // attempts and deliveries, for those who ask
mod outcome; // what became of attempts
mod queue; // what is due, endpoint by endpoint
mod replay; // deliveries queued anew
mod purge; // what a step of a purge has done

use jiff::Timestamp;

pub use self::log::{AttemptRow, AttemptsPage, DeliveryRow};
pub use self::outcome::{AttemptOutcome, Disposition, OutcomeBatch};
pub use self::purge::PurgeStep;
pub use self::queue::{DueRow, EndpointQueue, Settled};
pub use self::replay::{Candidate, Requeue, TakenRange};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It will be attempted when it is due.
    Queued,
    /// The receiver took it.
    Delivered,
    /// It was given up.
    Dead,
    /// Its subscription was taken away.
    Cancelled,
    /// Its endpoint took nothing when it came.
    Suppressed,
}

/// Takes the numbers of events that are on disk, in the order of [`Enqueue::events`].
pub type OnCommit = Box<dyn FnOnce(&[i64]) + Send>;

/// Events for subscribers, written in one commit.
pub struct Enqueue {
    /// The events.
    pub events: Vec<NewEvent>,
    /// Called when they are on disk, in the order of the commits and before whoever wrote them hears of it. It must not wait: the
    /// next commit waits for it.
    pub on_commit: OnCommit,
}

/// An event and for whom it is.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What happened.
    pub document: String,
    /// When the broker took it.
    pub taken: Timestamp,
    /// The endpoints that are told, and those that would be if they took anything now.
    pub deliveries: Vec<NewDelivery>,
}

/// An event for an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery {
    /// The endpoint's number.
    pub endpoint: i64,
    /// When it is to be attempted; `None` where the endpoint takes nothing now.
    pub due: Option<Timestamp>,
}

impl std::fmt::Debug for Enqueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enqueue").field("events", &self.events).finish_non_exhaustive()
    }
}
