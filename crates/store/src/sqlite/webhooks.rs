//! Events for subscribers, with their deliveries: queued in the commit of whoever took them.

mod log; // attempts, deliveries and what was sent, for those who ask
mod outcome; // what became of attempts, a batch in a commit
mod queue; // what is due, endpoint by endpoint
mod replay; // deliveries queued anew
mod purge; // what is kept of a customer, or of one negotiator, goes

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};

use super::{Sqlite, idempotency};
use crate::error::StoreError;
use crate::idempotency::{Claim, Claimed};
use crate::webhooks::{DeliveryState, Enqueue, NewDelivery, NewEvent};

impl Sqlite {
    pub(crate) async fn enqueue(&self, enqueue: Enqueue, claim: Option<Claim>, now: Timestamp) -> Result<Claimed, StoreError> {
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
        self.write(run, done).await.map(|(claimed, _)| claimed)
    }
}

/// Writes events in a commit that others share and returns their numbers.
pub(super) fn add(transaction: &Transaction<'_>, events: &[NewEvent]) -> rusqlite::Result<Vec<i64>> {
    let mut event = transaction.prepare_cached("INSERT INTO webhook_event (taken, document) VALUES (?1, ?2)")?;
    let mut delivery = transaction.prepare_cached("INSERT INTO webhook_delivery VALUES (?1, ?2, ?3, ?4, 0, 0)")?;
    let mut numbers = Vec::with_capacity(events.len());
    for NewEvent { document, taken, deliveries } in events {
        event.execute(params![taken.as_millisecond(), document])?;
        let number = transaction.last_insert_rowid();
        for NewDelivery { endpoint, due } in deliveries {
            let state = if due.is_some() { DeliveryState::Queued } else { DeliveryState::Suppressed };
            delivery.execute(params![number, endpoint, code(state), due.map(Timestamp::as_millisecond)])?;
        }
        numbers.push(number);
    }
    let queued = events.iter().flat_map(|event| &event.deliveries).filter(|delivery| delivery.due.is_some());
    count(transaction, queued.map(|delivery| (delivery.endpoint, 1)))?;
    Ok(numbers)
}

/// Notes that queues grew or shrank, one write for each endpoint.
fn count(transaction: &Transaction<'_>, changes: impl Iterator<Item = (i64, i64)>) -> rusqlite::Result<()> {
    let mut by_endpoint = BTreeMap::new();
    changes.for_each(|(endpoint, change)| *by_endpoint.entry(endpoint).or_insert(0) += change);
    let mut update = transaction.prepare_cached(
        "INSERT INTO webhook_queue VALUES (?1, ?2) ON CONFLICT DO UPDATE SET queued = queued + excluded.queued",
    )?;
    by_endpoint.into_iter().filter(|(_, change)| *change != 0).try_for_each(|change| update.execute(change).map(drop))
}

const STATES: [DeliveryState; 5] =
    [DeliveryState::Queued, DeliveryState::Delivered, DeliveryState::Dead, DeliveryState::Cancelled, DeliveryState::Suppressed];

/// Returns what stands for a state in its column.
fn code(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Queued => 0,
        DeliveryState::Delivered => 1,
        DeliveryState::Dead => 2,
        DeliveryState::Cancelled => 3,
        DeliveryState::Suppressed => 4,
    }
}

fn read_state(row: &Row<'_>, column: usize) -> rusqlite::Result<DeliveryState> {
    let found: i64 = row.get(column)?;
    let state = STATES.into_iter().find(|state| code(*state) == found);
    state.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, found))
}
