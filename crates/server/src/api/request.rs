//! What the headers, the query and the body of a request say. Each is read once, here.

use std::sync::OnceLock;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use jiff::Timestamp;
use protocol::id::IdempotencyKey;

use super::faults::ApiError;
use crate::net::headers::{Headers, listed, text};
use crate::net::request::{Body, Head, Payload, Request, check_length};
use crate::net::service::REQUEST_ID;
use crate::node::Node;

pub(crate) const CUSTOMER: HeaderName = HeaderName::from_static("reapit-customer");
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("api-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const REQUEST_ID_CHARACTERS_MAX: usize = 64;

/// The id of a request, made when it is needed first.
#[derive(Debug)]
pub(crate) struct RequestId<'a> {
    node: &'a Node,
    /// Where the caller may have sent one.
    headers: Headers<'a>,
    at: Timestamp,
    made: OnceLock<HeaderValue>,
}

impl<'a> RequestId<'a> {
    pub(crate) fn of(node: &'a Node, request: &Request<'a>) -> Self {
        // A head that is known again brought none.
        let headers = request.memo.recall().map_or(request.head.headers, |_| Headers::Lines(&[]));
        Self { node, headers, at: request.head.taken.wall, made: OnceLock::new() }
    }

    /// Returns the caller's own where it is short and plain, else a new one.
    pub(crate) fn get(&self) -> &HeaderValue {
        self.made.get_or_init(|| self.make())
    }

    /// As [`Self::get`], to be sent.
    pub(crate) fn take(mut self) -> HeaderValue {
        self.made.take().unwrap_or_else(|| self.make())
    }

    fn make(&self) -> HeaderValue {
        let plain = |value: &&[u8]| {
            (1..=REQUEST_ID_CHARACTERS_MAX).contains(&value.len())
                && value.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
        };
        let own = self.headers.first(&REQUEST_ID).filter(plain).and_then(|own| HeaderValue::from_bytes(own).ok());
        own.unwrap_or_else(|| new_request_id(self.node, self.at))
    }
}

/// Makes an id for a request.
pub(crate) fn new_request_id(node: &Node, now: Timestamp) -> HeaderValue {
    HeaderValue::from_str(&node.new_id_at(now).text()).unwrap_or(HeaderValue::from_static("-"))
}

/// A header that may stand once, as text.
pub(crate) fn single<'a>(headers: Headers<'a>, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(ApiError::Unreadable(format!("The header {name} is given more than once")));
    }
    let unreadable = || ApiError::Unreadable(format!("The header {name} holds other than visible ASCII characters"));
    first.map(|value| text(value).ok_or_else(unreadable)).transpose()
}

/// The caller's `Idempotency-Key`.
pub(crate) fn idempotency_key(headers: Headers<'_>) -> Result<Option<IdempotencyKey>, ApiError> {
    let key = single(headers, &IDEMPOTENCY_KEY)?.map(IdempotencyKey::parse).transpose();
    key.map_err(|error| ApiError::Unreadable(format!("The header Idempotency-Key {error}")))
}

/// Whether the caller asks to be told what became of the event (RFC 7240 §4.2).
pub(crate) fn prefers_representation(headers: Headers<'_>) -> bool {
    listed(headers, &PREFER).any(|preference| {
        let preference = preference.split(';').next().unwrap_or_default();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        name.trim().eq_ignore_ascii_case("return") && value.trim().trim_matches('"') == "representation"
    })
}

/// `application/json` or `application/*+json`, charset utf-8 or none.
pub(crate) fn check_content_type(headers: Headers<'_>) -> Result<(), ApiError> {
    let text = single(headers, &CONTENT_TYPE)?.ok_or(ApiError::MediaType)?;
    if text == "application/json" {
        return Ok(());
    }
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/").ok_or(ApiError::MediaType)?;
    let is_json = subtype == "json" || subtype.strip_suffix("+json").is_some_and(|prefix| !prefix.is_empty());
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => value.trim_matches('"').eq_ignore_ascii_case("utf-8"),
        Some(_) | None => true,
    };
    if is_json && parts.all(is_utf8) { Ok(()) } else { Err(ApiError::MediaType) }
}

/// Checks what a request's head says of its JSON body, and reads it.
pub(crate) async fn json_bytes<'a>(
    node: &Node,
    head: Head<'_>,
    body: Body<'a>,
    bytes_max: usize,
) -> Result<Payload<'a>, ApiError> {
    check_length(head.headers, bytes_max)?;
    check_content_type(head.headers)?;
    Ok(body.read(bytes_max, node.config.limits.body_timeout).await?)
}

/// The parameters of a query, each known and given once.
pub(crate) fn query<const N: usize>(text: Option<&str>, known: [&str; N]) -> Result<[Option<String>; N], ApiError> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        let place = known.iter().position(|other| *other == name);
        match place.and_then(|place| values.get_mut(place)) {
            None => {
                let known = known.join(", ");
                return Err(ApiError::Unreadable(format!("The query parameter {name:?} is not known here; known are {known}")));
            }
            Some(Some(_)) => return Err(ApiError::Unreadable(format!("The query parameter {name} is given more than once"))),
            Some(slot) => *slot = Some(value.into_owned()),
        }
    }
    Ok(values)
}
