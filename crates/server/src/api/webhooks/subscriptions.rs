//! Subscriptions after the model of Reapit's portal: made, changed, taken away, tried out.

use std::time::Duration;

use hyper::header::{HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use protocol::fault::Faults;
use protocol::json;
use serde::Deserialize;
use serde_json::Value;
use webhooks::engine::{GRACE_MAX, Shown};
use webhooks::sign::Secret;
use webhooks::subscription::Contract;

use super::{bytes, parsed};
use crate::api::answer::{empty, json_response};
use crate::api::call::OfApplication;
use crate::api::faults::ApiError;
use crate::api::paging::{Page, parameters};
use crate::net::outgoing::Outgoing;

/// For how long the old secret is good where nothing is said.
const GRACE_DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// `GET /webhooks/subscriptions/{id}`
pub(in crate::api) async fn one(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (owner, [id, _]) = (of.tenant().owner(), of.ids);
    let shown = of.node.webhooks.subscription(id, Some(&owner)).ok_or(ApiError::NoSuch("subscription"))?;
    Ok(json_response(StatusCode::OK, &shown.native))
}

/// `PUT /webhooks/subscriptions/{id}`
pub(in crate::api) async fn update(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (tenant, [id, _]) = (of.tenant(), of.ids);
    let body = bytes(of.node, of.head, of.body).await?;
    Ok(ok(&tenant.update(id, &body, Contract::Native).await?))
}

/// `DELETE /webhooks/subscriptions/{id}`
pub(in crate::api) async fn delete(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (owner, [id, _]) = (of.tenant().owner(), of.ids);
    of.node.webhooks.delete(id, &owner).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `POST /webhooks/subscriptions/{id}/activate`
pub(in crate::api) async fn activate(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    set_active(of, true).await
}

/// `POST /webhooks/subscriptions/{id}/deactivate`
pub(in crate::api) async fn deactivate(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    set_active(of, false).await
}

async fn set_active(of: OfApplication<'_>, active: bool) -> Result<Response<Outgoing>, ApiError> {
    let (owner, [id, _]) = (of.tenant().owner(), of.ids);
    Ok(ok(&of.node.webhooks.set_active(id, &owner, active).await?))
}

fn ok(shown: &Shown) -> Response<Outgoing> {
    json_response(StatusCode::OK, &shown.native)
}

/// `GET /webhooks/subscriptions`
pub(in crate::api) async fn list(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let query = of.head.query.unwrap_or_default();
    let (mut page, mut active) = (Page::default(), None);
    parameters(query, |name, value| match name {
        _ if page.take(name, value)? => Ok(()),
        "active" => {
            active = Some(value.parse::<bool>().map_err(|_not_bool| "must be true or false")?);
            Ok(())
        }
        _ => Err("is not known here; known are pageSize, pageNumber, active".to_owned()),
    })?;
    let all = of.node.webhooks.subscriptions(Some(&of.tenant().owner()));
    let wanted = all.into_iter().filter(|shown| active.is_none_or(|active| shown.active == active));
    let wanted: Vec<Value> = wanted.map(|shown| shown.native).collect();
    Ok(json_response(StatusCode::OK, &page.of(&wanted, "/webhooks/subscriptions", query)))
}

/// `POST /webhooks/subscriptions`
pub(in crate::api) async fn create(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let tenant = of.tenant();
    let body = bytes(of.node, of.head, of.body).await?;
    Ok(created(&tenant.create(&body, Contract::Native).await?.native, "/webhooks/subscriptions"))
}

/// The answer to a subscription that was made.
pub(super) fn created(shown: &Value, path: &str) -> Response<Outgoing> {
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

/// `POST /webhooks/subscriptions/{id}/ping`
pub(in crate::api) async fn ping(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (tenant, [id, _]) = (of.tenant(), of.ids);
    let Ping { topic_id } = parsed(of).await?;
    tenant.node.webhooks.subscription(id, Some(&tenant.owner())).ok_or(ApiError::NoSuch("subscription"))?;
    tenant.node.limits.pings.admit(id.to_owned(), tenant.node.clock.running())?;
    let Some(mut pinged) = tenant.node.webhooks.ping(id, &topic_id).await else {
        let topics = tenant.node.webhooks.topics_of(id).join(", ");
        return Err(ApiError::invalid("topicId", format!("must be one of the subscription's topics: {topics}")));
    };
    pinged.record.for_its_owner();
    Ok(json_response(StatusCode::OK, &json::encode(&pinged)))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Rotate {
    secret: Option<String>,
    // By JSON Schema 3600.0 is an integer too.
    grace_period_seconds: Option<f64>,
}

/// `POST /webhooks/subscriptions/{id}/secret/rotate`
pub(in crate::api) async fn rotate(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (tenant, [id, _]) = (of.tenant(), of.ids);
    let Rotate { secret, grace_period_seconds } = parsed(of).await?;
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
    let rotated = tenant.node.webhooks.rotate(id, &tenant.owner(), given.flatten(), grace).await;
    Ok(ok(&rotated?))
}
