//! Directories: who the negotiators of each customer are.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use protocol::directory::Directory;
use protocol::id::CustomerId;
use serde_json::json;

use super::{json_body, parsed};
use crate::app::Node;
use crate::http::error::{ApiError, Body};

/// A directory of 5,000 people with their names.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Answers what is asked of `/directories/…`.
pub(super) async fn answer(node: &Arc<Node>, request: Request<Incoming>, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (request.method().clone(), path) {
        (Method::GET, []) => {
            let shown = node.directories.all().into_iter().map(|(customer, directory)| {
                json!({"customer": customer, "people": directory.people.len(), "queues": directory.queues.len()})
            });
            super::json(&shown.collect::<Vec<_>>())
        }
        (Method::GET, [customer]) => {
            let directory = node.directories.of(&parsed(customer, CustomerId::parse)?);
            super::json(&*directory.ok_or(ApiError::NotFound)?)
        }
        (Method::PUT, [customer]) => put(node, parsed(customer, CustomerId::parse)?, request).await,
        (Method::DELETE, [customer]) => {
            let (node, customer) = (node.clone(), parsed(customer, CustomerId::parse)?);
            let acting = node.clone();
            let removing = async move { acting.directories.remove(&acting.store, &customer).await };
            let removed = node.to_the_end(removing).await.ok_or(ApiError::Internal)??;
            if removed { Ok(super::text(StatusCode::NO_CONTENT, "")) } else { Err(ApiError::NotFound) }
        }
        (_, []) => Err(ApiError::Method("GET")),
        (_, [_]) => Err(ApiError::Method("GET, PUT, DELETE")),
        _ => Err(ApiError::NotFound),
    }
}

async fn put(node: &Arc<Node>, customer: CustomerId, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let directory: Directory = json_body(node, request, BODY_BYTES_MAX).await?;
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
