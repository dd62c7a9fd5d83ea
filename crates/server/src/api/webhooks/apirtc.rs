//! The one hook of a company, as ApiRTC's console knows it.

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use protocol::authorise::Refusal;
use protocol::id::CustomerId;
use webhooks::engine::{Given, Shown};
use webhooks::profile::APIRTC;
use webhooks::vendor::apirtc;

use super::{Asking, body, refuse};
use crate::api::answer::{empty, json_response, refuse_body};
use crate::api::faults::{ApiError, Body};
use crate::app::Node;

const SCOPE: &str = "events.apirtc.read";

/// `/apirtc/webhook`
pub(super) async fn answer(
    asking: Asking<'_>,
    method: Method,
    request: &mut Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let company = asking.application.bound_to.ok_or(Refusal::CustomerMissing)?;
    if !asking.application.is_installed(&company) {
        return Err(Refusal::NotInstalled(company).into());
    }
    if !asking.application.holds(SCOPE) {
        return Err(ApiError::NoScope);
    }
    match method {
        Method::GET => Ok(json_response(StatusCode::OK, &apirtc::show(own(asking, company)?.as_ref()))),
        Method::POST | Method::PUT => {
            let body = body(asking.node, request).await?;
            set(asking, company, &body, method == Method::PUT).await
        }
        Method::DELETE => {
            let _changing = asking.node.webhooks.exclusively().await;
            let hook = own(asking, company)?.ok_or(ApiError::NoSuch("hook"))?;
            delete(asking, &hook).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(ApiError::Method("GET, POST, PUT, DELETE")),
    }
}

/// Makes the hook; with `replace` in place of the one that there is.
async fn set(asking: Asking<'_>, company: CustomerId, body: &[u8], replace: bool) -> Result<Response<Body>, ApiError> {
    let (holds, installed) = (|scope: &str| asking.application.holds(scope), |_: &CustomerId| true);
    let wanted = apirtc::read(body, company, &asking.asker(&holds, &installed)).map_err(refuse_body)?;
    let engine = &asking.node.webhooks;
    let _changing = engine.exclusively().await;
    let before = own(asking, company)?;
    if before.is_some() && !replace {
        return Err(ApiError::Conflict("The company has a hook already; PUT replaces it".to_owned()));
    }
    if wanted.is_none() && !replace {
        return Err(ApiError::invalid("url", "is required"));
    }
    let hook = match (wanted, before) {
        (Some((wish, headers)), Some(before)) => {
            Some(engine.update(&before.id, &asking.owner(), wish, Some(headers)).await.map_err(refuse)?)
        }
        (Some((wish, headers)), None) => {
            let given = Given { secret: None, headers: Some(headers) };
            Some(engine.create(asking.owner(), wish, given).await.map_err(refuse)?)
        }
        // Without a URL it is only switched off.
        (None, Some(before)) => Some(engine.set_active(&before.id, &asking.owner(), false).await.map_err(refuse)?),
        (None, None) => None,
    };
    let status = if replace { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json_response(status, &apirtc::show(hook.as_ref())))
}

async fn delete(asking: Asking<'_>, hook: &Shown) -> Result<(), ApiError> {
    asking.node.webhooks.delete(&hook.id, &asking.owner()).await.map_err(refuse)
}

/// The company's hook, whichever application made it; one that another made is told as a conflict. One of an application that the
/// company has uninstalled is told nothing, and is none.
fn own(asking: Asking<'_>, company: CustomerId) -> Result<Option<Shown>, ApiError> {
    let engine = &asking.node.webhooks;
    let all = engine.subscriptions(None).into_iter();
    let is_its = |shown: &Shown| shown.profile == APIRTC.name && shown.customers == [company];
    let Some(hook) = all.filter(is_its).find(|shown| is_installed(asking.node, shown, company)) else { return Ok(None) };
    let own = engine.subscription(&hook.id, Some(&asking.owner()));
    own.map(Some).ok_or_else(|| ApiError::Conflict("The company's hook was made by another application".to_owned()))
}

fn is_installed(node: &Node, hook: &Shown, company: CustomerId) -> bool {
    let stored = node.store.application(&hook.application);
    node.config.dev || stored.is_some_and(|stored| stored.customers.contains(&company))
}
