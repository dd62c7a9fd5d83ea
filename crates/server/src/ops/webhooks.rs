//! All subscriptions, for operators: who they are, how they are, and what can be done about it.

use hyper::{Method, Response};
use serde::Deserialize;
use serde_json::json;
use webhooks::engine::AttemptsQuery;

use super::paging::Page;
use super::{BODY_BYTES_MAX, Order, json, json_body};
use crate::api::faults::{ApiError, Body};
use crate::api::webhooks::{ask_for_replay, show_replay};
use crate::app::Node;

/// Attempts that are shown with a subscription.
const ATTEMPTS_SHOWN: u32 = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ping {
    topic_id: Option<String>,
}

pub(super) async fn answer(node: &Node, order: &mut Order, rest: &[&str]) -> Result<Response<Body>, ApiError> {
    let find = |id: &str| node.webhooks.subscription(id, None).ok_or(ApiError::NoSuch("subscription"));
    match (order.method(), rest) {
        (&Method::GET, []) => {
            let all = node.webhooks.subscriptions(None).into_iter().map(|shown| (shown.id, shown.native));
            Page::read(order.uri(), &[])?.of(order.uri(), all)
        }
        (&Method::GET, ["replays", id]) => json(&show_replay(&node.webhooks.replay_of(id).ok_or(ApiError::NoSuch("replay"))?)),
        (&Method::GET, [id]) => {
            let subscription = find(id)?.native;
            let asked = AttemptsQuery { size: ATTEMPTS_SHOWN, ..AttemptsQuery::default() };
            let attempts = node.webhooks.attempts(id, None, asked).await?.ok_or(ApiError::NoSuch("subscription"))?;
            json(&json!({"subscription": subscription, "attempts": attempts.shown}))
        }
        (&Method::POST, [id, "ping"]) => {
            find(id)?;
            let first = node.webhooks.topics_of(id).first().cloned().unwrap_or_default();
            let Ping { topic_id } = json_body(node, order, BODY_BYTES_MAX).await?;
            let pinged = node.webhooks.ping(id, &topic_id.unwrap_or(first)).await;
            json(&pinged.ok_or_else(|| ApiError::Unreadable("The subscription is not about this topic".to_owned()))?)
        }
        (&Method::POST, [id, "replay"]) => {
            find(id)?;
            let asked = json_body(node, order, BODY_BYTES_MAX).await?;
            json(&show_replay(&ask_for_replay(node, id, &asked).await?))
        }
        (_, [] | [_] | ["replays", _]) => Err(ApiError::Method("GET")),
        (_, [_, "ping" | "replay"]) => Err(ApiError::Method("POST")),
        _ => Err(ApiError::NotFound),
    }
}
