//! Spans and exemplars for OpenTelemetry, where the configuration names an endpoint; nothing of it costs anything where it does not.
//!
//! One span a request, a session and an attempt. A request continues the trace that its caller names (`traceparent`, W3C Trace
//! Context §3.2); a session, which lasts a day, and an attempt, which may be days later, are traces of their own.

#[cfg(feature = "otlp")]
mod export; // the way to the endpoint
#[cfg(feature = "otlp")]
mod transport; // one POST to the endpoint

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use crate::metrics::OfTrace;
use crate::net::request::Head;
use crate::node::Node;

#[cfg(feature = "otlp")]
pub use self::export::{Spans, Unstarted};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The name of a path that there is none of: what a stranger makes up is not told.
const NO_PATH: &str = "/…";

/// What a request is for, as its span is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanName {
    /// Its path without ids, where there is such a path.
    pub(crate) path: Option<&'static str>,
    pub(crate) is_frequent: bool,
}

/// Opens the span of a request: here alone, for either listener and whichever reader. Nearly all requests are of a frequent kind, and
/// say nothing in the log but at its finest, so that their spans cost nothing above that.
pub(crate) fn request_span<'i>(node: &Node, head: Head<'_>, name: SpanName, id: impl Fn() -> &'i HeaderValue) -> Span {
    if node.config.telemetry.is_none() {
        return match name.is_frequent {
            true => tracing::debug_span!("request", id = ?id(), method = known(head.method)),
            false => tracing::info_span!("request", id = ?id(), method = known(head.method)),
        };
    }
    let method = known(head.method);
    let span = tracing::info_span!(
        parent: None,
        "request",
        id = ?id(),
        method,
        otel.kind = "server",
        otel.name = format!("{method} {}", name.path.unwrap_or(NO_PATH)),
        otel.status_code = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
    );
    #[cfg(feature = "otlp")]
    export::adopt(node, &span, head.headers);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_a_stranger_makes_up_is_not_told() {
        assert_eq!([known(&Method::POST), known(&Method::from_bytes(b"MADEUP").unwrap())], ["POST", "_OTHER"]);
    }
}
