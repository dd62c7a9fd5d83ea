//! Which pages may call the API from a browser (Fetch standard, "CORS protocol"): exact origins, none unless configured.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Response, StatusCode};

use crate::net::headers::Headers;
use crate::net::outgoing::Outgoing;
use crate::net::request::Head;

/// Headers of answers that a page can read.
const READABLE: &str = "etag, idempotent-replayed, location, retry-after, x-request-id";

/// The origin of the request, where it is one that may call.
pub(super) fn allowed(origins: &[String], headers: Headers<'_>) -> Option<HeaderValue> {
    if origins.is_empty() {
        return None;
    }
    let origin = headers.first(&ORIGIN).filter(|origin| origins.iter().any(|allowed| allowed.as_bytes() == *origin))?;
    HeaderValue::from_bytes(origin).ok()
}

/// The answer to a preflight of an allowed origin; it needs no token.
pub(super) fn preflight(origin: Option<&HeaderValue>, head: Head<'_>) -> Option<Response<Outgoing>> {
    origin?;
    if head.method != Method::OPTIONS || !head.headers.has(&ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::new(Outgoing::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE"));
    let allowed =
        "authorization, content-type, api-version, reapit-customer, idempotency-key, prefer, if-none-match, x-request-id";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(response)
}

/// Lets the page read the answer.
pub(super) fn expose(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READABLE));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}
