//! Method and path → handler: the API's table of contents.

use std::net::IpAddr;
use std::sync::OnceLock;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response};
use tracing::Instrument;

use crate::api::faults::{ApiError, Body};
use crate::api::request::{REQUEST_ID, admit_stranger, finish_body, new_request_id, request_id};
use crate::api::session::Admitted;
use crate::api::{connectors, cors, events, negotiators, notifications, session, webhooks};
use crate::app::Node;
use crate::net::http1::{HandShake, Head, Said, Usual};
use crate::telemetry;

/// Answers one request, refusals included. Every answer carries its `x-request-id`.
pub(crate) async fn answer(node: &std::sync::Arc<Node>, peer: IpAddr, mut request: Request<Incoming>) -> Response<Body> {
    let request_id = request_id(node, request.headers(), node.clock.now());
    let origin = cors::allowed(&node.config.cors_origins, request.headers());
    let span = telemetry::request_span(node, &request_id, &request);
    let answered = async {
        let routed = match cors::preflight(origin.as_ref(), &request) {
            Some(response) => Ok(response),
            None => route(node, peer, &mut request).await,
        };
        routed.unwrap_or_else(|error| refused(node, error))
    };
    let mut response = answered.instrument(span.clone()).await;
    telemetry::answered(node, &span, response.status());
    finish_body(node, &mut request, &mut response).await;
    response.headers_mut().insert(REQUEST_ID, request_id);
    cors::expose(origin, response.headers_mut());
    response
}

/// As [`answer`], of the request that is usual; beside the answer stand its id, and what its head said if that is worth
/// remembering. What is taken says nothing in the log but at its finest, so there is a span where it is needed.
pub(crate) async fn answer_usual(node: &Node, peer: IpAddr, request: &Usual<'_>) -> (Response<Body>, HeaderValue, Option<Said>) {
    // Not before it is needed: the event goes first.
    let (id, new_id) = (OnceLock::new(), || match &request.head {
        Head::New(headers) => request_id(node, headers, request.taken.wall),
        Head::Again(_) => new_request_id(node, request.taken.wall),
    });
    let client = match &request.head {
        Head::New(headers) => node.config.proxies.client(peer, headers),
        // Whose it is matters of strangers alone.
        Head::Again(_) => peer,
    };
    let span = tracing::debug_span!("request", id = ?id.get_or_init(new_id), method = "POST");
    let answered = async {
        notifications::post_usual(node, client, request).await.unwrap_or_else(|error| {
            let span = tracing::info_span!(parent: None, "request", id = ?id.get_or_init(new_id), method = "POST");
            (span.in_scope(|| refused(node, error)), None)
        })
    };
    let (response, said) = answered.instrument(span).await;
    (response, id.into_inner().unwrap_or_else(new_id), said)
}

/// As [`answer_usual`], of a request for a session.
pub(crate) async fn open_usual(
    node: &Node,
    peer: IpAddr,
    request: &HandShake<'_>,
) -> (Result<(Response<Body>, Admitted), Response<Body>>, HeaderValue) {
    let request_id = request_id(node, &request.headers, request.taken.wall);
    let span = tracing::info_span!("request", id = ?request_id, method = "GET");
    let client = node.config.proxies.client(peer, &request.headers);
    let opened = async {
        let opened = session::open_usual(node, client, &request.headers, request.query).await;
        opened.map_err(|error| refused(node, error))
    };
    (opened.instrument(span).await, request_id)
}

fn refused(node: &Node, error: ApiError) -> Response<Body> {
    error.count(node);
    error.into_response(node)
}

async fn route(node: &std::sync::Arc<Node>, peer: IpAddr, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/notifications" | "/notifications/") => notifications::post(node, peer, request).await,
        (&Method::GET, "/notifications" | "/notifications/") => notifications::list(node, peer, request).await,
        (&Method::GET, "/negotiators" | "/negotiators/") => negotiators::list(node, peer, request).await,
        (&Method::POST, "/events" | "/events/") => events::post(node, peer, request).await,
        (_, path) if ["/webhooks", "/resthooks", "/apirtc"].iter().any(|prefix| is_below(path, prefix)) => {
            webhooks::answer(node, peer, request).await
        }
        (_, path) if webhooks::is_avaya(path) => Ok(webhooks::answer_avaya(node, peer, request).await),
        (&Method::GET, "/session") => session::open(node, peer, request).await,
        (&Method::GET, "/openapi.json") => openapi(node, peer),
        (&Method::GET, path) if let Some((id, None)) = item(path, "/negotiators/") => {
            negotiators::one(node, peer, request, id).await
        }
        (&Method::POST, path) if let Some(connector) = item(path, "/connectors/") => {
            connectors::take(node, peer, request, connector).await
        }
        (method, path) => match (method, item(path, "/notifications/")) {
            (&Method::DELETE, Some((id, None))) => notifications::delete(node, peer, request, id).await,
            (&Method::GET, Some((id, Some("receipts")))) => notifications::receipts(node, peer, request, id).await,
            (_, item) => {
                admit_stranger(node, peer)?;
                Err(refuse(path, item))
            }
        },
    }
}

/// Whether a path is the prefix, or stands below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The id behind a prefix such as `/notifications/`, and what stands behind it.
fn item<'a>(path: &'a str, prefix: &str) -> Option<(&'a str, Option<&'a str>)> {
    let rest = path.strip_prefix(prefix)?;
    let (id, behind) = rest.split_once('/').map_or((rest, None), |(id, behind)| (id, Some(behind)));
    (!id.is_empty()).then_some((id, behind))
}

fn refuse(path: &str, item: Option<(&str, Option<&str>)>) -> ApiError {
    match (path, item) {
        ("/notifications" | "/notifications/", _) => ApiError::Method("GET, POST"),
        ("/session" | "/openapi.json" | "/negotiators" | "/negotiators/", _) | (_, Some((_, Some("receipts")))) => {
            ApiError::Method("GET")
        }
        _ if matches!(self::item(path, "/negotiators/"), Some((_, None))) => ApiError::Method("GET"),
        ("/events" | "/events/", _) => ApiError::Method("POST"),
        _ if self::item(path, "/connectors/").is_some() => ApiError::Method("POST"),
        (_, Some((_, None))) => ApiError::Method("DELETE"),
        (_, Some((_, Some(_))) | None) => ApiError::NotFound,
    }
}

fn openapi(node: &Node, peer: IpAddr) -> Result<Response<Body>, ApiError> {
    admit_stranger(node, peer)?;
    let mut response = Response::new(Body::new(node.openapi.clone()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
