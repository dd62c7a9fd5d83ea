//! Deliveries queued anew over a range of time: begun, looked at, stopped.

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use protocol::fault::Faults;
use protocol::json;
use protocol::time;
use serde::Deserialize;
use serde_json::Value;
use webhooks::engine::{Replay, ReplayRequest, Which};

use super::parsed;
use crate::api::answer::json_response;
use crate::api::call::OfApplication;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;
use crate::node::Node;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Range {
    since: String,
    until: Option<String>,
    status: Option<Which>,
}

/// `POST /webhooks/subscriptions/{id}/replay`
pub(in crate::api) async fn begin(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (tenant, [id, _]) = (of.tenant(), of.ids);
    let range: Range = parsed(of).await?;
    tenant.node.webhooks.subscription(id, Some(&tenant.owner())).ok_or(ApiError::NoSuch("subscription"))?;
    let replay = ask(tenant.node, id, &range).await?;
    let mut response = json_response(StatusCode::ACCEPTED, &show(&replay));
    if let Ok(location) = HeaderValue::from_str(&format!("/webhooks/replays/{}", replay.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Begins a replay of a subscription that is there.
pub(crate) async fn ask(node: &Node, id: &str, range: &Range) -> Result<Replay, ApiError> {
    let mut faults = Faults::default();
    let mut moment = |field: &str, text: &str| {
        let at = time::read(text);
        if at.is_none() {
            faults.add(field, "must be a time such as 2023-11-01T10:28:00Z");
        }
        at
    };
    let since = moment("since", &range.since);
    let until = range.until.as_deref().map_or(Some(node.clock.now()), |text| moment("until", text));
    let (Some(since), Some(until)) = (since, until) else { return Err(ApiError::Invalid(faults)) };
    if since >= until {
        faults.add("until", "must be later than since");
        return Err(ApiError::Invalid(faults));
    }
    let request = ReplayRequest { since, until, status: range.status.unwrap_or(Which::Failed) };
    let begun = node.webhooks.replay(id, request).await?;
    begun.ok_or_else(|| ApiError::Conflict("A replay of this subscription is running; wait for it, or stop it".to_owned()))
}

/// A replay as it is shown.
pub(crate) fn show(replay: &Replay) -> Value {
    let mut shown = json::to_tree(replay);
    if let Value::Object(shown) = &mut shown {
        shown.remove("after");
    }
    shown
}

/// `GET /webhooks/replays/{id}`
pub(in crate::api) async fn one(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    Ok(json_response(StatusCode::OK, &show(&own(&of)?)))
}

/// `DELETE /webhooks/replays/{id}`
pub(in crate::api) async fn stop(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    own(&of)?;
    let [id, _] = of.ids;
    let stopped = of.node.webhooks.stop_replay(id).await?.ok_or(ApiError::NoSuch("replay"))?;
    Ok(json_response(StatusCode::OK, &show(&stopped)))
}

fn own(of: &OfApplication<'_>) -> Result<Replay, ApiError> {
    let (engine, owner, [id, _]) = (&of.node.webhooks, of.tenant().owner(), of.ids);
    let is_theirs = |replay: &Replay| engine.subscription(&replay.subscription_id, Some(&owner)).is_some();
    engine.replay_of(id).filter(is_theirs).ok_or(ApiError::NoSuch("replay"))
}
