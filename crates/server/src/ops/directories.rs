//! Directories: who the negotiators of each customer are.

use std::sync::Arc;

use hyper::{Method, Response, StatusCode};
use protocol::directory::Directory;
use protocol::id::CustomerId;
use serde_json::json;

use super::paging::Page;
use super::{Order, done, json_body, parsed};
use crate::api::faults::{ApiError, Body};
use crate::app::Node;

/// A directory of 5,000 people with their names.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Answers what is asked of `/directories/…`.
pub(super) async fn answer(node: &Arc<Node>, order: &mut Order, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (order.method().clone(), path) {
        (Method::GET, []) => {
            let shown = node.directories.all().into_iter().map(|(customer, directory)| {
                let (people, queues) = (directory.people.len(), directory.queues.len());
                (customer.to_string(), json!({"customer": customer, "people": people, "queues": queues}))
            });
            Page::read(order.uri(), &[])?.of(order.uri(), shown)
        }
        (Method::GET, [customer]) => {
            let customer = parsed(customer, CustomerId::parse)?;
            super::json(&*node.directories.of(&customer).ok_or_else(|| ApiError::Missing(missing(&customer)))?)
        }
        (Method::PUT, [customer]) => put(node, parsed(customer, CustomerId::parse)?, order).await,
        (Method::DELETE, [customer]) => {
            let (node, customer) = (node.clone(), parsed(customer, CustomerId::parse)?);
            let acting = node.clone();
            let removing = async move { acting.directories.remove(&acting.store, &customer).await };
            let removed = node.to_the_end(removing).await.ok_or(ApiError::Internal)??;
            done(removed, || missing(&customer))
        }
        (_, []) => Err(ApiError::Method("GET")),
        (_, [_]) => Err(ApiError::Method("GET, PUT, DELETE")),
        _ => Err(ApiError::NotFound),
    }
}

async fn put(node: &Arc<Node>, customer: CustomerId, order: &mut Order) -> Result<Response<Body>, ApiError> {
    let directory: Directory = json_body(node, order, BODY_BYTES_MAX).await?;
    let faults = directory.check();
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    let acting = node.clone();
    let putting = async move { acting.directories.put(&acting.store, customer, directory, acting.clock.now()).await };
    node.to_the_end(putting).await.ok_or(ApiError::Internal)??;
    tracing::info!(%customer, "directory set by an operator");
    Ok(super::text(StatusCode::NO_CONTENT, ""))
}

fn missing(customer: &CustomerId) -> String {
    format!("directory of {customer}")
}
