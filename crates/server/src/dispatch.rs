//! Where does an event go? One function: who has read it knows the product.

use protocol::authorise::{Event, Live, Missed, Told};
use protocol::frame;
use protocol::id::{EventId, NegotiatorId};
use protocol::json;
use serde::Serialize;
use sessions::receipts::Poster;
use sessions::registry::When;
use store::error::StoreError;
use store::missed::NewMissed;

use crate::idempotency::{Key, Worked};
use crate::node::Node;
use crate::{telemetry, tell};

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Receipt {
    id: EventId,
    targets: Vec<Reached>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reached {
    negotiator_id: NegotiatorId,
    /// In how many queues it is; 0: nobody was logged in.
    sessions: usize,
}

/// How an event was posted.
#[derive(Debug)]
pub(crate) struct Posted<'a> {
    pub(crate) when: When,
    pub(crate) key: Option<&'a Key>,
    /// The receipt of an earlier call under the key that was shown, but not written.
    pub(crate) shown: Option<String>,
    /// Whether the caller asks what became of it.
    pub(crate) asks: bool,
}

/// Queues a live event to the sessions of its recipients, or writes a missed call to disk; and what subscribers are to be told, with
/// it. When it returns, a live event is in the socket or the queue of every session that it was for, or that session was closed as
/// slow; a missed call is on disk, and no longer rings; and what subscribers are to be told is on disk.
pub(crate) async fn dispatch(node: &Node, event: &Event<'_>, posted: Posted<'_>) -> Result<Worked, StoreError> {
    let worked = match event {
        Event::Live(event) => show(node, event, posted).await,
        // What waits for the disk is boxed, so that what is only shown has no room for it: a connection holds all of this.
        Event::Missed(event) => Box::pin(keep(node, event, posted)).await?,
    };
    if matches!(worked, Worked::Done(_)) {
        node.metrics.event_taken(event.sub_type());
        tracing::debug!(event = %event.id(), customer = %event.customer(), targets = event.targets().len(), "dispatched");
    }
    Ok(worked)
}

/// Shows a live event, and writes what subscribers are to be told. What was shown before is not shown again.
async fn show(node: &Node, event: &Live<'_>, posted: Posted<'_>) -> Worked {
    let Posted { when, key, shown, asks } = posted;
    let receipt = match shown {
        Some(receipt) => receipt,
        None => {
            let counts = deliver(node, event, when);
            // Written only for who reads it.
            if asks || key.is_some() { receipt(event, &counts) } else { String::new() }
        }
    };
    let Some(enqueue) = tell::match_call(node, event) else { return Worked::Done(receipt) };
    let claim = key.map(|key| key.claim(receipt.clone()));
    match Box::pin(node.store.enqueue(enqueue, claim, event.at())).await {
        Ok(claimed) => Worked::of(claimed, receipt),
        Err(error) => Worked::Shown(receipt, error),
    }
}

/// Writes a missed call, with what subscribers are to be told; then it rings no longer.
async fn keep(node: &Node, event: &Missed<'_>, posted: Posted<'_>) -> Result<Worked, StoreError> {
    let receipt = receipt(event, &[]);
    let missed = NewMissed {
        customer: event.customer(),
        negotiators: event.targets().to_vec(),
        id: event.id(),
        created: event.at(),
        notification: frame::encode_notification(event),
        claim: posted.key.map(|key| key.claim(receipt.clone())),
        enqueue: tell::match_call(node, event),
    };
    let worked = Worked::of(node.store.add_missed(missed).await?, receipt);
    if !matches!(worked, Worked::Conflict) {
        // On a repeat as well: who asked first may have gone before this was reached.
        let (call_id, created) = (event.call_id(), event.created());
        event.recipients().for_each(|recipient| node.registry.miss(&recipient, &call_id, created));
    }
    Ok(worked)
}

/// Queues a live event; returns in how many sessions of each target.
fn deliver(node: &Node, event: &Live<'_>, when: When) -> Vec<usize> {
    let poster = Poster { client_id: event.client_id(), customer: event.customer() };
    let counts = node.registry.deliver(frame::encode(event), poster, event.recipients(), when);
    let exemplar = telemetry::exemplar(node);
    let at = exemplar.is_some().then(|| node.clock.now().into());
    node.metrics.taken_to_queued.observe(node.clock.running().saturating_sub(when.taken).as_secs_f64(), exemplar, at);
    counts
}

fn receipt(event: &Told<'_>, counts: &[usize]) -> String {
    let counts = counts.iter().copied().chain(std::iter::repeat(0));
    let targets = event.targets().iter().zip(counts);
    let targets = targets.map(|(&negotiator_id, sessions)| Reached { negotiator_id, sessions }).collect();
    json::encode(&Receipt { id: event.id(), targets })
}
