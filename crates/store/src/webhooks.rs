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

mod log; // attempts, deliveries and what was sent, for those who ask
mod outcome; // what became of attempts, a batch in a commit
mod queue; // what is due, endpoint by endpoint
mod replay; // deliveries queued anew
mod purge; // what is kept of a customer, or of one negotiator, goes

use jiff::Timestamp;
use rusqlite::{Transaction, params};

pub use self::log::{AttemptRow, AttemptsPage, DeliveryRow};
pub use self::outcome::{AttemptOutcome, Disposition, OutcomeBatch};
pub use self::purge::PurgeStep;
pub use self::queue::{DueRow, EndpointQueue, Settled};
pub use self::replay::{Candidate, Requeue};

use crate::Store;
use crate::error::StoreError;
use crate::idempotency::{self, Claim, Claimed};

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

impl DeliveryState {
    const ALL: [Self; 5] = [Self::Queued, Self::Delivered, Self::Dead, Self::Cancelled, Self::Suppressed];

    fn code(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Delivered => 1,
            Self::Dead => 2,
            Self::Cancelled => 3,
            Self::Suppressed => 4,
        }
    }

    fn read(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Self> {
        let code: i64 = row.get(column)?;
        let state = Self::ALL.into_iter().find(|state| state.code() == code);
        state.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, code))
    }
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

impl Store {
    /// Writes events with their deliveries. Durable when it returns. Where the same key was written before, nothing is added and
    /// the first answer is given.
    ///
    /// # Errors
    /// Any [`StoreError`]; after [`StoreError::Busy`] it may have been written.
    pub async fn enqueue(&self, enqueue: Enqueue, claim: Option<Claim>, now: Timestamp) -> Result<Claimed, StoreError> {
        let Enqueue { events, on_commit } = enqueue;
        let run = move |transaction: &Transaction<'_>| {
            let earlier = claim.as_ref().map(|claim| idempotency::claim(transaction, claim, now)).transpose()?.flatten();
            match earlier {
                Some(earlier) => Ok((earlier, Vec::new())),
                None => Ok((Claimed::First, add(transaction, &events)?)),
            }
        };
        let done = move |(claimed, numbers): &(Claimed, Vec<i64>)| {
            if *claimed == Claimed::First {
                on_commit(numbers);
            }
        };
        self.shared.writer.write(self.shared.config.timeout, run, done).await.map(|(claimed, _)| claimed)
    }
}

/// Writes events in a commit that others share; gives their numbers.
pub(crate) fn add(transaction: &Transaction<'_>, events: &[NewEvent]) -> rusqlite::Result<Vec<i64>> {
    let mut event = transaction.prepare_cached("INSERT INTO webhook_event (taken, document) VALUES (?1, ?2)")?;
    let mut delivery = transaction.prepare_cached("INSERT INTO webhook_delivery VALUES (?1, ?2, ?3, ?4, 0, 0)")?;
    let mut numbers = Vec::with_capacity(events.len());
    for NewEvent { document, taken, deliveries } in events {
        event.execute(params![taken.as_millisecond(), document])?;
        let number = transaction.last_insert_rowid();
        for NewDelivery { endpoint, due } in deliveries {
            let state = if due.is_some() { DeliveryState::Queued } else { DeliveryState::Suppressed };
            delivery.execute(params![number, endpoint, state.code(), due.map(Timestamp::as_millisecond)])?;
        }
        numbers.push(number);
    }
    let queued = events.iter().flat_map(|event| &event.deliveries).filter(|delivery| delivery.due.is_some());
    count(transaction, queued.map(|delivery| (delivery.endpoint, 1)))?;
    Ok(numbers)
}

/// Notes that queues grew or shrank, one write for each endpoint.
fn count(transaction: &Transaction<'_>, changes: impl Iterator<Item = (i64, i64)>) -> rusqlite::Result<()> {
    let mut by_endpoint = std::collections::BTreeMap::new();
    changes.for_each(|(endpoint, change)| *by_endpoint.entry(endpoint).or_insert(0) += change);
    let mut update = transaction.prepare_cached(
        "INSERT INTO webhook_queue VALUES (?1, ?2) ON CONFLICT DO UPDATE SET queued = queued + excluded.queued",
    )?;
    by_endpoint.into_iter().filter(|(_, change)| *change != 0).try_for_each(|change| update.execute(change).map(drop))
}

fn millis(at: i64) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}
