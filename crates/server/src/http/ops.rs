//! The operators' listener: probes, metrics, applications, directories, connectors.
//!
//! It answers requests from this machine, or with the operators' token; never one that a web page made.

mod directories; // who the negotiators of each customer are
mod connectors; // whose callbacks are taken
mod webhooks; // who is told of events, and how that goes
mod vendors; // what operators set up for vendors' webhooks

use std::collections::BTreeSet;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use prometheus_client::encoding::text::encode;
use protocol::authorise::{Application, plain_scope};
use protocol::close::CloseCode;
use protocol::fault::Faults;
use protocol::id::{ClientId, CustomerId, NegotiatorId, Recipient};
use serde::{Deserialize, Serialize};
use store::applications::Installed;

use crate::app::Node;
use crate::auth::TokenError;
use crate::http::answer::read_json;
use crate::http::error::{ApiError, Body};
use crate::http::request::{REQUEST_ID, bearer, json_bytes, request_id};

const BODY_BYTES_MAX: usize = 16 * 1024;
/// OpenMetrics, which Prometheus asks for by itself.
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers one request of an operator.
pub(crate) async fn answer(node: &Arc<Node>, request: Request<Incoming>) -> Response<Body> {
    let request_id = request_id(node, request.headers());
    let routed = route(node, request).await;
    let mut response = routed.unwrap_or_else(|error| {
        error.count(node);
        error.into_response(node)
    });
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

async fn route(node: &Arc<Node>, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let path = request.uri().path().to_owned();
    let segments: Vec<_> = path.trim_matches('/').split('/').collect();
    match (request.method(), segments.as_slice()) {
        (&Method::GET, ["livez"]) => return Ok(text(StatusCode::OK, "ok\n")),
        (&Method::GET, ["readyz"]) => return Ok(readiness(node)),
        _ => {}
    }
    check_origin(node, request.headers())?;
    match (request.method(), segments.as_slice()) {
        (&Method::GET, ["metrics"]) => metrics(node),
        (&Method::GET, ["applications"]) => {
            json(&node.store.applications().iter().map(|app| Shown::from(&**app)).collect::<Vec<_>>())
        }
        (&Method::PUT, ["applications", client_id]) => put_application(node, parsed(client_id, ClientId::parse)?, request).await,
        (&Method::PUT, ["applications", client_id, "customers", customer]) => {
            install(node, parsed(client_id, ClientId::parse)?, parsed(customer, CustomerId::parse)?).await
        }
        (&Method::DELETE, ["sessions", customer, negotiator]) => {
            let customer = parsed(customer, CustomerId::parse)?;
            close_sessions(node, Recipient { customer, negotiator: parsed(negotiator, NegotiatorId::parse)? })
        }
        (_, ["directories", rest @ ..]) => directories::answer(node, request, rest).await,
        (_, ["webhooks", rest @ ..]) => webhooks::answer(node, request, rest).await,
        (_, ["connectors", rest @ ..]) => connectors::answer(node, request, rest).await,
        (_, ["avaya", "accounts", rest @ ..]) => vendors::accounts(node, request, rest).await,
        (_, ["enreach", "webhooks"]) => vendors::configuration(node, request).await,
        (_, ["sessions", _, _]) => Err(ApiError::Method("DELETE")),
        (_, ["livez" | "readyz" | "metrics" | "applications"]) => Err(ApiError::Method("GET")),
        (_, ["applications", _] | ["applications", _, "customers", _]) => Err(ApiError::Method("PUT")),
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
    node.webhooks.measure();
    let mut body = String::new();
    encode(&mut body, &node.measurements).map_err(|_formatting| ApiError::Internal)?;
    let mut response = text(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, METRICS_TYPE);
    Ok(response)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Granted {
    scopes: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    client_id: ClientId,
    scopes: BTreeSet<String>,
    customers: BTreeSet<CustomerId>,
}

impl From<&Application> for Shown {
    fn from(application: &Application) -> Self {
        let Application { client_id, scopes, customers } = application.clone();
        Self { client_id, scopes, customers }
    }
}

async fn put_application(node: &Node, client_id: ClientId, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let granted: Granted = json_body(node, request, BODY_BYTES_MAX).await?;
    check_scopes(&granted.scopes)?;
    let scopes = granted.scopes.iter().map(|scope| plain_scope(scope).to_owned()).collect();
    node.store.put_application(client_id, scopes).await?;
    Ok(text(StatusCode::NO_CONTENT, ""))
}

/// Reads a body of at most `bytes_max` as JSON.
async fn json_body<T: serde::de::DeserializeOwned>(
    node: &Node,
    request: Request<Incoming>,
    bytes_max: usize,
) -> Result<T, ApiError> {
    read_json(&json_bytes(node, request, bytes_max).await?)
}

fn check_scopes(scopes: &BTreeSet<String>) -> Result<(), ApiError> {
    let mut faults = Faults::default();
    for scope in scopes {
        let plain = !scope.is_empty() && scope.len() <= 128 && scope.bytes().all(|b| b.is_ascii_graphic());
        if !plain {
            faults.add("scopes", format!("{} is not 1 to 128 visible ASCII characters", protocol::fault::shown(scope)));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(ApiError::Invalid(faults)) }
}

async fn install(node: &Node, client_id: ClientId, customer: CustomerId) -> Result<Response<Body>, ApiError> {
    match node.store.install(client_id, customer).await? {
        Installed::Done => Ok(text(StatusCode::NO_CONTENT, "")),
        Installed::NoApplication => Err(ApiError::NotFound),
    }
}

/// Logs a negotiator out everywhere.
fn close_sessions(node: &Node, recipient: Recipient) -> Result<Response<Body>, ApiError> {
    let closed = node.registry.close(&recipient, CloseCode::Evicted);
    tracing::info!(%recipient, closed, "sessions closed by an operator");
    json(&serde_json::json!({"closed": closed}))
}

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

fn text(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::from(body.into()));
    *response.status_mut() = status;
    response
}
