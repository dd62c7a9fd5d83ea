//! Subscriptions after the model of Reapit's portal: made, changed, taken away, tried out.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use protocol::fault::Faults;
use serde::Deserialize;
use serde_json::Value;
use webhooks::engine::{GRACE_MAX, Shown};
use webhooks::sign::Secret;
use webhooks::subscription::Contract;

use super::{Asking, body, log, parsed_body, refuse, replays};
use crate::api::answer::{empty, json_response};
use crate::api::faults::{ApiError, Body};
use crate::api::paging::{Page, parameters};

/// For how long the old secret is good where nothing is said.
const GRACE_DEFAULT: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn answer(
    asking: Asking<'_>,
    method: Method,
    rest: &[&str],
    request: &mut Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (engine, owner) = (&asking.node.webhooks, asking.owner());
    match (method, rest) {
        (Method::GET, []) => list(asking, request),
        (Method::POST, []) => create(asking, request).await,
        (Method::GET, [id]) => {
            let shown = engine.subscription(id, Some(&owner)).ok_or(ApiError::NoSuch("subscription"))?;
            Ok(json_response(StatusCode::OK, &shown.native))
        }
        (Method::PUT, [id]) => {
            let body = body(asking.node, request).await?;
            Ok(ok(&asking.update(id, &body, Contract::Native).await?))
        }
        (Method::DELETE, [id]) => {
            engine.delete(id, &owner).await.map_err(refuse)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (Method::POST, [id, "ping"]) => ping(asking, id, request).await,
        (Method::POST, [id, "activate"]) => Ok(ok(&engine.set_active(id, &owner, true).await.map_err(refuse)?)),
        (Method::POST, [id, "deactivate"]) => Ok(ok(&engine.set_active(id, &owner, false).await.map_err(refuse)?)),
        (Method::POST, [id, "secret", "rotate"]) => rotate(asking, id, request).await,
        (Method::GET, [id, "attempts"]) => log::attempts(asking, id, request).await,
        (Method::POST, [id, "replay"]) => replays::begin(asking, id, request).await,
        (_, []) => Err(ApiError::Method("GET, POST")),
        (_, [_]) => Err(ApiError::Method("GET, PUT, DELETE")),
        (_, [_, "attempts"]) => Err(ApiError::Method("GET")),
        (_, [_, "ping" | "activate" | "deactivate" | "replay"] | [_, "secret", "rotate"]) => Err(ApiError::Method("POST")),
        _ => Err(ApiError::NotFound),
    }
}

fn ok(shown: &Shown) -> Response<Body> {
    json_response(StatusCode::OK, &&shown.native)
}

fn list(asking: Asking<'_>, request: &Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    let (mut page, mut active) = (Page::default(), None);
    parameters(query, |name, value| match name {
        _ if page.take(name, value)? => Ok(()),
        "active" => {
            active = Some(value.parse::<bool>().map_err(|_not_bool| "must be true or false")?);
            Ok(())
        }
        _ => Err("is not known here; known are pageSize, pageNumber, active".to_owned()),
    })?;
    let all = asking.node.webhooks.subscriptions(Some(&asking.owner()));
    let wanted = all.into_iter().filter(|shown| active.is_none_or(|active| shown.active == active));
    let wanted: Vec<Value> = wanted.map(|shown| shown.native).collect();
    Ok(json_response(StatusCode::OK, &page.of(&wanted, "/webhooks/subscriptions", query)))
}

async fn create(asking: Asking<'_>, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let body = body(asking.node, request).await?;
    Ok(created(&asking.create(&body, Contract::Native).await?.native, "/webhooks/subscriptions"))
}

/// The answer to a subscription that was made.
pub(super) fn created(shown: &Value, path: &str) -> Response<Body> {
    let mut response = json_response(StatusCode::CREATED, &shown);
    let id = shown.get("id").and_then(Value::as_str).unwrap_or_default();
    if let Ok(location) = HeaderValue::from_str(&format!("{path}/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ping {
    topic_id: String,
}

async fn ping(asking: Asking<'_>, id: &str, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let Ping { topic_id } = parsed_body(asking.node, request).await?;
    asking.node.webhooks.subscription(id, Some(&asking.owner())).ok_or(ApiError::NoSuch("subscription"))?;
    asking.node.limits.pings.admit(id.to_owned(), asking.node.clock.running())?;
    let Some(mut pinged) = asking.node.webhooks.ping(id, &topic_id).await else {
        let topics = asking.node.webhooks.topics_of(id).join(", ");
        return Err(ApiError::invalid("topicId", format!("must be one of the subscription's topics: {topics}")));
    };
    pinged.record.for_its_owner();
    Ok(json_response(StatusCode::OK, &serde_json::to_value(pinged).unwrap_or_default()))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Rotate {
    secret: Option<String>,
    // By JSON Schema 3600.0 is an integer too.
    grace_period_seconds: Option<f64>,
}

async fn rotate(asking: Asking<'_>, id: &str, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let Rotate { secret, grace_period_seconds } = parsed_body(asking.node, request).await?;
    let mut faults = Faults::default();
    let given = secret.as_deref().map(Secret::parse);
    if given == Some(None) {
        faults.add("secret", "must be whsec_ and 24 to 64 bytes in base64");
    }
    let grace = grace_period_seconds.map_or(Ok(GRACE_DEFAULT), Duration::try_from_secs_f64).ok();
    let grace = grace.filter(|grace| *grace <= GRACE_MAX && grace.subsec_nanos() == 0);
    if grace.is_none() {
        faults.add("gracePeriodSeconds", format!("must be a whole number, 0 to {}", GRACE_MAX.as_secs()));
    }
    let Some(grace) = grace.filter(|_| faults.is_empty()) else { return Err(ApiError::Invalid(faults)) };
    let rotated = asking.node.webhooks.rotate(id, &asking.owner(), given.flatten(), grace).await;
    Ok(ok(&rotated.map_err(refuse)?))
}
