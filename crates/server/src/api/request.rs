//! What the headers, the query and the body of a request say. Each is read once, here.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Moment;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Version};
use jiff::Timestamp;
use protocol::authorise::{Application as StoredApplication, Caller, Grant, Identity, Refusal, Scope};
use protocol::id::{ClientId, CustomerId, IdempotencyKey, Recipient};
use tokio::time::timeout;

use crate::api::faults::ApiError;
use crate::app::Node;
use crate::auth::{Authenticated, TokenError, Verified};
use crate::limits::subscriber;
use crate::net::headers::{Headers, listed, single, text};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const CUSTOMER: HeaderName = HeaderName::from_static("reapit-customer");
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("api-version");
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const REQUEST_ID_CHARACTERS_MAX: usize = 64;
/// How much of a body that nobody asked for is read to keep a connection.
const UNREAD_BYTES_MAX: usize = 64 * 1024;

/// Whom a request speaks for, and what their application may do.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) verified: Verified,
    pub(crate) customer: CustomerId,
    application: Option<Arc<StoredApplication>>,
    dev: bool,
}

impl Speaker {
    /// Token → `api-version` → `reapit-customer` → rate, in this order.
    pub(crate) async fn identify(node: &Node, peer: IpAddr, headers: &impl Headers, now: Moment) -> Result<Self, ApiError> {
        let Authenticated { verified, .. } = authenticate(node, peer, bearer(headers)?, now.wall).await?;
        let customer = spoken_for(&verified.caller, headers)?;
        Self::again(node, verified, customer, now)
    }

    /// As [`Speaker::identify`], of a token that is known to be good for this customer.
    pub(crate) fn again(node: &Node, verified: Verified, customer: CustomerId, now: Moment) -> Result<Self, ApiError> {
        let caller = &verified.caller;
        let application = caller.client_id.as_deref().and_then(|client_id| node.store.application(client_id));
        let speaker = Self { verified, customer, application, dev: node.config.dev };
        speaker.admit(node, now.running)?;
        Ok(speaker)
    }

    /// Takes one request out of the budget of the caller.
    fn admit(&self, node: &Node, now: Duration) -> Result<(), ApiError> {
        let is_installed = self.dev || self.application.as_ref().is_some_and(|app| app.customers.contains(&self.customer));
        match (self.caller().identity, self.caller().client_id()) {
            (Identity::Person(recipient, _), _) => node.limits.polls.admit(recipient, now)?,
            (Identity::Application | Identity::Customer(_), Some(client_id)) => {
                node.limits.requests.admit((client_id, is_installed.then_some(self.customer)), now)?;
            }
            (Identity::Application | Identity::Customer(_), None) => return Err(Refusal::NoApplication.into()),
        }
        Ok(())
    }

    /// Who brings the token.
    pub(crate) fn caller(&self) -> &Caller {
        &self.verified.caller
    }

    /// What is known of the application.
    pub(crate) fn grant(&self) -> Grant<'_> {
        if self.dev { Grant::Everything } else { Grant::Stored(self.application.as_deref()) }
    }

    /// Checks that the application may do this for the customer.
    pub(crate) fn permit(&self, scope: Scope) -> Result<(), ApiError> {
        Ok(self.caller().permit(scope, self.customer, self.grant())?)
    }
}

/// An application that speaks for all of its customers, or for one.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) client_id: ClientId,
    /// The customer that the token, or the header `reapit-customer`, names.
    pub(crate) bound_to: Option<CustomerId>,
    caller: Arc<Caller>,
    stored: Option<Arc<StoredApplication>>,
    dev: bool,
}

impl Application {
    /// Token → `api-version` → `reapit-customer`, if it is there → rate, in this order.
    pub(crate) async fn identify(node: &Node, peer: IpAddr, headers: &HeaderMap) -> Result<Self, ApiError> {
        let Authenticated { verified: Verified { caller, .. }, .. } =
            authenticate(node, peer, bearer(headers)?, node.clock.now()).await?;
        check_api_version(headers)?;
        let bound_to = match (caller.identity, customer_header(headers)?) {
            (Identity::Application, header) => header,
            (_, header) => Some(caller.speaks_for(header)?),
        };
        let client_id = caller.client_id().ok_or(Refusal::NoApplication)?;
        let stored = node.store.application(&client_id);
        let application = Self { client_id, bound_to, caller, stored, dev: node.config.dev };
        let installed = bound_to.filter(|customer| application.is_installed(customer));
        node.limits.requests.admit((client_id, installed), node.clock.running())?;
        Ok(application)
    }

    /// Whether the token has a scope, and the application was granted it.
    pub(crate) fn holds(&self, scope: &str) -> bool {
        let grant = if self.dev { Grant::Everything } else { Grant::Stored(self.stored.as_deref()) };
        self.caller.holds(scope, grant)
    }

    /// Whether a customer has installed the application.
    pub(crate) fn is_installed(&self, customer: &CustomerId) -> bool {
        self.dev || self.stored.as_ref().is_some_and(|stored| stored.customers.contains(customer))
    }
}

/// Verifies a token; a bad one counts against the address that it came from.
pub(crate) async fn authenticate(
    node: &Node,
    peer: IpAddr,
    token: Option<&str>,
    now: Timestamp,
) -> Result<Authenticated, ApiError> {
    let verified = match token {
        Some(token) => node.auth.authenticate_patiently(token, now).await,
        None => Err(TokenError::Missing),
    };
    verified.or_else(|error| {
        admit_stranger(node, peer)?;
        Err(error.into())
    })
}

/// Takes one request out of the budget of an address that brings no good token.
pub(crate) fn admit_stranger(node: &Node, peer: IpAddr) -> Result<(), ApiError> {
    Ok(node.limits.strangers.admit(subscriber(peer), node.clock.running())?)
}

/// `api-version`, then the customer that the request speaks for.
pub(crate) fn spoken_for(caller: &Caller, headers: &impl Headers) -> Result<CustomerId, ApiError> {
    check_api_version(headers)?;
    Ok(caller.speaks_for(customer_header(headers)?)?)
}

/// The token of the `Authorization` header.
pub(crate) fn bearer(headers: &impl Headers) -> Result<Option<&str>, ApiError> {
    let Some(value) = single(headers, &AUTHORIZATION)? else { return Ok(None) };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        Some(_) | None => Ok(None),
    }
}

fn customer_header(headers: &impl Headers) -> Result<Option<CustomerId>, ApiError> {
    let customer = single(headers, &CUSTOMER)?.map(CustomerId::parse).transpose();
    customer.map_err(|error| ApiError::Unreadable(format!("The header reapit-customer {error}")))
}

fn check_api_version(headers: &impl Headers) -> Result<(), ApiError> {
    match single(headers, &API_VERSION)? {
        None | Some("2020-01-31" | "latest") => Ok(()),
        Some(other) => Err(ApiError::Unreadable(format!("HTTP resource does not support the API version '{other}'"))),
    }
}

/// The caller's `Idempotency-Key`.
pub(crate) fn idempotency_key(headers: &impl Headers) -> Result<Option<IdempotencyKey>, ApiError> {
    let key = single(headers, &IDEMPOTENCY_KEY)?.map(IdempotencyKey::parse).transpose();
    key.map_err(|error| ApiError::Unreadable(format!("The header Idempotency-Key {error}")))
}

/// Whether the caller asks to be told what became of the event (RFC 7240 §4.2).
pub(crate) fn prefers_representation(headers: &impl Headers) -> bool {
    listed(headers, &PREFER).any(|preference| {
        let preference = preference.split(';').next().unwrap_or_default();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        name.trim().eq_ignore_ascii_case("return") && value.trim().trim_matches('"') == "representation"
    })
}

/// The id of the request: the caller's own where it is short and plain, else a new one.
pub(crate) fn request_id(node: &Node, headers: &impl Headers, now: Timestamp) -> HeaderValue {
    let plain = |value: &&[u8]| {
        (1..=REQUEST_ID_CHARACTERS_MAX).contains(&value.len())
            && value.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    let own = headers.all(&REQUEST_ID).next().filter(plain).and_then(|own| HeaderValue::from_bytes(own).ok());
    own.unwrap_or_else(|| new_request_id(node, now))
}

pub(crate) fn new_request_id(node: &Node, now: Timestamp) -> HeaderValue {
    HeaderValue::from_str(&node.new_id_at(now).text()).unwrap_or(HeaderValue::from_static("-"))
}

/// Refuses a body that is said to be larger than `max` before anything of it is read.
pub(crate) fn check_length(headers: &impl Headers, max: usize) -> Result<(), ApiError> {
    let length = headers.all(&CONTENT_LENGTH).next().and_then(text).and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) { Err(ApiError::TooLarge(max)) } else { Ok(()) }
}

/// `application/json` or `application/*+json`, charset utf-8 or none.
pub(crate) fn check_content_type(headers: &impl Headers) -> Result<(), ApiError> {
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

/// Reads the body whole, at most `max` bytes and `patience`.
pub(crate) async fn read_body<B>(body: &mut B, max: usize, patience: Duration) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let collected = timeout(patience, Limited::new(body, max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge(max)),
        Ok(Err(_)) => Err(ApiError::Unreadable("The body ended before it was whole".to_owned())),
        Err(_elapsed) => Err(ApiError::Timeout("the body of the request")),
    }
}

/// Checks what a request's head says of its body, and reads it.
pub(crate) async fn json_bytes<B>(node: &Node, request: &mut Request<B>, max: usize) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    check_length(request.headers(), max)?;
    check_content_type(request.headers())?;
    read_body(request.body_mut(), max, node.config.limits.body_timeout).await
}

/// Whether the answer says that the connection ends with it.
pub(crate) fn ends_connection<A>(response: &Response<A>) -> bool {
    response.headers().get(CONNECTION).is_some_and(|value| value == "close")
}

/// Reads what nobody read of a request's body, so that the connection is good for the next one. What is not small, or waits for
/// our word, is not read: then the answer says that the connection ends with it (RFC 9112 §9.6).
pub(crate) async fn finish_body<B, A>(node: &Node, request: &mut Request<B>, response: &mut Response<A>)
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    // What is done has read its body, though of one in chunks that cannot be seen.
    let (is_done, has_streams) = (response.status().is_success(), request.version() == Version::HTTP_2);
    if ends_connection(response)
        || has_streams
        || response.status() == StatusCode::SWITCHING_PROTOCOLS
        || request.body().is_end_stream()
    {
        return;
    }
    let waits = !is_done && request.headers().contains_key(EXPECT);
    let is_small = check_length(request.headers(), UNREAD_BYTES_MAX).is_ok();
    if waits || !is_small || read_body(request.body_mut(), UNREAD_BYTES_MAX, node.config.limits.body_timeout).await.is_err() {
        response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
    }
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

/// Whose list a request is about: the person's own, or that of the negotiator whom an application names.
pub(crate) fn list_owner(speaker: &Speaker, negotiator: Option<&str>) -> Result<Recipient, ApiError> {
    let named = negotiator.map(protocol::id::NegotiatorId::parse).transpose();
    let named = named.map_err(|error| ApiError::Unreadable(format!("negotiatorId {error}")))?;
    match (speaker.caller().identity, named) {
        (Identity::Person(own, _), Some(named)) if named != own.negotiator => {
            Err(ApiError::Forbidden("The token belongs to another negotiator".to_owned()))
        }
        (Identity::Person(own, _), _) => Ok(own),
        (Identity::Application | Identity::Customer(_), Some(negotiator)) => {
            speaker.permit(Scope::TelephonyRead)?;
            Ok(Recipient { customer: speaker.customer, negotiator })
        }
        (Identity::Application | Identity::Customer(_), None) => {
            Err(ApiError::Unreadable("The query parameter negotiatorId is required: the token names no negotiator".to_owned()))
        }
    }
}
