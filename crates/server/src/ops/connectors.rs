//! Connectors: whose callbacks are taken, and for whom.

use hyper::{Response, StatusCode};
use protocol::id::ConnectorId;

use super::paging::Page;
use super::{BODY_BYTES_MAX, done, json_body, parsed};
use crate::api::answer::empty;
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::connectors::NewConnector;
use crate::net::outgoing::Outgoing;

/// `GET /connectors`
pub(super) async fn list(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let all = of.node.connectors.all();
    Page::read(of.head, &[])?.of(of.head, all.iter().map(|one| (one.id.to_string(), one.shown())))
}

/// `PUT /connectors/{id}`
pub(super) async fn put(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, id) = (of.node, parsed(of.ids[0], ConnectorId::parse)?);
    let new: NewConnector = json_body(of, BODY_BYTES_MAX).await?;
    let setting = new.checked(&node.config.products).map_err(ApiError::Invalid)?;
    let acting = node.clone();
    let putting = async move { acting.connectors.put(&acting.store, id, setting).await };
    node.to_the_end(putting).await.ok_or(ApiError::Internal)??;
    tracing::info!(connector = %id, "connector set by an operator");
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DELETE /connectors/{id}`
pub(super) async fn remove(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (acting, id) = (of.node.clone(), parsed(of.ids[0], ConnectorId::parse)?);
    let removing = async move { acting.connectors.remove(&acting.store, &id).await };
    let removed = of.node.to_the_end(removing).await.ok_or(ApiError::Internal)??;
    done(removed, || format!("connector {id}"))
}
