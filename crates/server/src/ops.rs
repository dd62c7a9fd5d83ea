//! The operators' listener: probes, metrics, and all that is administered.
//!
//! It answers requests from this machine, or with the operators' token; never one that a web page made. What is asked of the folder of a
//! stopped node comes in here as well.

mod paging; // lists, a page at a time
mod status; // how the node is
mod applications; // who may post, and for whom
mod sessions; // who is logged in
mod missed; // missed calls
mod purge; // personal data goes
mod backup; // a copy of the store
mod directories; // who the negotiators of each customer are
mod connectors; // whose callbacks are taken
mod webhooks; // who is told of events, and how that goes
mod vendors; // what operators set up for vendors' webhooks

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tracing::Instrument;

use crate::api::answer::read_json;
use crate::api::faults::{ApiError, Body};
use crate::api::request::{REQUEST_ID, bearer, finish_body, json_bytes, request_id};
use crate::app::Node;
use crate::auth::TokenError;
use crate::net::outgoing::Outgoing;
use crate::telemetry;

const BODY_BYTES_MAX: usize = 16 * 1024;
/// OpenMetrics, which Prometheus asks for by itself.
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What an operator asks for, over a socket or not.
pub(crate) type Order = Request<BoxBody<Bytes, hyper::Error>>;

/// Answers one request of an operator.
pub(crate) async fn answer(node: &Arc<Node>, request: Request<Incoming>) -> Response<Outgoing> {
    answer_order(node, request.map(BodyExt::boxed)).await
}

/// As [`answer`], wherever the request comes from.
pub(crate) async fn answer_order(node: &Arc<Node>, mut order: Order) -> Response<Outgoing> {
    let request_id = request_id(node, order.headers(), node.clock.now());
    let span = telemetry::request_span(node, &request_id, &order);
    let mut response = match route(node, &mut order).instrument(span.clone()).await {
        Ok(response) => response,
        Err(error) => {
            error.count(node);
            error.into_response(node).map(Outgoing::Left)
        }
    };
    telemetry::answered(node, &span, response.status());
    finish_body(node, &mut order, &mut response).await;
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

async fn route(node: &Arc<Node>, order: &mut Order) -> Result<Response<Outgoing>, ApiError> {
    let path = order.uri().path().to_owned();
    let segments: Vec<_> = path.trim_matches('/').split('/').collect();
    match (order.method(), segments.as_slice()) {
        (&Method::GET, ["livez"]) => return Ok(text(StatusCode::OK, "ok\n").map(Outgoing::Left)),
        (&Method::GET, ["readyz"]) => return Ok(readiness(node).map(Outgoing::Left)),
        _ => {}
    }
    check_origin(node, order.headers())?;
    match (order.method(), segments.as_slice()) {
        (&Method::GET, ["backup"]) => backup::answer(node).await,
        (_, segments) => administer(node, order, segments).await.map(|response| response.map(Outgoing::Left)),
    }
}

async fn administer(node: &Arc<Node>, order: &mut Order, segments: &[&str]) -> Result<Response<Body>, ApiError> {
    match (order.method(), segments) {
        (&Method::GET, ["metrics"]) => metrics(node),
        (&Method::GET, ["status"]) => status::answer(node).await,
        (&Method::POST, ["purge"]) => purge::answer(node, order).await,
        (_, ["applications", rest @ ..]) => applications::answer(node, order, rest).await,
        (_, ["sessions", rest @ ..]) => sessions::answer(node, order, rest),
        (_, ["missed", rest @ ..]) => missed::answer(node, order, rest).await,
        (_, ["directories", rest @ ..]) => directories::answer(node, order, rest).await,
        (_, ["webhooks", rest @ ..]) => webhooks::answer(node, order, rest).await,
        (_, ["connectors", rest @ ..]) => connectors::answer(node, order, rest).await,
        (_, ["avaya", "accounts", rest @ ..]) => vendors::accounts(node, order, rest).await,
        (_, ["enreach", "webhooks"]) => vendors::configuration(node, order).await,
        (_, ["livez" | "readyz" | "metrics" | "status" | "backup"]) => Err(ApiError::Method("GET")),
        (_, ["purge"]) => Err(ApiError::Method("POST")),
        _ => Err(ApiError::NotFound),
    }
}

/// Refuses what a web page could have sent, and who brings no token where one is asked for.
fn check_origin(node: &Node, headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(ORIGIN) {
        return Err(ApiError::Forbidden("Web pages may not call the operators' listener".to_owned()));
    }
    match &node.config.ops_token {
        Some(secret) => match bearer(headers)? {
            None => Err(TokenError::Missing.into()),
            Some(token) if same(token.as_bytes(), secret.expose()) => Ok(()),
            Some(_) => Err(TokenError::Signature.into()),
        },
        None if is_local(headers) => Ok(()),
        None => Err(ApiError::Forbidden("The Host header must name this machine: localhost, 127.0.0.1 or [::1]".to_owned())),
    }
}

/// Whether the request was addressed to this machine: a page whose name was bent to 127.0.0.1 says its own.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authority = host.parse::<hyper::http::uri::Authority>();
    let name = authority.as_ref().map(|authority| authority.host().trim_matches(['[', ']'])).unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Compares in a time that tells nothing of where they differ, as both are hashed first.
fn same(a: &[u8], b: &[u8]) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(a) == Sha256::digest(b)
}

fn readiness(node: &Node) -> Response<Body> {
    match (node.is_ready(), node.is_draining()) {
        (true, _) => text(StatusCode::OK, "ready\n"),
        (false, true) => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        (false, false) => text(StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes: see the log\n"),
    }
}

fn metrics(node: &Node) -> Result<Response<Body>, ApiError> {
    let mut response = text(StatusCode::OK, node.openmetrics().ok_or(ApiError::Internal)?);
    response.headers_mut().insert(CONTENT_TYPE, METRICS_TYPE);
    Ok(response)
}

/// Reads a body of at most `bytes_max` as JSON.
async fn json_body<T: serde::de::DeserializeOwned>(node: &Node, order: &mut Order, bytes_max: usize) -> Result<T, ApiError> {
    read_json(&json_bytes(node, order, bytes_max).await?)
}

/// Reads an id from the path.
fn parsed<T>(text: &str, parse: fn(&str) -> Result<T, protocol::id::IdError>) -> Result<T, ApiError> {
    let text = percent_decode_str(text).decode_utf8_lossy();
    parse(&text).map_err(|error| ApiError::Unreadable(format!("{text:?} in the path {error}")))
}

fn json(value: &impl Serialize) -> Result<Response<Body>, ApiError> {
    let body = serde_json::to_vec(value).map_err(|_serialising| ApiError::Internal)?;
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}

/// What was done, or that there was nothing to do it to.
fn done(is_there: bool, what: impl FnOnce() -> String) -> Result<Response<Body>, ApiError> {
    if is_there { Ok(text(StatusCode::NO_CONTENT, "")) } else { Err(ApiError::Missing(what())) }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = status;
    response
}
