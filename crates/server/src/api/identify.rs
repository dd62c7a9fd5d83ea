//! Who asks, and for whom.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::AUTHORIZATION;
use protocol::authorise::{Application as StoredApplication, Caller, Grant, Identity, Refusal, Scope};
use protocol::id::{ClientId, CustomerId, NegotiatorId, Recipient};

use super::faults::ApiError;
use super::request::{API_VERSION, CUSTOMER, single};
use crate::auth::{Authenticated, TokenError, Verified};
use crate::limits::subscriber;
use crate::net::headers::Headers;
use crate::net::request::Head;
use crate::node::Node;
use crate::speaker::{Authority, Speaker};

/// Says for whom a request speaks: token → `api-version` → `reapit-customer` → rate, in this order.
pub(crate) async fn identify(node: &Node, head: Head<'_>) -> Result<Speaker, ApiError> {
    let Authenticated { verified, .. } = authenticate(node, head, bearer(head.headers)?).await?;
    let customer = spoken_for(&verified.caller, head.headers)?;
    admit(node, verified.caller, customer, head.taken.running)
}

/// Takes one request out of the budget of a caller who is known to be good for this customer.
pub(crate) fn admit(node: &Node, caller: Arc<Caller>, customer: CustomerId, now: Duration) -> Result<Speaker, ApiError> {
    let application = || caller.client_id.as_deref().and_then(|client_id| node.store.application(client_id));
    let authority = if node.config.dev { Authority::Token } else { Authority::Stored(application()) };
    let speaker = Speaker { caller, customer, authority };
    match (speaker.caller.identity, speaker.caller.client_id()) {
        (Identity::Person(recipient, _), _) => node.limits.polls.admit(recipient, now)?,
        (Identity::Application | Identity::Customer(_), Some(client_id)) => {
            node.limits.requests.admit((client_id, speaker.is_installed().then_some(customer)), now)?;
        }
        (Identity::Application | Identity::Customer(_), None) => return Err(Refusal::NoApplication.into()),
    }
    Ok(speaker)
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
    pub(crate) async fn identify(node: &Node, head: Head<'_>) -> Result<Self, ApiError> {
        let Authenticated { verified: Verified { caller, .. }, .. } = authenticate(node, head, bearer(head.headers)?).await?;
        check_api_version(head.headers)?;
        let bound_to = match (caller.identity, customer_header(head.headers)?) {
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
pub(crate) async fn authenticate(node: &Node, head: Head<'_>, token: Option<&str>) -> Result<Authenticated, ApiError> {
    let verified = match token {
        Some(token) => node.auth.authenticate_patiently(token, head.taken.wall).await,
        None => Err(TokenError::Missing),
    };
    verified.or_else(|error| {
        admit_stranger(node, head)?;
        Err(error.into())
    })
}

/// Takes one request out of the budget of an address that brings no good token.
pub(crate) fn admit_stranger(node: &Node, head: Head<'_>) -> Result<(), ApiError> {
    let client = head.client(&node.config.proxies);
    Ok(node.limits.strangers.admit(subscriber(client), node.clock.running())?)
}

/// `api-version`, then the customer that the request speaks for.
pub(crate) fn spoken_for(caller: &Caller, headers: Headers<'_>) -> Result<CustomerId, ApiError> {
    check_api_version(headers)?;
    Ok(caller.speaks_for(customer_header(headers)?)?)
}

/// The token of the `Authorization` header.
pub(crate) fn bearer(headers: Headers<'_>) -> Result<Option<&str>, ApiError> {
    let Some(value) = single(headers, &AUTHORIZATION)? else { return Ok(None) };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        Some(_) | None => Ok(None),
    }
}

fn customer_header(headers: Headers<'_>) -> Result<Option<CustomerId>, ApiError> {
    let customer = single(headers, &CUSTOMER)?.map(CustomerId::parse).transpose();
    customer.map_err(|error| ApiError::Unreadable(format!("The header reapit-customer {error}")))
}

fn check_api_version(headers: Headers<'_>) -> Result<(), ApiError> {
    match single(headers, &API_VERSION)? {
        None | Some("2020-01-31" | "latest") => Ok(()),
        Some(other) => Err(ApiError::Unreadable(format!("HTTP resource does not support the API version '{other}'"))),
    }
}

/// Whose list a request is about: the person's own, or that of the negotiator whom an application names.
pub(crate) fn list_owner(speaker: &Speaker, negotiator: Option<&str>) -> Result<Recipient, ApiError> {
    let named = negotiator.map(NegotiatorId::parse).transpose();
    let named = named.map_err(|error| ApiError::Unreadable(format!("negotiatorId {error}")))?;
    match (speaker.caller.identity, named) {
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
