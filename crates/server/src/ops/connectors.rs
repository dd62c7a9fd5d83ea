//! Connectors: whose callbacks are taken, and for whom.

use std::sync::Arc;

use hyper::{Method, Response, StatusCode};
use protocol::id::ConnectorId;

use super::paging::Page;
use super::{Order, done, json_body, parsed};
use crate::api::faults::{ApiError, Body};
use crate::app::Node;
use crate::connectors::NewConnector;

const BODY_BYTES_MAX: usize = 16 * 1024;

/// Answers what is asked of `/connectors/…`.
pub(super) async fn answer(node: &Arc<Node>, order: &mut Order, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (order.method().clone(), path) {
        (Method::GET, []) => {
            let all = node.connectors.all();
            Page::read(order.uri(), &[])?.of(order.uri(), all.iter().map(|one| (one.id.to_string(), one.shown())))
        }
        (Method::PUT, [id]) => {
            let id = parsed(id, ConnectorId::parse)?;
            let new: NewConnector = json_body(node, order, BODY_BYTES_MAX).await?;
            let setting = new.checked(&node.config.products).map_err(ApiError::Invalid)?;
            let acting = node.clone();
            let putting = async move { acting.connectors.put(&acting.store, id, setting).await };
            node.to_the_end(putting).await.ok_or(ApiError::Internal)??;
            tracing::info!(connector = %id, "connector set by an operator");
            Ok(super::text(StatusCode::NO_CONTENT, ""))
        }
        (Method::DELETE, [id]) => {
            let (acting, id) = (node.clone(), parsed(id, ConnectorId::parse)?);
            let removing = async move { acting.connectors.remove(&acting.store, &id).await };
            let removed = node.to_the_end(removing).await.ok_or(ApiError::Internal)??;
            done(removed, || format!("connector {id}"))
        }
        (_, []) => Err(ApiError::Method("GET")),
        (_, [_]) => Err(ApiError::Method("PUT, DELETE")),
        _ => Err(ApiError::NotFound),
    }
}
