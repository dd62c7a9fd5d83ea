//! Applications: which there are, what they may do, who has installed them.

use std::collections::BTreeSet;

use hyper::{Method, Response, StatusCode};
use protocol::authorise::plain_scope;
use protocol::fault::Faults;
use protocol::id::{ClientId, CustomerId};
use serde::Deserialize;
use serde_json::json;
use store::applications::Installed;

use super::paging::Page;
use super::{BODY_BYTES_MAX, Order, done, json_body, parsed, text};
use crate::api::faults::{ApiError, Body};
use crate::app::Node;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Granted {
    scopes: BTreeSet<String>,
}

/// Answers what is asked of `/applications/…`.
pub(super) async fn answer(node: &Node, order: &mut Order, path: &[&str]) -> Result<Response<Body>, ApiError> {
    let application = |id: &str| parsed(id, ClientId::parse);
    match (order.method().clone(), path) {
        (Method::GET, []) => list(node, order),
        (Method::PUT, [id]) => {
            let (id, scopes) = (application(id)?, scopes(node, order).await?);
            node.store.put_application(id, scopes).await?;
            tracing::info!(application = %id, "application set by an operator");
            Ok(text(StatusCode::NO_CONTENT, ""))
        }
        (Method::DELETE, [id]) => {
            let id = application(id)?;
            let removed = node.store.remove_application(id).await?;
            tracing::info!(application = %id, removed, "application removed by an operator");
            done(removed, || format!("application {id}"))
        }
        (Method::POST, [id, "scopes"]) => {
            let (id, scopes) = (application(id)?, scopes(node, order).await?);
            changed(id, node.store.grant(id, scopes).await?)
        }
        (Method::PUT, [id, "customers", customer]) => {
            let (id, customer) = (application(id)?, parsed(customer, CustomerId::parse)?);
            changed(id, node.store.install(id, customer).await?)
        }
        (Method::DELETE, [id, "customers", customer]) => {
            let (id, customer) = (application(id)?, parsed(customer, CustomerId::parse)?);
            changed(id, node.store.uninstall(id, customer).await?)
        }
        (_, []) => Err(ApiError::Method("GET")),
        (_, [_] | [_, "customers", _]) => Err(ApiError::Method("PUT, DELETE")),
        (_, [_, "scopes"]) => Err(ApiError::Method("POST")),
        _ => Err(ApiError::NotFound),
    }
}

fn list(node: &Node, order: &Order) -> Result<Response<Body>, ApiError> {
    let page = Page::read(order.uri(), &[])?;
    let shown = node.store.applications().into_iter().map(|application| {
        let id = application.client_id;
        let customers: Vec<_> = application.customers.iter().map(CustomerId::as_str).collect();
        (id.to_string(), json!({"clientId": id, "scopes": application.scopes, "customers": customers}))
    });
    page.of(order.uri(), shown)
}

fn changed(id: ClientId, change: Installed) -> Result<Response<Body>, ApiError> {
    done(change == Installed::Done, || format!("application {id}; add it first"))
}

/// Scopes are kept without prefix.
async fn scopes(node: &Node, order: &mut Order) -> Result<BTreeSet<String>, ApiError> {
    let Granted { scopes } = json_body(node, order, BODY_BYTES_MAX).await?;
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
