//! Deliveries queued anew over a range of time: begun, looked at, stopped.

use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use protocol::fault::Faults;
use protocol::time;
use serde::Deserialize;
use serde_json::Value;
use webhooks::engine::{Replay, ReplayRequest, Which};

use super::{Asking, parsed_body};
use crate::api::answer::json_response;
use crate::api::faults::{ApiError, Body};
use crate::app::Node;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Asked {
    since: String,
    until: Option<String>,
    status: Option<Which>,
}

/// `POST /webhooks/subscriptions/{id}/replay`
pub(super) async fn begin(asking: Asking<'_>, id: &str, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let asked: Asked = parsed_body(asking.node, request).await?;
    asking.node.webhooks.subscription(id, Some(&asking.owner())).ok_or(ApiError::NoSuch("subscription"))?;
    let replay = ask(asking.node, id, &asked).await?;
    let mut response = json_response(StatusCode::ACCEPTED, &show(&replay));
    if let Ok(location) = HeaderValue::from_str(&format!("/webhooks/replays/{}", replay.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Begins a replay of a subscription that is there.
pub(crate) async fn ask(node: &Node, id: &str, asked: &Asked) -> Result<Replay, ApiError> {
    let mut faults = Faults::default();
    let mut moment = |field: &str, text: &str| {
        let at = time::read(text);
        if at.is_none() {
            faults.add(field, "must be a time such as 2023-11-01T10:28:00Z");
        }
        at
    };
    let since = moment("since", &asked.since);
    let until = asked.until.as_deref().map_or(Some(node.clock.now()), |text| moment("until", text));
    let (Some(since), Some(until)) = (since, until) else { return Err(ApiError::Invalid(faults)) };
    if since >= until {
        faults.add("until", "must be later than since");
        return Err(ApiError::Invalid(faults));
    }
    let request = ReplayRequest { since, until, status: asked.status.unwrap_or(Which::Failed) };
    let begun = node.webhooks.replay(id, request).await?;
    begun.ok_or_else(|| ApiError::Conflict("A replay of this subscription is running; wait for it, or stop it".to_owned()))
}

/// A replay as it is shown.
pub(crate) fn show(replay: &Replay) -> Value {
    let mut shown = serde_json::to_value(replay).unwrap_or_default();
    if let Value::Object(shown) = &mut shown {
        shown.remove("after");
    }
    shown
}

/// `GET` and `DELETE /webhooks/replays/{id}`
pub(super) async fn one(asking: Asking<'_>, method: &Method, id: &str) -> Result<Response<Body>, ApiError> {
    let engine = &asking.node.webhooks;
    let is_theirs = |replay: &Replay| engine.subscription(&replay.subscription_id, Some(&asking.owner())).is_some();
    let replay = engine.replay_of(id).filter(is_theirs).ok_or(ApiError::NoSuch("replay"))?;
    let replay = match *method {
        Method::DELETE => engine.stop_replay(id).await?.ok_or(ApiError::NoSuch("replay"))?,
        _ => replay,
    };
    Ok(json_response(StatusCode::OK, &show(&replay)))
}
