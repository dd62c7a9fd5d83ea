//! The one hook of a company, as ApiRTC's console knows it.

use hyper::{Response, StatusCode};
use protocol::authorise::Refusal;
use protocol::id::CustomerId;
use webhooks::engine::{Given, Shown};
use webhooks::profile::APIRTC;
use webhooks::vendor::apirtc;

use super::{Tenant, bytes};
use crate::api::answer::{empty, json_response};
use crate::api::call::OfApplication;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;
use crate::node::Node;

const SCOPE: &str = "events.apirtc.read";

/// Whether a hook may stand already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    New,
    Replace,
}

/// `GET /apirtc/webhook`
pub(in crate::api) async fn show(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let company = company(&of)?;
    Ok(json_response(StatusCode::OK, &apirtc::show(own(of.tenant(), company)?.as_ref())))
}

/// `POST /apirtc/webhook`
pub(in crate::api) async fn create(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    set(of, Set::New).await
}

/// `PUT /apirtc/webhook`
pub(in crate::api) async fn replace(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    set(of, Set::Replace).await
}

/// `DELETE /apirtc/webhook`
pub(in crate::api) async fn delete(of: OfApplication<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (company, tenant) = (company(&of)?, of.tenant());
    let _changing = of.node.webhooks.exclusively().await;
    let hook = own(tenant, company)?.ok_or(ApiError::NoSuch("hook"))?;
    of.node.webhooks.delete(&hook.id, &tenant.owner()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Whose hook it is, if the application may see to it.
fn company(of: &OfApplication<'_>) -> Result<CustomerId, ApiError> {
    let company = of.application.bound_to.ok_or(Refusal::CustomerMissing)?;
    if !of.application.is_installed(&company) {
        return Err(Refusal::NotInstalled(company).into());
    }
    if of.application.holds(SCOPE) { Ok(company) } else { Err(ApiError::NoScope) }
}

async fn set(of: OfApplication<'_>, set: Set) -> Result<Response<Outgoing>, ApiError> {
    let (company, tenant) = (company(&of)?, of.tenant());
    let body = bytes(of.node, of.head, of.body).await?;
    let (holds, installed) = (|scope: &str| tenant.application.holds(scope), |_: &CustomerId| true);
    let wanted = apirtc::read(&body, company, &tenant.asker(&holds, &installed))?;
    let engine = &tenant.node.webhooks;
    let _changing = engine.exclusively().await;
    let before = own(tenant, company)?;
    if before.is_some() && set == Set::New {
        return Err(ApiError::Conflict("The company has a hook already; PUT replaces it".to_owned()));
    }
    if wanted.is_none() && set == Set::New {
        return Err(ApiError::invalid("url", "is required"));
    }
    let hook = match (wanted, before) {
        (Some((wish, headers)), Some(before)) => Some(engine.update(&before.id, &tenant.owner(), wish, Some(headers)).await?),
        (Some((wish, headers)), None) => {
            let given = Given { secret: None, headers: Some(headers) };
            Some(engine.create(tenant.owner(), wish, given).await?)
        }
        // Without a URL it is only switched off.
        (None, Some(before)) => Some(engine.set_active(&before.id, &tenant.owner(), false).await?),
        (None, None) => None,
    };
    let status = match set {
        Set::New => StatusCode::CREATED,
        Set::Replace => StatusCode::OK,
    };
    Ok(json_response(status, &apirtc::show(hook.as_ref())))
}

/// The company's hook, whichever application made it; one that another made is told as a conflict. One of an application that the
/// company has uninstalled is told nothing, and is none.
fn own(tenant: Tenant<'_>, company: CustomerId) -> Result<Option<Shown>, ApiError> {
    let engine = &tenant.node.webhooks;
    let all = engine.subscriptions(None).into_iter();
    let is_its = |shown: &Shown| shown.profile == APIRTC.name && shown.customers == [company];
    let Some(hook) = all.filter(is_its).find(|shown| is_installed(tenant.node, shown, company)) else { return Ok(None) };
    let own = engine.subscription(&hook.id, Some(&tenant.owner()));
    own.map(Some).ok_or_else(|| ApiError::Conflict("The company's hook was made by another application".to_owned()))
}

fn is_installed(node: &Node, hook: &Shown, company: CustomerId) -> bool {
    let stored = node.store.application(&hook.application);
    node.config.dev || stored.is_some_and(|stored| stored.customers.contains(&company))
}
