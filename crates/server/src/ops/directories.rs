//! Directories: who the negotiators of each customer are.

use hyper::{Response, StatusCode};
use protocol::directory::Directory;
use protocol::id::CustomerId;
use serde_json::json;

use super::paging::Page;
use super::{done, json_body, parsed};
use crate::api::answer::empty;
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;

/// A directory of 5,000 people with their names.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// `GET /directories`
pub(super) async fn list(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let shown = of.node.directories.all().into_iter().map(|(customer, directory)| {
        let (people, queues) = (directory.people.len(), directory.queues.len());
        (customer.to_string(), json!({"customer": customer, "people": people, "queues": queues}))
    });
    Page::read(of.head, &[])?.of(of.head, shown)
}

/// `GET /directories/{customerId}`
pub(super) async fn one(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let customer = customer(&of)?;
    super::json(&*of.node.directories.of(&customer).ok_or_else(|| ApiError::Missing(missing(&customer)))?)
}

/// `PUT /directories/{customerId}`
pub(super) async fn put(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, customer) = (of.node, customer(&of)?);
    let directory: Directory = json_body(of, BODY_BYTES_MAX).await?;
    let faults = directory.check();
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    let acting = node.clone();
    let putting = async move { acting.directories.put(&acting.store, customer, directory, acting.clock.now()).await };
    node.to_the_end(putting).await.ok_or(ApiError::Internal)??;
    tracing::info!(%customer, "directory set by an operator");
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DELETE /directories/{customerId}`
pub(super) async fn remove(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (acting, customer) = (of.node.clone(), customer(&of)?);
    let removing = async move { acting.directories.remove(&acting.store, &customer).await };
    let removed = of.node.to_the_end(removing).await.ok_or(ApiError::Internal)??;
    done(removed, || missing(&customer))
}

fn customer(of: &Asking<'_>) -> Result<CustomerId, ApiError> {
    parsed(of.ids[0], CustomerId::parse)
}

fn missing(customer: &CustomerId) -> String {
    format!("directory of {customer}")
}
