//! How the node is, at a glance.

use hyper::Response;
use serde_json::json;

use super::json;
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;

/// `GET /status`
pub(super) async fn answer(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let node = of.node;
    let started = node.serving.as_ref().map(|serving| serving.started);
    let state = match started {
        None => "stopped",
        Some(_) if node.is_draining() => "shutting down",
        Some(_) if !node.store.is_sound() => "takes no missed calls: the store is poisoned, see the log",
        Some(_) => "ready",
    };
    let uptime = started.map(|started| node.clock.now().duration_since(started).as_secs());
    let (queued, in_flight) = node.webhooks.totals();
    let metrics = &node.metrics;
    json(&json!({
        "state": state,
        "version": env!("CARGO_PKG_VERSION"),
        "started": started,
        "uptimeSeconds": uptime,
        "dev": node.config.dev,
        "sessions": node.registry.open_sessions(),
        "connections": metrics.connections.get(),
        "store": {
            "folder": node.config.folder, "id": node.store.id(), "sound": node.store.is_sound(), "bytes": node.store.bytes(),
            "missedCalls": node.store.count_missed().await?,
        },
        "applications": node.store.applications().len(),
        "directories": node.directories.all().len(),
        "connectors": node.connectors.all().len(),
        "webhooks": {"subscriptions": node.webhooks.count(), "queued": queued, "inFlight": in_flight},
    }))
}
