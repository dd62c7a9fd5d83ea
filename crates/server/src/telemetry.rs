//! Spans and exemplars for OpenTelemetry, where the configuration names an endpoint; nothing of it costs anything where it does not.
//!
//! One span a request, a session and an attempt. A request continues the trace that its caller names (`traceparent`, W3C Trace
//! Context §3.2); a session, which lasts a day, and an attempt, which may be days later, are traces of their own.

#[cfg(feature = "otlp")]
mod export; // the way to the endpoint
#[cfg(feature = "otlp")]
mod transport; // one POST to the endpoint

use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use crate::app::Node;
use crate::metrics::OfTrace;

#[cfg(feature = "otlp")]
pub use self::export::{Spans, Unstarted};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// What paths of ours begin with, on either listener.
const SEGMENTS: [&str; 21] = [
    "apirtc",
    "applications",
    "avaya",
    "backup",
    "connectors",
    "directories",
    "enreach",
    "events",
    "livez",
    "metrics",
    "missed",
    "negotiators",
    "notifications",
    "openapi.json",
    "purge",
    "readyz",
    "resthooks",
    "session",
    "sessions",
    "status",
    "webhooks",
];

/// The span of a request. `route` is its path without ids.
pub(crate) fn request_span<B>(node: &Node, id: &HeaderValue, request: &Request<B>) -> Span {
    let method = known(request.method());
    if node.config.telemetry.is_none() {
        return tracing::info_span!("request", id = ?id, method);
    }
    let span = tracing::info_span!(
        parent: None,
        "request",
        id = ?id,
        method,
        otel.kind = "server",
        otel.name = format!("{method} {}", route(request.uri().path())),
        otel.status_code = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
    );
    #[cfg(feature = "otlp")]
    export::adopt(node, &span, request.headers());
    span
}

/// Notes how a request was answered.
pub(crate) fn answered(node: &Node, span: &Span, status: StatusCode) {
    if node.config.telemetry.is_some() {
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// The trace that what is measured now belongs to, where it is recorded.
pub(crate) fn exemplar(node: &Node) -> Option<OfTrace> {
    node.config.telemetry.as_ref()?;
    #[cfg(feature = "otlp")]
    return export::recorded_trace().map(|trace_id| OfTrace { trace_id });
    #[cfg(not(feature = "otlp"))]
    None
}

/// What a stranger makes up is not told.
fn known(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// The first segment of a path, where it is one of ours, and that there is more: no ids, and nothing that a stranger makes up.
fn route(path: &str) -> String {
    let mut segments = path.trim_matches('/').split('/');
    let first = segments.next().and_then(|first| SEGMENTS.into_iter().find(|known| *known == first)).unwrap_or("…");
    let more = if first != "…" && segments.next().is_some() { "/…" } else { "" };
    format!("/{first}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_spans_hold_no_ids() {
        for (path, expected) in [
            ("/notifications", "/notifications"),
            ("/notifications/", "/notifications"),
            ("/notifications/01J", "/notifications/…"),
            ("/", "/…"),
            ("/+447123456789", "/…"),
            ("/eyJhbGciOi/x", "/…"),
        ] {
            assert_eq!(route(path), expected);
        }
        assert_eq!([known(&Method::POST), known(&Method::from_bytes(b"MADEUP").unwrap())], ["POST", "_OTHER"]);
    }
}
