//! Avaya's contract for digital webhook subscriptions: paths, statuses and problems (RFC 9457) as published.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use protocol::fault::Fault;
use protocol::id::CustomerId;
use serde_json::{Value, json};
use webhooks::engine::{Given, Owner, Shown};
use webhooks::profile::AVAYA;
use webhooks::subscription::Wish;
use webhooks::vendor::avaya;

use super::{Tenant, bytes};
use crate::api::answer::{empty, json_response};
use crate::api::call::OfApplication;
use crate::api::faults::ApiError;
use crate::api::paging::parameters;
use crate::net::outgoing::Outgoing;
use crate::net::request::{Body, Head};
use crate::node::Node;

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
    tenant: Tenant<'a>,
    id: &'a str,
    customer: CustomerId,
}

/// `GET …/{accountId}/subscriptions`
pub(in crate::api) async fn list(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    Account::of(&of)?.list(of.head.query.unwrap_or_default())
}

/// `POST …/{accountId}/subscriptions`
pub(in crate::api) async fn create(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let account = Account::of(&of)?;
    let wish = account.read(of.head, of.body).await?;
    let made = of.node.webhooks.create(account.owner(), wish, Given::default()).await?;
    Ok(json_response(StatusCode::CREATED, &avaya::show(&made)))
}

/// `GET …/{accountId}/subscriptions/{subscriptionId}`
pub(in crate::api) async fn one(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (account, [_, id]) = (Account::of(&of)?, of.ids);
    Ok(json_response(StatusCode::OK, &avaya::show(&account.find(id)?)))
}

/// `PUT …/{accountId}/subscriptions/{subscriptionId}`
pub(in crate::api) async fn replace(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (account, [_, id]) = (Account::of(&of)?, of.ids);
    account.find(id)?;
    let wish = account.read(of.head, of.body).await?;
    let made = of.node.webhooks.update(id, &account.owner(), wish, None).await?;
    Ok(json_response(StatusCode::OK, &avaya::show(&made)))
}

/// `DELETE …/{accountId}/subscriptions/{subscriptionId}`
pub(in crate::api) async fn delete(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (account, [_, id]) = (Account::of(&of)?, of.ids);
    account.find(id)?;
    of.node.webhooks.delete(id, &account.owner()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// The customer whose account it is, if the application may act for it.
fn customer(tenant: Tenant<'_>, id: &str) -> Result<CustomerId, ApiError> {
    if !avaya::is_account(id) {
        return Err(ApiError::invalid("accountId", avaya::ACCOUNT_RULE));
    }
    if !tenant.application.holds(SCOPE) {
        return Err(ApiError::NoScope);
    }
    // Whose an account is, is told to nobody who may not act for it.
    let is_own = |customer: &CustomerId| {
        let is_bound_to = tenant.application.bound_to.is_none_or(|bound| bound == *customer);
        is_bound_to && tenant.application.is_installed(customer)
    };
    tenant.node.webhooks.account(id).filter(is_own).ok_or(ApiError::NoSuch("account"))
}

impl<'a> Account<'a> {
    fn of(of: &OfApplication<'a>) -> Result<Self, ApiError> {
        let (tenant, [id, _]) = (of.tenant(), of.ids);
        Ok(Self { tenant, id, customer: customer(tenant, id)? })
    }

    fn owner(self) -> Owner {
        Owner { bound_to: Some(self.customer), ..self.tenant.owner() }
    }

    fn is_own(self, shown: &Shown) -> bool {
        shown.profile == AVAYA.name && shown.vendor.get("accountId").is_some_and(|account| account == self.id)
    }

    fn find(self, id: &str) -> Result<Shown, ApiError> {
        let found = self.tenant.node.webhooks.subscription(id, Some(&self.owner()));
        found.filter(|shown| self.is_own(shown)).ok_or(ApiError::NoSuch("subscription"))
    }

    fn list(self, query: &str) -> Result<Response<Outgoing>, ApiError> {
        let mut provider: Option<String> = None;
        parameters(query, |name, value| match name {
            "channelProviderId" => {
                provider = Some(value.to_owned());
                Ok(())
            }
            _ => Err("is not known here; known is channelProviderId".to_owned()),
        })?;
        if let Some(fault) = provider.as_deref().and_then(avaya::provider_fault) {
            return Err(ApiError::invalid("channelProviderId", fault));
        }
        let all = self.tenant.node.webhooks.subscriptions(Some(&self.owner()));
        let is_wanted = |shown: &Shown| {
            let of = shown.vendor.get("channelProviderId").and_then(Value::as_str);
            self.is_own(shown) && provider.as_deref().is_none_or(|wanted| of == Some(wanted))
        };
        let shown: Vec<_> = all.iter().filter(|shown| is_wanted(shown)).map(avaya::show).collect();
        Ok(json_response(StatusCode::OK, &Value::from(shown)))
    }

    async fn read(self, head: Head<'_>, body: Body<'_>) -> Result<Wish, ApiError> {
        let body = bytes(self.tenant.node, head, body).await?;
        let application = self.tenant.application;
        let (holds, installed) = (|scope: &str| application.holds(scope), |_: &CustomerId| true);
        Ok(avaya::read(&body, self.id, self.customer, &self.tenant.asker(&holds, &installed))?)
    }
}

/// A refusal as the contract has it.
pub(crate) fn problem(node: &Node, error: ApiError, instance: &str) -> Response<Outgoing> {
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
    *response.body_mut() = Outgoing::from(problem.to_string());
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
    response
}

fn violation(fault: &Fault) -> Value {
    let code = if fault.message == avaya::MISSING { CODE_MISSING } else { CODE_WRONG };
    json!({"field": fault.field, "message": fault.message, "code": code})
}
