//! Telephone numbers are personal data: all that is kept of a customer's calls, or of one negotiator's, goes.
//!
//! `deploy/README.md` says what goes and what stays.

use hyper::Response;
use protocol::id::{CustomerId, NegotiatorId};
use protocol::json;
use serde::{Deserialize, Serialize};
use sessions::receipts::SavedReceipts;
use sessions::recipient::saved::SavedRecipient;
use store::error::StoreError;
use store::handover::Handover;
use store::purge::Whose;

use super::{BODY_BYTES_MAX, json_body};
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;
use crate::node::Node;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WhoseData {
    customer_id: CustomerId,
    negotiator_id: Option<NegotiatorId>,
}

/// What went, in numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gone {
    missed_calls: u64,
    /// Events that subscribers were to be told, with their deliveries and attempts.
    webhook_events: usize,
    webhook_deliveries: usize,
    /// Answers to repeated calls.
    idempotency_keys: u64,
    /// Events that clients could come back for.
    resumable_events: usize,
    live_calls: usize,
    /// Events whose receipts went.
    receipts: usize,
    /// Calls that connectors knew.
    connector_calls: usize,
}

/// `POST /purge`
pub(super) async fn answer(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let node = of.node;
    let WhoseData { customer_id: customer, negotiator_id: negotiator } = json_body(of, BODY_BYTES_MAX).await?;
    let (acting, whose) = (node.clone(), Whose { customer, negotiator });
    let purging = async move { purge(&acting, whose).await };
    let gone = node.to_the_end(purging).await.ok_or(ApiError::Internal)??;
    let negotiator = negotiator.map(|negotiator| negotiator.to_string());
    tracing::info!(%customer, negotiator, ?gone, "personal data taken away by an operator");
    super::json(&gone)
}

/// From memory first: what is written from now on is of later.
async fn purge(node: &Node, whose: Whose) -> Result<Gone, StoreError> {
    let Whose { customer, negotiator } = whose;
    let connector_calls = node.connectors.forget_calls(customer, negotiator).await;
    let forgotten = node.registry.forget_events(customer, negotiator);
    let keys = node.keys.forget_answers(customer, negotiator) as u64;
    let theirs = node.connectors.all().into_iter().filter(|connector| connector.setting.customer == customer);
    let theirs: Vec<_> = theirs.map(|connector| connector.id.to_string()).collect();
    let handed_over = node.store.edit_handover(move |handover| HandedOver::take_from(handover, whose, &theirs)).await?;
    let missed_calls = node.store.purge_missed(whose, None).await?;
    let webhooks = node.webhooks.purge(whose).await?;
    Ok(Gone {
        missed_calls,
        webhook_events: webhooks.events,
        webhook_deliveries: webhooks.deliveries,
        // Those that are on disk stand in memory as well, unless they are on their way out.
        idempotency_keys: keys.max(node.store.purge_idempotency_keys(whose).await?),
        resumable_events: forgotten.events + handed_over.events,
        live_calls: forgotten.calls + handed_over.calls,
        receipts: forgotten.receipts + handed_over.receipts,
        connector_calls: connector_calls + handed_over.connector_calls,
    })
}

/// What went of that which a run has kept for the next one: on a node that is stopped.
#[derive(Debug, Default)]
struct HandedOver {
    events: usize,
    calls: usize,
    receipts: usize,
    connector_calls: usize,
}

impl HandedOver {
    fn take_from(handover: &mut Handover, whose: Whose, connectors: &[String]) -> Self {
        let mut gone = Self::default();
        handover.states.retain(|(of, text)| {
            let is_theirs =
                of.customer == whose.customer && whose.negotiator.is_none_or(|negotiator| of.negotiator == negotiator);
            if is_theirs && let Ok(state) = serde_json::from_str::<SavedRecipient>(text) {
                gone.events += state.ring.len();
                gone.calls += state.calls.len();
            }
            !is_theirs
        });
        handover.receipts.retain_mut(|text| {
            let Ok(before) = serde_json::from_str::<SavedReceipts>(text) else { return false };
            let after = before.clone().without(whose.customer, whose.negotiator);
            gone.receipts += usize::from(after.as_ref() != Some(&before));
            let is_left = after.is_some();
            if let Some(after) = after {
                *text = json::encode(&after);
            }
            is_left
        });
        for (_, text) in handover.connectors.iter_mut().filter(|(id, _)| connectors.contains(id)) {
            let Ok(mut state) = serde_json::from_str::<connectors::state::SavedConnector>(text) else {
                tracing::warn!("what a connector left to the next run is unreadable, and goes whole");
                *text = json::encode(&connectors::state::SavedConnector::default());
                continue;
            };
            gone.connector_calls += state.forget(whose.negotiator.as_ref().map(NegotiatorId::as_str));
            *text = json::encode(&state);
        }
        gone
    }
}
