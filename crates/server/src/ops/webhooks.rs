//! All subscriptions, for operators: who they are, how they are, and what can be done about it.

use hyper::Response;
use serde::Deserialize;
use serde_json::json;
use webhooks::engine::{AttemptsQuery, Shown};

use super::paging::Page;
use super::{BODY_BYTES_MAX, json, json_body};
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::api::webhooks::replays;
use crate::net::outgoing::Outgoing;

/// Attempts that are shown with a subscription.
const ATTEMPTS_SHOWN: u32 = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ping {
    topic_id: Option<String>,
}

/// `GET /webhooks`
pub(super) async fn list(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let all = of.node.webhooks.subscriptions(None).into_iter().map(|shown| (shown.id, shown.native));
    Page::read(of.head, &[])?.of(of.head, all)
}

/// `GET /webhooks/{id}`
pub(super) async fn one(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (subscription, [id, _]) = (find(&of)?.native, of.ids);
    let asked = AttemptsQuery { size: ATTEMPTS_SHOWN, ..AttemptsQuery::default() };
    let attempts = of.node.webhooks.attempts(id, None, asked).await?.ok_or(ApiError::NoSuch("subscription"))?;
    json(&json!({"subscription": subscription, "attempts": attempts.shown}))
}

/// `POST /webhooks/{id}/ping`
pub(super) async fn ping(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    find(&of)?;
    let (node, [id, _]) = (of.node, of.ids);
    let first = node.webhooks.topics_of(id).first().cloned().unwrap_or_default();
    let Ping { topic_id } = json_body(of, BODY_BYTES_MAX).await?;
    let pinged = node.webhooks.ping(id, &topic_id.unwrap_or(first)).await;
    json(&pinged.ok_or_else(|| ApiError::Unreadable("The subscription is not about this topic".to_owned()))?)
}

/// `POST /webhooks/{id}/replay`
pub(super) async fn begin_replay(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    find(&of)?;
    let (node, [id, _]) = (of.node, of.ids);
    let range = json_body(of, BODY_BYTES_MAX).await?;
    json(&replays::show(&replays::ask(node, id, &range).await?))
}

/// `GET /webhooks/replays/{id}`
pub(super) async fn replay(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    json(&replays::show(&of.node.webhooks.replay_of(of.ids[0]).ok_or(ApiError::NoSuch("replay"))?))
}

fn find(of: &Asking<'_>) -> Result<Shown, ApiError> {
    of.node.webhooks.subscription(of.ids[0], None).ok_or(ApiError::NoSuch("subscription"))
}
