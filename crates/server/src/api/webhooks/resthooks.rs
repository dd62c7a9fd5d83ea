//! Reapit's public contract for rest hooks: bound to the application and the customer of the token, always of the profile `reapit`.
//!
//! PUT and DELETE answer 201, as the published contract says, though nothing is made.

use std::cmp::Reverse;

use hyper::{Response, StatusCode};
use protocol::authorise::Refusal;
use serde_json::Value;
use webhooks::engine::Shown;
use webhooks::subscription::Contract;

use super::bytes;
use super::subscriptions::created;
use crate::api::answer::{empty, json_response};
use crate::api::call::OfApplication;
use crate::api::faults::ApiError;
use crate::api::paging::{Page, parameters};
use crate::net::outgoing::Outgoing;

const PROFILE: &str = "reapit";

/// `POST /resthooks`
pub(in crate::api) async fn create(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    check_bound(&of)?;
    let tenant = of.tenant();
    let body = bytes(of.node, of.head, of.body).await?;
    Ok(created(&tenant.create(&body, Contract::Resthooks).await?.resthook, "/resthooks"))
}

/// `GET /resthooks/{id}`
pub(in crate::api) async fn one(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    Ok(json_response(StatusCode::OK, &find(&of)?.resthook))
}

/// `PUT /resthooks/{id}`
pub(in crate::api) async fn update(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    find(&of)?;
    let (tenant, [id, _]) = (of.tenant(), of.ids);
    let body = bytes(of.node, of.head, of.body).await?;
    tenant.update(id, &body, Contract::Resthooks).await?;
    Ok(done())
}

/// `DELETE /resthooks/{id}`
pub(in crate::api) async fn delete(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    find(&of)?;
    let [id, _] = of.ids;
    of.node.webhooks.delete(id, &of.tenant().owner()).await?;
    Ok(done())
}

fn check_bound(of: &OfApplication<'_>) -> Result<(), ApiError> {
    if of.application.bound_to.is_none() { Err(Refusal::CustomerMissing.into()) } else { Ok(()) }
}

fn find(of: &OfApplication<'_>) -> Result<Shown, ApiError> {
    check_bound(of)?;
    let [id, _] = of.ids;
    let found = of.node.webhooks.subscription(id, Some(&of.tenant().owner()));
    found.filter(|shown| shown.profile == PROFILE).ok_or(ApiError::NoSuch("rest hook"))
}

fn done() -> Response<Outgoing> {
    empty(StatusCode::CREATED)
}

/// `GET /resthooks`
pub(in crate::api) async fn list(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    check_bound(&of)?;
    let query = of.head.query.unwrap_or_default();
    let (mut page, mut active, mut sort) = (Page::default(), None, String::from("created"));
    parameters(query, |name, value| match name.to_ascii_lowercase().as_str() {
        _ if page.take(name, value)? => Ok(()),
        "active" => {
            active = Some(value.parse::<bool>().map_err(|_not_bool| "must be true or false")?);
            Ok(())
        }
        "sortby" if matches!(value.trim_start_matches('-'), "created" | "modified") => {
            value.clone_into(&mut sort);
            Ok(())
        }
        "sortby" => Err("must be created, modified, or one of them behind a -".to_owned()),
        _ => Err("is not known here; known are pageSize, pageNumber, sortBy, active".to_owned()),
    })?;
    let mut all = of.node.webhooks.subscriptions(Some(&of.tenant().owner()));
    all.retain(|shown| shown.profile == PROFILE && active.is_none_or(|active| shown.active == active));
    match sort.as_str() {
        "modified" => all.sort_by_key(|shown| shown.modified),
        "-modified" => all.sort_by_key(|shown| Reverse(shown.modified)),
        "-created" => all.sort_by_key(|shown| Reverse(shown.created)),
        _ => all.sort_by_key(|shown| shown.created),
    }
    let all: Vec<Value> = all.into_iter().map(|shown| shown.resthook).collect();
    Ok(json_response(StatusCode::OK, &page.of(&all, "/resthooks/", query)))
}
