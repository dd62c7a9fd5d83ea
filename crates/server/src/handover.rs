//! What a run of the node leaves to the next one: rings, receipts and live calls, at a graceful stop.

use std::time::Duration;

use protocol::id::ConnectorId;
use protocol::json;
use sessions::registry::Registry;
use store::handover::Handover;

use crate::connectors::Connectors;
use crate::node::Node;

/// What the next run is to know.
pub(crate) fn of(node: &Node) -> Handover {
    let registry = &node.registry;
    let connectors = node.connectors.save(node.clock.running());
    Handover {
        states: registry.save().into_iter().map(|(of, state)| (of, json::encode(&state))).collect(),
        receipts: registry.save_receipts().iter().map(json::encode).collect(),
        connectors: connectors.iter().map(|(id, state)| (id.to_string(), json::encode(state))).collect(),
    }
}

/// Takes up what the last run left.
pub(crate) fn take_up(registry: &Registry, connectors: &Connectors, now: Duration, handover: Handover) {
    let Handover { states, receipts, connectors: of_connectors } = handover;
    for (id, text) in of_connectors {
        if let Some((id, saved)) = ConnectorId::parse(&id).ok().zip(read(&text)) {
            connectors.restore(&id, saved, now);
        }
    }
    registry.restore_receipts(receipts.iter().filter_map(|text| read(text)).collect());
    registry.restore(states.into_iter().filter_map(|(of, text)| Some((of, read(&text)?))).collect());
}

/// Reads what the last run wrote; what cannot be read concerns one recipient or one event, which begins anew.
fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let read = serde_json::from_str(text);
    read.inspect_err(|error| tracing::warn!(%error, "what the last run handed over is unreadable")).ok()
}
