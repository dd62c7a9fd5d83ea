//! Applications: which there are, what they may do, who has installed them.

use std::collections::BTreeSet;

use hyper::{Response, StatusCode};
use protocol::authorise::plain_scope;
use protocol::fault::Faults;
use protocol::id::{ClientId, CustomerId};
use serde::Deserialize;
use serde_json::json;
use store::applications::Installed;

use super::paging::Page;
use super::{BODY_BYTES_MAX, done, json_body, parsed};
use crate::api::answer::empty;
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Granted {
    scopes: BTreeSet<String>,
}

/// `GET /applications`
pub(super) async fn list(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let page = Page::read(of.head, &[])?;
    let shown = of.node.store.applications().into_iter().map(|application| {
        let id = application.client_id;
        let customers: Vec<_> = application.customers.iter().map(CustomerId::as_str).collect();
        (id.to_string(), json!({"clientId": id, "scopes": application.scopes, "customers": customers}))
    });
    page.of(of.head, shown)
}

/// `PUT /applications/{clientId}`
pub(super) async fn put(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, id) = (of.node, application(&of)?);
    node.store.put_application(id, scopes(of).await?).await?;
    tracing::info!(application = %id, "application set by an operator");
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DELETE /applications/{clientId}`
pub(super) async fn remove(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let id = application(&of)?;
    let removed = of.node.store.remove_application(id).await?;
    tracing::info!(application = %id, removed, "application removed by an operator");
    done(removed, || format!("application {id}"))
}

/// `POST /applications/{clientId}/scopes`
pub(super) async fn grant(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, id) = (of.node, application(&of)?);
    changed(id, node.store.grant(id, scopes(of).await?).await?)
}

/// `PUT /applications/{clientId}/customers/{customerId}`
pub(super) async fn install(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (id, customer) = (application(&of)?, customer(&of)?);
    changed(id, of.node.store.install(id, customer).await?)
}

/// `DELETE /applications/{clientId}/customers/{customerId}`
pub(super) async fn uninstall(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (id, customer) = (application(&of)?, customer(&of)?);
    changed(id, of.node.store.uninstall(id, customer).await?)
}

fn application(of: &Asking<'_>) -> Result<ClientId, ApiError> {
    parsed(of.ids[0], ClientId::parse)
}

fn customer(of: &Asking<'_>) -> Result<CustomerId, ApiError> {
    parsed(of.ids[1], CustomerId::parse)
}

fn changed(id: ClientId, change: Installed) -> Result<Response<Outgoing>, ApiError> {
    done(change == Installed::Done, || format!("application {id}; add it first"))
}

/// Scopes are kept without prefix.
async fn scopes(of: Asking<'_>) -> Result<BTreeSet<String>, ApiError> {
    let Granted { scopes } = json_body(of, BODY_BYTES_MAX).await?;
    let mut faults = Faults::default();
    for scope in &scopes {
        let plain = !scope.is_empty() && scope.len() <= 128 && scope.bytes().all(|b| b.is_ascii_graphic());
        if !plain {
            faults.add("scopes", format!("{} is not 1 to 128 visible ASCII characters", protocol::fault::shown(scope)));
        }
    }
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    Ok(scopes.iter().map(|scope| plain_scope(scope).to_owned()).collect())
}
