//! Sessions: who is logged in, and logging them out.

use hyper::Response;
use jiff::Timestamp;
use protocol::close::CloseCode;
use protocol::id::{CustomerId, EventId, NegotiatorId, Recipient};
use protocol::time;
use serde_json::json;
use sessions::registry::OpenSession;

use super::paging::Page;
use super::parsed;
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;

/// `GET /sessions`
pub(super) async fn list(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, head) = (of.node, of.head);
    let page = Page::read(head, &["customerId", "negotiatorId"])?;
    let customer = page.parsed("customerId", CustomerId::parse)?;
    let negotiator = page.parsed("negotiatorId", NegotiatorId::parse)?;
    let after = page.place(EventId::parse)?;
    let sessions = node.registry.sessions(customer, negotiator, after, page.size + 1);
    page.answer(head, sessions.iter().map(|session| (session.id.to_string(), shown(session))).collect())
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

/// `DELETE /sessions/{customerId}/{negotiatorId}`: logs a negotiator out everywhere.
pub(super) async fn close(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let [customer, negotiator] = of.ids;
    let customer = parsed(customer, CustomerId::parse)?;
    let recipient = Recipient { customer, negotiator: parsed(negotiator, NegotiatorId::parse)? };
    let closed = of.node.registry.close(&recipient, CloseCode::Evicted);
    tracing::info!(%recipient, closed, "sessions closed by an operator");
    super::json(&json!({"closed": closed}))
}
