//! What is answered when a request is not done: the only place that names the status of a refusal.
//!
//! Texts that Reapit's platform is known to use are used as they are. A 5xx says nothing of the inside.

use std::time::Duration;

use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use protocol::authorise::Refusal;
use protocol::fault::{Fault, Faults, Malformed};
use protocol::json;
use serde::Serialize;
use store::error::StoreError;

use crate::auth::TokenError;
use crate::idempotency::OnceError;
use crate::limits::Exceeded;
use crate::metrics::Because;
use crate::net::outgoing::Outgoing;
use crate::net::request::BodyError;
use crate::node::Node;
use crate::post::PostError;

/// Why a request was not done.
#[derive(Debug, Clone)]
pub(crate) enum ApiError {
    /// The body, a header or the query cannot be read.
    Unreadable(String),
    /// The token is missing or not good.
    Token(TokenError),
    /// The caller may not.
    Refused(Refusal),
    /// The caller may not, for a reason that no scope would mend.
    Forbidden(String),
    /// There is no such path.
    NotFound,
    /// There is no such connector.
    NoConnector,
    /// There is no such negotiator.
    NoNegotiator,
    /// There is no such thing that the caller may see.
    NoSuch(&'static str),
    /// There is no such thing, for who may see all: what is missing, with its name.
    Missing(String),
    /// The application lacks a scope.
    NoScope,
    /// What is there already stands against it.
    Conflict(String),
    /// There are no receipts of this event.
    NoReceipts(Duration),
    /// The path knows these methods, and no other.
    Method(String),
    /// The client took too long with this.
    Timeout(&'static str),
    /// The key was used with another body.
    KeyConflict,
    /// The first call with the key still runs.
    KeyRunning,
    /// The body has more bytes than this.
    TooLarge(usize),
    /// The body is not said to be JSON in UTF-8.
    MediaType,
    /// The body is JSON, but not what it should be.
    Invalid(Faults),
    /// A session needs a WebSocket.
    UpgradeRequired,
    /// Too often.
    TooMany(Exceeded),
    /// Not now.
    Unavailable(Unavailable),
    /// A fault of ours.
    Internal,
}

/// Why not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Every connection is taken.
    Connections,
    /// Every place for a session is taken, or too many come at once.
    Sessions,
    /// The node shuts down.
    Draining,
    /// The callbacks before this one take too long.
    Connector,
    /// What the token is to be verified with cannot be read.
    IssuerKeys,
    /// Too many idempotency keys are remembered.
    Keys,
    /// The disk has no room.
    StoreFull,
    /// A sync or a write failed.
    StorePoisoned,
    /// Too much waits for the disk, or it took too long.
    StoreBusy,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    status_code: u16,
    date_time: String,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Fault]>,
}

const UNAUTHORIZED: &str = "Unauthorized";
const SCOPE_MISSING: &str = "This application has not been granted the required scope to interact with this endpoint. If your \
     application requires access to this resource, please use the Reapit Foundations Developer portal to request permission to \
     access this resource";
const INVALID: &str = "One or more validation failures have occurred. Please refer to Errors list for details";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::KeysUnavailable => Self::Unavailable(Unavailable::IssuerKeys),
            error => Self::Token(error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Exceeded> for ApiError {
    fn from(exceeded: Exceeded) -> Self {
        Self::TooMany(exceeded)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Unavailable(Unavailable::StoreFull),
            StoreError::Poisoned => Self::Unavailable(Unavailable::StorePoisoned),
            StoreError::Busy => Self::Unavailable(Unavailable::StoreBusy),
            StoreError::Closed => Self::Unavailable(Unavailable::Draining),
            // The engine has said in the log why.
            StoreError::Failed(_) => Self::Internal,
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(bytes_max) => Self::TooLarge(bytes_max),
            BodyError::Ended => Self::Unreadable("The body ended before it was whole".to_owned()),
            BodyError::TimedOut => Self::Timeout("the body of the request"),
        }
    }
}

impl From<Malformed> for ApiError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Unreadable(_) => Self::Unreadable(format!("The body cannot be used: {malformed}")),
            Malformed::Invalid(faults) => Self::Invalid(faults),
        }
    }
}

impl From<OnceError> for ApiError {
    fn from(error: OnceError) -> Self {
        match error {
            OnceError::Conflict => Self::KeyConflict,
            OnceError::Running => Self::KeyRunning,
            OnceError::Full => Self::Unavailable(Unavailable::Keys),
            OnceError::Store(error) => error.into(),
        }
    }
}

impl From<PostError> for ApiError {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Malformed(malformed) => malformed.into(),
            PostError::Refused(refusal) => refusal.into(),
            PostError::Unknown(faults) => Self::Invalid(faults),
            PostError::Once(error) => error.into(),
        }
    }
}

impl ApiError {
    /// A body, or what stands for one, with this one fault.
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        let mut faults = Faults::default();
        faults.add(field, message);
        Self::Invalid(faults)
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable(_) | Self::Refused(Refusal::CustomerMissing) => StatusCode::BAD_REQUEST,
            Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::Refused(_) | Self::Forbidden(_) | Self::NoScope => StatusCode::FORBIDDEN,
            Self::NotFound
            | Self::NoConnector
            | Self::NoNegotiator
            | Self::NoSuch(_)
            | Self::Missing(_)
            | Self::NoReceipts(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::KeyConflict | Self::KeyRunning | Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The label of the metric that counts refusals.
    fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Token(TokenError::Missing) => "token_missing",
            Self::Token(TokenError::Expired(_)) => "token_expired",
            Self::Token(_) => "token_refused",
            Self::Refused(Refusal::CustomerMissing) => "customer_missing",
            Self::Refused(Refusal::CustomerForeign(_)) => "customer_foreign",
            Self::Refused(Refusal::NotInstalled(_)) => "not_installed",
            Self::Refused(Refusal::Scope(_) | Refusal::NoApplication) | Self::NoScope => "scope",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound | Self::Method(_) => "no_such_call",
            Self::NoConnector => "no_connector",
            Self::NoNegotiator => "no_negotiator",
            Self::NoSuch(_) | Self::Missing(_) => "no_such_thing",
            Self::Conflict(_) => "conflict",
            Self::NoReceipts(_) => "no_receipts",
            Self::Timeout(_) => "timeout",
            Self::KeyConflict | Self::KeyRunning => "key_conflict",
            Self::TooLarge(_) => "too_large",
            Self::MediaType => "media_type",
            Self::Invalid(_) => "invalid",
            Self::UpgradeRequired => "upgrade_required",
            Self::TooMany(_) => "rate",
            Self::Unavailable(Unavailable::Connections) => "connections",
            Self::Unavailable(Unavailable::Sessions) => "sessions",
            Self::Unavailable(Unavailable::Draining) => "draining",
            Self::Unavailable(Unavailable::IssuerKeys) => "issuer_keys",
            Self::Unavailable(Unavailable::Keys) => "keys",
            Self::Unavailable(Unavailable::Connector) => "connector_busy",
            Self::Unavailable(Unavailable::StoreFull) => "store_full",
            Self::Unavailable(Unavailable::StorePoisoned) => "store_poisoned",
            Self::Unavailable(Unavailable::StoreBusy) => "store_busy",
            Self::Internal => "internal",
        }
    }

    pub(crate) fn description(&self) -> String {
        match self {
            Self::Unreadable(text) | Self::Forbidden(text) | Self::Conflict(text) => text.clone(),
            Self::Token(_) => UNAUTHORIZED.to_owned(),
            Self::Refused(Refusal::Scope(_)) | Self::NoScope => SCOPE_MISSING.to_owned(),
            Self::Refused(refusal) => sentence(&refusal.to_string()),
            Self::NoConnector => "There is no connector of this name".to_owned(),
            Self::NoNegotiator => "There is no negotiator with this id in the customer's directory".to_owned(),
            Self::Missing(what) => format!("There is no {what}"),
            Self::NoSuch(what) => format!("There is no {what} with this id that this application may see"),
            Self::NoReceipts(kept) => format!(
                "There are no receipts of this event for this application; they are kept for {} s at most",
                kept.as_secs()
            ),
            Self::NotFound => "There is no such path; /openapi.json names those that there are".to_owned(),
            Self::Method(allowed) => format!("This path knows only {allowed}"),
            Self::Timeout(what) => format!("Waited too long for {what}"),
            Self::KeyConflict => "This Idempotency-Key was used with another body".to_owned(),
            Self::KeyRunning => "The first call with this Idempotency-Key is still running".to_owned(),
            Self::TooLarge(max) => format!("The body has more than {max} bytes"),
            Self::MediaType => "Content-Type must be application/json or application/*+json, in UTF-8".to_owned(),
            Self::Invalid(_) => INVALID.to_owned(),
            Self::UpgradeRequired => "A session is a WebSocket (RFC 6455, version 13, over HTTP/1.1)".to_owned(),
            Self::TooMany(_) => "Too many requests; see Retry-After".to_owned(),
            Self::Unavailable(Unavailable::Draining) => "This node shuts down; connect again".to_owned(),
            Self::Unavailable(Unavailable::IssuerKeys) => {
                "The keys of the token's issuer cannot be read at the moment; see Retry-After".to_owned()
            }
            Self::Unavailable(_) => "The service cannot take this at the moment; see Retry-After".to_owned(),
            Self::Internal => "Something went wrong here; the x-request-id helps to find it".to_owned(),
        }
    }

    /// After how many seconds another try makes sense.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::KeyRunning => Some(1),
            Self::TooMany(Exceeded { retry_after }) => Some(whole_seconds(*retry_after)),
            Self::Unavailable(Unavailable::StoreFull | Unavailable::IssuerKeys) => Some(5),
            Self::Unavailable(Unavailable::StorePoisoned | Unavailable::Keys) => Some(30),
            Self::Unavailable(_) => Some(1),
            _ => None,
        }
    }

    /// Counts the refusal.
    pub(crate) fn count(&self, node: &Node) {
        node.metrics.refusals.get_or_create(&Because { reason: self.reason() }).inc();
        tracing::debug!(reason = self.reason(), "refused");
    }

    fn body(&self, now: Timestamp) -> String {
        let description = self.description();
        let errors = match self {
            Self::Invalid(faults) => Some(faults.as_slice()),
            _ => None,
        };
        // Seven fractional digits, as Reapit's platform writes them.
        let date_time = format!("{now:.7}");
        let body = ErrorBody { status_code: self.status().as_u16(), date_time, description: &description, errors };
        json::encode(&body)
    }

    /// The answer.
    pub(crate) fn into_response(self, node: &Node) -> Response<Outgoing> {
        let mut response = Response::new(Outgoing::from(self.body(node.clock.now())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        match &self {
            Self::Token(error) => drop(headers.insert(WWW_AUTHENTICATE, challenge(error))),
            Self::Method(allowed) => {
                if let Ok(allowed) = HeaderValue::from_str(allowed) {
                    headers.insert(ALLOW, allowed);
                }
            }
            // What is left of the body is not read as a request.
            Self::Timeout(_) | Self::TooLarge(_) => drop(headers.insert(CONNECTION, HeaderValue::from_static("close"))),
            Self::UpgradeRequired => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// RFC 6750 §3: no error code where there was no token.
fn challenge(error: &TokenError) -> HeaderValue {
    let text = match error {
        TokenError::Missing => "Bearer realm=\"bellwire\"".to_owned(),
        error => {
            format!("Bearer realm=\"bellwire\", error=\"invalid_token\", error_description=\"{}\"", quotable(&error.to_string()))
        }
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

/// RFC 6750 §3: what can stand in `error_description`.
fn quotable(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c) && *c != '"' && *c != '\\').collect()
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
