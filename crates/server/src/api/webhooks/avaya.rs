//! Avaya's contract for digital webhook subscriptions: paths, statuses and problems (RFC 9457) as published.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use protocol::fault::Fault;
use protocol::id::CustomerId;
use serde_json::{Value, json};
use webhooks::engine::{Given, Owner, Shown};
use webhooks::profile::AVAYA;
use webhooks::subscription::Wish;
use webhooks::vendor::avaya;

use super::{Asking, body, refuse};
use crate::api::answer::{empty, json_response, refuse_body};
use crate::api::faults::{ApiError, Body};
use crate::api::paging::parameters;
use crate::app::Node;

/// Below which path the contract stands.
pub(super) const BASE: &str = "/api/digital/webhook/v1/accounts";
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const DOCUMENTED: &str = "https://developers.avayacloud.com/onecloud-ccaas/docs/error-handling";
/// The contract's numbers for what is missing, and for what is not as it must be.
const CODE_MISSING: u32 = 20002;
const CODE_WRONG: u32 = 20006;
const SCOPE: &str = "events.avaya.read";

/// A request about an account.
#[derive(Clone, Copy)]
struct Account<'a> {
    asking: Asking<'a>,
    id: &'a str,
    customer: CustomerId,
}

/// Answers `{accountId}/subscriptions` and what stands below.
pub(super) async fn answer(
    asking: Asking<'_>,
    method: Method,
    rest: &[&str],
    request: &mut Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (id, rest) = match rest {
        [id, "subscriptions", rest @ ..] => (*id, rest),
        _ => return Err(ApiError::NotFound),
    };
    let account = Account { asking, id, customer: customer(asking, id)? };
    match (method, rest) {
        (Method::GET, []) => account.list(request),
        (Method::POST, []) => account.create(request).await,
        (Method::GET, [id]) => Ok(json_response(StatusCode::OK, &avaya::show(&account.find(id)?))),
        (Method::PUT, [id]) => account.replace(id, request).await,
        (Method::DELETE, [id]) => {
            account.find(id)?;
            asking.node.webhooks.delete(id, &account.owner()).await.map_err(refuse)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (_, []) => Err(ApiError::Method("GET, POST")),
        (_, [_]) => Err(ApiError::Method("GET, PUT, DELETE")),
        _ => Err(ApiError::NotFound),
    }
}

/// The customer whose account it is, if the application may act for it.
fn customer(asking: Asking<'_>, id: &str) -> Result<CustomerId, ApiError> {
    if !avaya::is_account(id) {
        return Err(ApiError::invalid("accountId", avaya::ACCOUNT_RULE));
    }
    if !asking.application.holds(SCOPE) {
        return Err(ApiError::NoScope);
    }
    // Whose an account is, is told to nobody who may not act for it.
    let is_own = |customer: &CustomerId| {
        let is_bound_to = asking.application.bound_to.is_none_or(|bound| bound == *customer);
        is_bound_to && asking.application.is_installed(customer)
    };
    asking.node.webhooks.account(id).filter(is_own).ok_or(ApiError::NoSuch("account"))
}

impl Account<'_> {
    fn owner(self) -> Owner {
        Owner { bound_to: Some(self.customer), ..self.asking.owner() }
    }

    fn is_own(self, shown: &Shown) -> bool {
        shown.profile == AVAYA.name && shown.vendor.get("accountId").is_some_and(|account| account == self.id)
    }

    fn find(self, id: &str) -> Result<Shown, ApiError> {
        let found = self.asking.node.webhooks.subscription(id, Some(&self.owner()));
        found.filter(|shown| self.is_own(shown)).ok_or(ApiError::NoSuch("subscription"))
    }

    fn list(self, request: &Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let mut provider: Option<String> = None;
        parameters(request.uri().query().unwrap_or_default(), |name, value| match name {
            "channelProviderId" => {
                provider = Some(value.to_owned());
                Ok(())
            }
            _ => Err("is not known here; known is channelProviderId".to_owned()),
        })?;
        if let Some(fault) = provider.as_deref().and_then(avaya::provider_fault) {
            return Err(ApiError::invalid("channelProviderId", fault));
        }
        let all = self.asking.node.webhooks.subscriptions(Some(&self.owner()));
        let is_wanted = |shown: &Shown| {
            let of = shown.vendor.get("channelProviderId").and_then(Value::as_str);
            self.is_own(shown) && provider.as_deref().is_none_or(|wanted| of == Some(wanted))
        };
        let shown: Vec<_> = all.iter().filter(|shown| is_wanted(shown)).map(avaya::show).collect();
        Ok(json_response(StatusCode::OK, &Value::from(shown)))
    }

    async fn create(self, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
        let wish = self.read(request).await?;
        let made = self.asking.node.webhooks.create(self.owner(), wish, Given::default()).await.map_err(refuse)?;
        Ok(json_response(StatusCode::CREATED, &avaya::show(&made)))
    }

    async fn replace(self, id: &str, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
        self.find(id)?;
        let wish = self.read(request).await?;
        let made = self.asking.node.webhooks.update(id, &self.owner(), wish, None).await.map_err(refuse)?;
        Ok(json_response(StatusCode::OK, &avaya::show(&made)))
    }

    async fn read(self, request: &mut Request<Incoming>) -> Result<Wish, ApiError> {
        let body = body(self.asking.node, request).await?;
        let application = self.asking.application;
        let (holds, installed) = (|scope: &str| application.holds(scope), |_: &CustomerId| true);
        avaya::read(&body, self.id, self.customer, &self.asking.asker(&holds, &installed)).map_err(refuse_body)
    }
}

/// A refusal as the contract has it.
pub(super) fn problem(node: &Node, error: ApiError, instance: &str) -> Response<Body> {
    let (status, detail) = match &error {
        ApiError::Invalid(_) => (StatusCode::BAD_REQUEST, "One or more constraints are violated".to_owned()),
        error => (error.status(), error.description()),
    };
    let (title, anchor) = match status {
        StatusCode::BAD_REQUEST => ("Constraint Violation", Some("constraint-violation")),
        StatusCode::UNAUTHORIZED => ("Unauthorized", Some("unauthorized")),
        StatusCode::FORBIDDEN => ("Forbidden", Some("forbidden")),
        StatusCode::NOT_FOUND => ("Not Found", Some("not-found")),
        StatusCode::INTERNAL_SERVER_ERROR => ("Internal Server Error", Some("internal-error")),
        other => (other.canonical_reason().unwrap_or_default(), None),
    };
    let kind = anchor.map_or_else(|| "about:blank".to_owned(), |anchor| format!("{DOCUMENTED}#{anchor}"));
    let mut problem = json!({"type": kind, "title": title, "status": status.as_u16(), "detail": detail, "instance": instance});
    if let (ApiError::Invalid(faults), Some(members)) = (&error, problem.as_object_mut()) {
        members.insert("violations".to_owned(), faults.as_slice().iter().map(violation).collect());
    }
    let mut response = error.into_response(node);
    *response.status_mut() = status;
    *response.body_mut() = Full::from(Bytes::from(problem.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
    response
}

fn violation(fault: &Fault) -> Value {
    let code = if fault.message == avaya::MISSING { CODE_MISSING } else { CODE_WRONG };
    json!({"field": fault.field, "message": fault.message, "code": code})
}
