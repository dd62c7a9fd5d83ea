//! Sessions: who is logged in, and logging them out.

use hyper::{Method, Response};
use jiff::Timestamp;
use protocol::close::CloseCode;
use protocol::id::{CustomerId, EventId, NegotiatorId, Recipient};
use protocol::time;
use serde_json::json;
use sessions::registry::OpenSession;

use super::paging::Page;
use super::{Order, parsed};
use crate::api::faults::{ApiError, Body};
use crate::app::Node;

/// Answers what is asked of `/sessions/…`.
pub(super) fn answer(node: &Node, order: &Order, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (order.method(), path) {
        (&Method::GET, []) => list(node, order),
        (&Method::DELETE, [customer, negotiator]) => {
            let customer = parsed(customer, CustomerId::parse)?;
            close(node, &Recipient { customer, negotiator: parsed(negotiator, NegotiatorId::parse)? })
        }
        (_, []) => Err(ApiError::Method("GET")),
        (_, [_, _]) => Err(ApiError::Method("DELETE")),
        _ => Err(ApiError::NotFound),
    }
}

fn list(node: &Node, order: &Order) -> Result<Response<Body>, ApiError> {
    let page = Page::read(order.uri(), &["customerId", "negotiatorId"])?;
    let customer = page.parsed("customerId", CustomerId::parse)?;
    let negotiator = page.parsed("negotiatorId", NegotiatorId::parse)?;
    let after = page.place(EventId::parse)?;
    let sessions = node.registry.sessions(customer, negotiator, after, page.size + 1);
    page.answer(order.uri(), sessions.iter().map(|session| (session.id.to_string(), shown(session))).collect())
}

fn shown(session: &OpenSession) -> serde_json::Value {
    let OpenSession { id, of, product, device } = session;
    // A UUID of version 7 begins with Unix milliseconds (RFC 9562 §5.7).
    let millis = id.as_bytes().iter().take(6).fold(0_i64, |millis, byte| millis << 8 | i64::from(*byte));
    let opened = Timestamp::from_millisecond(millis).ok().map(time::millis);
    json!({
        "id": id, "customerId": of.customer, "negotiatorId": of.negotiator, "product": product, "device": device, "opened": opened,
    })
}

/// Logs a negotiator out everywhere.
fn close(node: &Node, recipient: &Recipient) -> Result<Response<Body>, ApiError> {
    let closed = node.registry.close(recipient, CloseCode::Evicted);
    tracing::info!(%recipient, closed, "sessions closed by an operator");
    super::json(&json!({"closed": closed}))
}
