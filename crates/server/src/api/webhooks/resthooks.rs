//! Reapit's public contract for rest hooks: bound to the application and the customer of the token, always of the profile `reapit`.
//!
//! PUT and DELETE answer 201, as the published contract says, though nothing is made.

use std::cmp::Reverse;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use protocol::authorise::Refusal;
use serde_json::Value;
use webhooks::subscription::Contract;

use super::subscriptions::created;
use super::{Asking, body, refuse};
use crate::api::answer::{empty, json_response};
use crate::api::faults::{ApiError, Body};
use crate::api::paging::{Page, parameters};

const PROFILE: &str = "reapit";

pub(super) async fn answer(
    asking: Asking<'_>,
    method: Method,
    rest: &[&str],
    request: &mut Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    if asking.application.bound_to.is_none() {
        return Err(Refusal::CustomerMissing.into());
    }
    let (engine, owner) = (&asking.node.webhooks, asking.owner());
    let find = |id: &str| engine.subscription(id, Some(&owner)).filter(|shown| shown.profile == PROFILE);
    match (method, rest) {
        (Method::GET, []) => list(asking, request),
        (Method::POST, []) => {
            let body = body(asking.node, request).await?;
            Ok(created(&asking.create(&body, Contract::Resthooks).await?.resthook, "/resthooks"))
        }
        (Method::GET, [id]) => Ok(json_response(StatusCode::OK, &find(id).ok_or(ApiError::NoSuch("rest hook"))?.resthook)),
        (Method::PUT, [id]) => {
            find(id).ok_or(ApiError::NoSuch("rest hook"))?;
            let body = body(asking.node, request).await?;
            asking.update(id, &body, Contract::Resthooks).await?;
            Ok(done())
        }
        (Method::DELETE, [id]) => {
            find(id).ok_or(ApiError::NoSuch("rest hook"))?;
            engine.delete(id, &owner).await.map_err(refuse)?;
            Ok(done())
        }
        (_, []) => Err(ApiError::Method("GET, POST")),
        (_, [_]) => Err(ApiError::Method("GET, PUT, DELETE")),
        _ => Err(ApiError::NotFound),
    }
}

fn done() -> Response<Body> {
    empty(StatusCode::CREATED)
}

fn list(asking: Asking<'_>, request: &Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let query = request.uri().query().unwrap_or_default();
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
    let mut all = asking.node.webhooks.subscriptions(Some(&asking.owner()));
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
