//! Where does an event go? One function: who has read it knows the product.

use protocol::authorise::Event;
use protocol::frame;
use protocol::id::{EventId, NegotiatorId};
use protocol::payload::Timing;
use serde::Serialize;
use sessions::receipts::Poster;
use sessions::registry::When;
use store::error::StoreError;
use store::idempotency::{Claim, Claimed};
use store::missed::NewMissed;
use store::webhooks::Enqueue;

use crate::app::Node;
use crate::idempotency::Owner;
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

/// The receipt, or that of an earlier call with the same key; empty where nobody asked for it.
#[derive(Debug)]
pub(crate) enum Dispatched {
    Done(String),
    Repeated(String),
    Conflict,
    /// It was shown, with this receipt; what subscribers are to be told is not on disk.
    Shown(String, StoreError),
}

/// How an event was posted.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) when: When,
    pub(crate) key: Option<Keyed>,
    /// Whether the caller asks what became of it.
    pub(crate) asks: bool,
}

/// A call that is repeated under its key.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    pub(crate) owner: Owner,
    /// SHA-256 of the body.
    pub(crate) body: [u8; 32],
    /// The receipt of an earlier call that was shown, but not written.
    pub(crate) shown: Option<String>,
}

/// Queues a live event to the sessions of its recipients, or writes a missed call to disk; and what subscribers are to be told, with
/// it. When it returns, a live event is in the socket or the queue of every session that it was for, or that session was closed as
/// slow; a missed call is on disk, and no longer rings; and what subscribers are to be told is on disk.
pub(crate) async fn dispatch(node: &Node, event: &Event<'_>, posted: Posted) -> Result<Dispatched, StoreError> {
    let is_told = posted.asks || posted.key.is_some();
    let Posted { when, key, .. } = posted;
    let receipt = match event.sub_type().timing() {
        Timing::Live => {
            let shown = key.as_ref().and_then(|key| key.shown.clone());
            let receipt = match shown {
                Some(receipt) => receipt,
                None => {
                    let counts = show(node, event, when);
                    // Written only for who reads it.
                    if is_told { receipt(event, &counts) } else { String::new() }
                }
            };
            if let Some(enqueue) = tell::match_call(node, event) {
                let claim = key.map(|key| claim(key, receipt.clone()));
                match node.store.enqueue(enqueue, claim, event.at()).await {
                    Ok(Claimed::First) => {}
                    Ok(Claimed::Repeated(answer)) => return Ok(Dispatched::Repeated(answer)),
                    Ok(Claimed::Conflict) => return Ok(Dispatched::Conflict),
                    Err(error) => return Ok(Dispatched::Shown(receipt, error)),
                }
            }
            receipt
        }
        Timing::Polled => {
            let receipt = receipt(event, &[]);
            let claim = key.map(|key| claim(key, receipt.clone()));
            let claimed = node.store.add_missed(missed(event, claim, tell::match_call(node, event))).await?;
            if claimed == Claimed::Conflict {
                return Ok(Dispatched::Conflict);
            }
            // On a repeat as well: who asked first may have gone before this was reached.
            let (call_id, created) = (event.call_id(), event.created());
            event.recipients().for_each(|recipient| node.registry.miss(&recipient, &call_id, created));
            match claimed {
                Claimed::Repeated(answer) => return Ok(Dispatched::Repeated(answer)),
                Claimed::First | Claimed::Conflict => receipt,
            }
        }
    };
    node.metrics.event_taken(event.sub_type());
    tracing::debug!(event = %event.id(), customer = %event.customer(), targets = event.targets().len(), "dispatched");
    Ok(Dispatched::Done(receipt))
}

/// Shows a live event; gives in how many sessions of each target.
fn show(node: &Node, event: &Event<'_>, when: When) -> Vec<usize> {
    let poster = Poster { client_id: event.client_id(), customer: event.customer() };
    let counts = node.registry.deliver(frame::encode(event), poster, event.recipients(), when);
    let exemplar = telemetry::exemplar(node);
    let at = exemplar.is_some().then(|| node.clock.now().into());
    node.metrics.taken_to_queued.observe(node.clock.running().saturating_sub(when.taken).as_secs_f64(), exemplar, at);
    counts
}

fn receipt(event: &Event<'_>, counts: &[usize]) -> String {
    let counts = counts.iter().copied().chain(std::iter::repeat(0));
    let targets = event.targets().iter().zip(counts);
    let targets = targets.map(|(&negotiator_id, sessions)| Reached { negotiator_id, sessions }).collect();
    serde_json::to_string(&Receipt { id: event.id(), targets }).unwrap_or_default()
}

fn claim(Keyed { owner: (client_id, customer, key), body, .. }: Keyed, answer: String) -> Claim {
    Claim { client_id, customer, key, body, answer }
}

fn missed(event: &Event<'_>, claim: Option<Claim>, enqueue: Option<Enqueue>) -> NewMissed {
    NewMissed {
        customer: event.customer(),
        negotiators: event.targets().to_vec(),
        id: event.id(),
        created: event.at(),
        notification: frame::encode_notification(event),
        claim,
        enqueue,
    }
}
