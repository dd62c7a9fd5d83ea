//! `POST /connectors/{id}`: a telephone system's own callback.

use connectors::vendor::SecretPlace;
use hyper::Response;
use hyper::header::HeaderName;
use protocol::id::ConnectorId;

use super::call::Asking;
use super::faults::{ApiError, Unavailable};
use super::identify::admit_stranger;
use crate::auth::TokenError;
use crate::callbacks::{CallbackError, Came, Outcome, do_once};
use crate::connectors::Connector;
use crate::metrics::OfCallback;
use crate::net::headers::text;
use crate::net::outgoing::Outgoing;
use crate::net::request::{Head, check_length};
use crate::node::Node;
use crate::speaker::Speaker;

/// The largest callback: Enreach's lists of attempts have no documented bound.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Takes a callback; a secret may stand behind the id in the path. When it answers 200, all that follows is done: what is
/// live is queued, what was missed is on disk.
pub(super) async fn take(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let Asking { node, head, body, ids: [id, secret] } = of;
    check_length(head.headers, BODY_BYTES_MAX)?;
    let Some(connector) = ConnectorId::parse(id).ok().and_then(|id| node.connectors.find(&id)) else {
        admit_stranger(node, head)?;
        return Err(ApiError::NoConnector);
    };
    let (speaker, vendor) = (admit(node, &connector, head, secret)?, connector.setting.vendor);
    let body = body.read(BODY_BYTES_MAX, node.config.limits.body_timeout).await?.into_bytes();
    let event = vendor.event_header().and_then(|name| head.headers.first(&HeaderName::from_static(name))).and_then(text);
    let came = Came { event: event.map(str::to_owned), body };
    // To its end even where the vendor goes: half of what follows from a callback is worse than none.
    let acting = node.clone();
    let doing = async move { do_once(&acting, &connector, &speaker, came).await };
    let outcome = node.to_the_end(doing).await;
    let name = match &outcome {
        Some(Ok(Outcome::Taken)) => "taken",
        Some(Ok(Outcome::Repeated)) => "repeated",
        Some(Err(_)) | None => "refused",
    };
    node.metrics.callbacks.get_or_create(&OfCallback { vendor: vendor.name(), outcome: name }).inc();
    outcome.ok_or(ApiError::Internal)??;
    Ok(Response::default())
}

/// The secret, then the rate.
fn admit(node: &Node, connector: &Connector, head: Head<'_>, in_path: &str) -> Result<Speaker, ApiError> {
    let secret = match connector.setting.vendor.secret_place() {
        SecretPlace::Header(name) => head.headers.first(&HeaderName::from_static(name)),
        SecretPlace::Path => Some(in_path.as_bytes()),
    };
    let Some(speaker) = connector.speaker().filter(|_| connector.setting.admits(secret)) else {
        admit_stranger(node, head)?;
        return Err(TokenError::Signature.into());
    };
    node.limits.callbacks.admit(connector.id, node.clock.running())?;
    Ok(speaker)
}

impl From<CallbackError> for ApiError {
    fn from(error: CallbackError) -> Self {
        match error {
            CallbackError::Unreadable(why) => Self::Unreadable(format!("The callback cannot be used: {why}")),
            CallbackError::Busy => Self::Unavailable(Unavailable::Connector),
            CallbackError::Post(error) => error.into(),
            CallbackError::Store(error) => error.into(),
            CallbackError::OfOurs(_) => Self::Internal,
        }
    }
}
