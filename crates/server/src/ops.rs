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
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use protocol::json;
use serde::Serialize;
use tracing::Instrument;

use crate::api::answer::{empty, read_json};
use crate::api::call::{Asking, Handler};
use crate::api::faults::ApiError;
use crate::api::identify::bearer;
use crate::api::request::{RequestId, json_bytes};
use crate::api::table::{Lookup, Route, look_up};
use crate::api::turn_away;
use crate::auth::TokenError;
use crate::net::headers::{Headers, text};
use crate::net::outgoing::Outgoing;
use crate::net::request::Request;
use crate::net::service::{Answer, NoRequest, Service};
use crate::node::Node;
use crate::telemetry;

const BODY_BYTES_MAX: usize = 16 * 1024;
/// OpenMetrics, which Prometheus asks for by itself.
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// Every path of the operators' listener, with what can be asked of it.
#[rustfmt::skip]
const ROUTES: &[Route<Handler>] = &[
    Route { path: "/livez", calls: &[
        (GET, |of| Box::pin(livez(of))),
    ] },
    Route { path: "/readyz", calls: &[
        (GET, |of| Box::pin(readyz(of))),
    ] },
    Route { path: "/metrics", calls: &[
        (GET, |of| Box::pin(metrics(of))),
    ] },
    Route { path: "/status", calls: &[
        (GET, |of| Box::pin(status::answer(of))),
    ] },
    Route { path: "/backup", calls: &[
        (GET, |of| Box::pin(backup::answer(of))),
    ] },
    Route { path: "/purge", calls: &[
        (POST, |of| Box::pin(purge::answer(of))),
    ] },
    Route { path: "/applications", calls: &[
        (GET, |of| Box::pin(applications::list(of))),
    ] },
    Route { path: "/applications/{clientId}", calls: &[
        (PUT, |of| Box::pin(applications::put(of))),
        (DELETE, |of| Box::pin(applications::remove(of))),
    ] },
    Route { path: "/applications/{clientId}/scopes", calls: &[
        (POST, |of| Box::pin(applications::grant(of))),
    ] },
    Route { path: "/applications/{clientId}/customers/{customerId}", calls: &[
        (PUT, |of| Box::pin(applications::install(of))),
        (DELETE, |of| Box::pin(applications::uninstall(of))),
    ] },
    Route { path: "/sessions", calls: &[
        (GET, |of| Box::pin(sessions::list(of))),
    ] },
    Route { path: "/sessions/{customerId}/{negotiatorId}", calls: &[
        (DELETE, |of| Box::pin(sessions::close(of))),
    ] },
    Route { path: "/missed", calls: &[
        (GET, |of| Box::pin(missed::lists(of))),
    ] },
    Route { path: "/missed/{customerId}", calls: &[
        (GET, |of| Box::pin(missed::lists(of))),
        (DELETE, |of| Box::pin(missed::purge(of))),
    ] },
    Route { path: "/missed/{customerId}/{negotiatorId}", calls: &[
        (GET, |of| Box::pin(missed::calls(of))),
        (DELETE, |of| Box::pin(missed::purge(of))),
    ] },
    Route { path: "/directories", calls: &[
        (GET, |of| Box::pin(directories::list(of))),
    ] },
    Route { path: "/directories/{customerId}", calls: &[
        (GET, |of| Box::pin(directories::one(of))),
        (PUT, |of| Box::pin(directories::put(of))),
        (DELETE, |of| Box::pin(directories::remove(of))),
    ] },
    Route { path: "/webhooks", calls: &[
        (GET, |of| Box::pin(webhooks::list(of))),
    ] },
    Route { path: "/webhooks/replays/{id}", calls: &[
        (GET, |of| Box::pin(webhooks::replay(of))),
    ] },
    Route { path: "/webhooks/{id}", calls: &[
        (GET, |of| Box::pin(webhooks::one(of))),
    ] },
    Route { path: "/webhooks/{id}/ping", calls: &[
        (POST, |of| Box::pin(webhooks::ping(of))),
    ] },
    Route { path: "/webhooks/{id}/replay", calls: &[
        (POST, |of| Box::pin(webhooks::begin_replay(of))),
    ] },
    Route { path: "/connectors", calls: &[
        (GET, |of| Box::pin(connectors::list(of))),
    ] },
    Route { path: "/connectors/{id}", calls: &[
        (PUT, |of| Box::pin(connectors::put(of))),
        (DELETE, |of| Box::pin(connectors::remove(of))),
    ] },
    Route { path: "/avaya/accounts", calls: &[
        (GET, |of| Box::pin(vendors::accounts(of))),
    ] },
    Route { path: "/avaya/accounts/{accountId}", calls: &[
        (PUT, |of| Box::pin(vendors::put_account(of))),
        (DELETE, |of| Box::pin(vendors::remove_account(of))),
    ] },
    Route { path: "/enreach/webhooks", calls: &[
        (GET, |of| Box::pin(vendors::configuration(of))),
        (PUT, |of| Box::pin(vendors::configure(of))),
    ] },
];
/// What can be asked by anybody: probes.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// The operators' listener of a node.
#[derive(Debug)]
pub(crate) struct Ops(pub(crate) Arc<Node>);

impl Service for Ops {
    fn is_frequent(&self, _method: &Method, _path: &str) -> bool {
        false
    }

    async fn answer<'a>(&'a self, request: Request<'a>) -> Answer {
        let Self(node) = self;
        let found = look_up(ROUTES, request.head.method, request.head.path);
        let id = RequestId::of(node, &request);
        let name = telemetry::SpanName { path: found.path(), is_frequent: false };
        let span = telemetry::request_span(node, request.head, name, || id.get());
        let answering = async {
            call(node, request, found).await.unwrap_or_else(|error| {
                error.count(node);
                if matches!(error, ApiError::Internal) {
                    tracing::error!("request failed; the cause stands above");
                }
                error.into_response(node)
            })
        };
        let response = answering.instrument(span.clone()).await;
        telemetry::answered(node, &span, response.status());
        Answer { response, id: id.take(), upgrade: None }
    }

    fn turn_away(&self, because: NoRequest) -> Answer {
        turn_away(&self.0, because)
    }
}

async fn call(node: &Arc<Node>, request: Request<'_>, found: Lookup<'_, Handler>) -> Result<Response<Outgoing>, ApiError> {
    let Request { head, body, .. } = request;
    let is_open = matches!(found, Lookup::Call(route, ..) if OPEN.contains(&route.path));
    if !is_open {
        check_origin(node, head.headers)?;
    }
    match found {
        Lookup::Call(_, handler, ids) => handler(Asking { node, head, body, ids }).await,
        Lookup::Method(route) => Err(ApiError::Method(route.allow())),
        Lookup::Nothing => Err(ApiError::NotFound),
    }
}

/// Refuses what a web page could have sent, and who brings no token where one is asked for.
fn check_origin(node: &Node, headers: Headers<'_>) -> Result<(), ApiError> {
    if headers.has(&ORIGIN) {
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
fn is_local(headers: Headers<'_>) -> bool {
    let host = headers.first(&HOST).and_then(text).unwrap_or_default();
    let authority = host.parse::<hyper::http::uri::Authority>();
    let name = authority.as_ref().map(|authority| authority.host().trim_matches(['[', ']'])).unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Compares in a time that tells nothing of where they differ, as both are hashed first.
fn same(a: &[u8], b: &[u8]) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(a) == Sha256::digest(b)
}

/// `GET /livez`
async fn livez(_of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    Ok(plain(StatusCode::OK, "ok\n"))
}

/// `GET /readyz`
async fn readyz(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    Ok(match (of.node.is_ready(), of.node.is_draining()) {
        (true, _) => plain(StatusCode::OK, "ready\n"),
        (false, true) => plain(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        (false, false) => plain(StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes: see the log\n"),
    })
}

/// `GET /metrics`
async fn metrics(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let mut response = plain(StatusCode::OK, of.node.openmetrics().ok_or(ApiError::Internal)?);
    response.headers_mut().insert(CONTENT_TYPE, METRICS_TYPE);
    Ok(response)
}

/// Reads a body of at most `bytes_max` as JSON.
async fn json_body<T: serde::de::DeserializeOwned>(of: Asking<'_>, bytes_max: usize) -> Result<T, ApiError> {
    read_json(&json_bytes(of.node, of.head, of.body, bytes_max).await?)
}

/// Reads an id from the path.
fn parsed<T>(text: &str, parse: fn(&str) -> Result<T, protocol::id::IdError>) -> Result<T, ApiError> {
    let text = percent_decode_str(text).decode_utf8_lossy();
    parse(&text).map_err(|error| ApiError::Unreadable(format!("{text:?} in the path {error}")))
}

fn json(value: &impl Serialize) -> Result<Response<Outgoing>, ApiError> {
    let body = json::encode(value);
    let mut response = plain(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}

/// What was done, or that there was nothing to do it to.
fn done(is_there: bool, what: impl FnOnce() -> String) -> Result<Response<Outgoing>, ApiError> {
    if is_there { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(ApiError::Missing(what())) }
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::from(body));
    *response.status_mut() = status;
    response
}
