//! Missed calls: whose lists there are, what is in one, taking them away.

use std::sync::Arc;

use hyper::{Method, Response};
use jiff::Timestamp;
use protocol::id::{CustomerId, EventId, NegotiatorId, Recipient};
use protocol::time;
use serde_json::{Value, json};
use store::missed::{Mailbox, MissedCall};
use store::purge::Whose;

use super::paging::Page;
use super::{Order, parsed};
use crate::api::faults::{ApiError, Body};
use crate::app::Node;

/// Answers what is asked of `/missed/…`.
pub(super) async fn answer(node: &Arc<Node>, order: &Order, path: &[&str]) -> Result<Response<Body>, ApiError> {
    let whose = match path {
        [] => None,
        [customer] => Some(Whose { customer: parsed(customer, CustomerId::parse)?, negotiator: None }),
        [customer, negotiator] => {
            let (customer, negotiator) = (parsed(customer, CustomerId::parse)?, parsed(negotiator, NegotiatorId::parse)?);
            Some(Whose { customer, negotiator: Some(negotiator) })
        }
        _ => return Err(ApiError::NotFound),
    };
    match (order.method(), whose) {
        (&Method::GET, None) => lists(node, order, None).await,
        (&Method::GET, Some(Whose { customer, negotiator: None })) => lists(node, order, Some(customer)).await,
        (&Method::GET, Some(Whose { customer, negotiator: Some(negotiator) })) => {
            calls(node, order, Recipient { customer, negotiator }).await
        }
        (&Method::DELETE, Some(whose)) => purge(node, order, whose).await,
        (_, None) => Err(ApiError::Method("GET")),
        (_, Some(_)) => Err(ApiError::Method("GET, DELETE")),
    }
}

async fn lists(node: &Node, order: &Order, customer: Option<CustomerId>) -> Result<Response<Body>, ApiError> {
    let page = Page::read(order.uri(), &[])?;
    let after = page.place(place)?;
    let found = node.store.mailboxes(customer, after, u32::try_from(page.size + 1).unwrap_or(u32::MAX)).await?;
    let shown = found.into_iter().map(|Mailbox { of, calls, taken: (oldest, newest) }| {
        let (oldest, newest) = (time::millis(oldest), time::millis(newest));
        let shown = json!({
            "customerId": of.customer, "negotiatorId": of.negotiator, "calls": calls, "oldest": oldest, "newest": newest,
        });
        (of.to_string(), shown)
    });
    page.answer(order.uri(), shown.collect())
}

/// A list's key: `SBOX/ADV`.
fn place(text: &str) -> Result<Recipient, &'static str> {
    let of = text.split_once('/').and_then(|(customer, negotiator)| {
        let customer = CustomerId::parse(customer).ok()?;
        Some(Recipient { customer, negotiator: NegotiatorId::parse(negotiator).ok()? })
    });
    of.ok_or("must name a list, such as SBOX/ADV")
}

async fn calls(node: &Node, order: &Order, of: Recipient) -> Result<Response<Body>, ApiError> {
    let page = Page::read(order.uri(), &[])?;
    let after = page.place(EventId::parse)?;
    let size = u32::try_from(page.size + 1).unwrap_or(u32::MAX);
    let listed = node.store.list_missed(of, store::missed::Page { product: None, after, size }).await?;
    page.answer(order.uri(), listed.calls.into_iter().map(|call| (call.id.to_string(), shown(&call))).collect())
}

fn shown(call: &MissedCall) -> Value {
    let mut shown = serde_json::from_str(&call.notification).unwrap_or_default();
    if let Value::Object(shown) = &mut shown {
        shown.insert("id".to_owned(), json!(call.id));
        shown.insert("created".to_owned(), json!(time::millis(call.created)));
    }
    shown
}

/// Takes all, or what was taken before a moment.
async fn purge(node: &Arc<Node>, order: &Order, whose: Whose) -> Result<Response<Body>, ApiError> {
    let page = Page::read(order.uri(), &["before"])?;
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
