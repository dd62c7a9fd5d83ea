//! Attempts, deliveries, what was sent.

use hyper::{Response, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use protocol::time;
use serde_json::json;
use webhooks::engine::{Attempts, AttemptsQuery, DeliveryId, Retried};

use crate::api::answer::{empty, json_response};
use crate::api::call::OfApplication;
use crate::api::faults::ApiError;
use crate::api::paging::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, number, parameters};
use crate::net::outgoing::Outgoing;

/// `GET /webhooks/subscriptions/{id}/attempts`
pub(in crate::api) async fn attempts(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (tenant, [id, _], query) = (of.tenant(), of.ids, of.head.query.unwrap_or_default());
    let asked = read(query)?;
    let found = tenant.node.webhooks.attempts(id, Some(&tenant.owner()), asked).await?;
    let Attempts { shown, next } = found.ok_or(ApiError::NoSuch("subscription"))?;
    let links = next.map_or_else(
        || json!({}),
        |next| json!({"next": {"href": format!("/webhooks/subscriptions/{id}/attempts?{}", older(query, next))}}),
    );
    Ok(json_response(StatusCode::OK, &json!({"_embedded": shown, "_links": links})))
}

/// The same query, from an attempt on.
fn older(query: &str, before: i64) -> String {
    let mut older = form_urlencoded::Serializer::new(String::new());
    older.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "before"));
    older.append_pair("before", &before.to_string()).finish()
}

fn read(query: &str) -> Result<AttemptsQuery, ApiError> {
    let mut asked = AttemptsQuery { size: u32::try_from(PAGE_SIZE_DEFAULT).unwrap_or(25), ..AttemptsQuery::default() };
    parameters(query, |name, value| {
        match name {
            "pageSize" => asked.size = u32::try_from(number(value, PAGE_SIZE_MAX)?).unwrap_or(u32::MAX),
            "before" => asked.before = Some(value.parse().map_err(|_not_number| "must be the id of an attempt")?),
            "since" => asked.since = Some(moment(value)?),
            "until" => asked.until = Some(moment(value)?),
            "outcome" if matches!(value, "success" | "failure") => asked.outcome = Some(value.to_owned()),
            "outcome" => return Err("must be success or failure".to_owned()),
            "topicId" => asked.topic = Some(value.to_owned()),
            _ => return Err("is not known here; known are pageSize, before, since, until, outcome, topicId".to_owned()),
        }
        Ok(())
    })?;
    Ok(asked)
}

fn moment(value: &str) -> Result<Timestamp, String> {
    time::read(value).ok_or_else(|| "must be a time such as 2023-11-01T10:28:00Z".to_owned())
}

/// `GET /webhooks/deliveries/{id}`
pub(in crate::api) async fn delivery(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (tenant, [id, _]) = (of.tenant(), of.ids);
    let id = DeliveryId::parse(id).ok_or(ApiError::NoSuch("delivery"))?;
    let found = tenant.node.webhooks.delivery(id, Some(&tenant.owner())).await?;
    Ok(json_response(StatusCode::OK, &found.ok_or(ApiError::NoSuch("delivery"))?.shown))
}

/// `POST /webhooks/deliveries/{id}/retry`
pub(in crate::api) async fn retry(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (tenant, [id, _]) = (of.tenant(), of.ids);
    let id = DeliveryId::parse(id).ok_or(ApiError::NoSuch("delivery"))?;
    match tenant.node.webhooks.retry(id, &tenant.owner()).await? {
        Retried::Unknown => Err(ApiError::NoSuch("delivery")),
        Retried::Closed => Err(ApiError::Conflict("The subscription takes nothing now; activate it first".to_owned())),
        Retried::Queued => Ok(empty(StatusCode::ACCEPTED)),
    }
}

/// `GET /webhooks/usage`
pub(in crate::api) async fn usage(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let today = of.node.clock.now().to_string().chars().take(10).collect::<String>();
    let (mut from, mut to) = (today.clone(), today);
    parameters(of.head.query.unwrap_or_default(), |name, value| {
        let day = || value.parse::<Date>().map(|day| day.to_string()).map_err(|_not_date| "must be a day such as 2023-11-01");
        match name {
            "from" => from = day()?,
            "to" => to = day()?,
            _ => return Err("is not known here; known are from, to".to_owned()),
        }
        Ok(())
    })?;
    let sends = of.node.webhooks.sends(&of.application.client_id, from, to).await?;
    let days: Vec<_> = sends.into_iter().map(|(day, sends)| json!({"day": day, "sends": sends})).collect();
    Ok(json_response(StatusCode::OK, &json!({"_embedded": days})))
}
