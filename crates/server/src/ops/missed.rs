//! Missed calls: whose lists there are, what is in one, taking them away.

use std::sync::Arc;

use hyper::Response;
use jiff::Timestamp;
use protocol::id::{CustomerId, EventId, NegotiatorId, Recipient};
use protocol::time;
use serde_json::{Value, json};
use store::missed::{Mailbox, MissedCall};
use store::purge::Whose;

use super::paging::Page;
use super::parsed;
use crate::api::call::Asking;
use crate::api::faults::ApiError;
use crate::net::outgoing::Outgoing;
use crate::node::Node;

/// `GET /missed`, `/missed/{customerId}`
pub(super) async fn lists(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, head) = (of.node, of.head);
    let customer = match of.ids {
        ["", _] => None,
        [customer, _] => Some(parsed(customer, CustomerId::parse)?),
    };
    let page = Page::read(head, &[])?;
    let after = page.place(place)?;
    let found = node.store.mailboxes(customer, after, u32::try_from(page.size + 1).unwrap_or(u32::MAX)).await?;
    let shown = found.into_iter().map(|Mailbox { of, calls, taken: (oldest, newest) }| {
        let (oldest, newest) = (time::millis(oldest), time::millis(newest));
        let shown = json!({
            "customerId": of.customer, "negotiatorId": of.negotiator, "calls": calls, "oldest": oldest, "newest": newest,
        });
        (of.to_string(), shown)
    });
    page.answer(head, shown.collect())
}

/// A list's key: `SBOX/ADV`.
fn place(text: &str) -> Result<Recipient, &'static str> {
    let of = text.split_once('/').and_then(|(customer, negotiator)| {
        let customer = CustomerId::parse(customer).ok()?;
        Some(Recipient { customer, negotiator: NegotiatorId::parse(negotiator).ok()? })
    });
    of.ok_or("must name a list, such as SBOX/ADV")
}

/// `GET /missed/{customerId}/{negotiatorId}`
pub(super) async fn calls(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, head, [customer, negotiator]) = (of.node, of.head, of.ids);
    let recipient =
        Recipient { customer: parsed(customer, CustomerId::parse)?, negotiator: parsed(negotiator, NegotiatorId::parse)? };
    let page = Page::read(head, &[])?;
    let after = page.place(EventId::parse)?;
    let size = u32::try_from(page.size + 1).unwrap_or(u32::MAX);
    let listed = node.store.list_missed(recipient, store::missed::Page { product: None, after, size }).await?;
    page.answer(head, listed.calls.into_iter().map(|call| (call.id.to_string(), shown(&call))).collect())
}

fn shown(call: &MissedCall) -> Value {
    let mut shown = serde_json::from_str(&call.notification).unwrap_or_default();
    if let Value::Object(shown) = &mut shown {
        shown.insert("id".to_owned(), json!(call.id));
        shown.insert("created".to_owned(), json!(time::millis(call.created)));
    }
    shown
}

/// `DELETE /missed/{customerId}`, `/missed/{customerId}/{negotiatorId}`: takes all, or what was taken before a moment.
pub(super) async fn purge(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (node, [customer, negotiator]) = (of.node, of.ids);
    let negotiator = match negotiator {
        "" => None,
        negotiator => Some(parsed(negotiator, NegotiatorId::parse)?),
    };
    let whose = Whose { customer: parsed(customer, CustomerId::parse)?, negotiator };
    let page = Page::read(of.head, &["before"])?;
    let before = page.parsed("before", |text| time::read(text).ok_or("must be a time such as 2023-11-01T10:28:00Z"))?;
    let gone = take_away(node, whose, before).await?;
    tracing::info!(customer = %whose.customer, gone, "missed calls taken away by an operator");
    super::json(&json!({"missedCalls": gone}))
}

async fn take_away(node: &Arc<Node>, whose: Whose, before: Option<Timestamp>) -> Result<u64, ApiError> {
    let acting = node.clone();
    let purging = async move { acting.store.purge_missed(whose, before).await };
    Ok(node.to_the_end(purging).await.ok_or(ApiError::Internal)??)
}
