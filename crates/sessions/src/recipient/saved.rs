//! What a run of the node hands to the next one, so that a restart looks to clients like a broken line.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::frame::{CallState, EncodedFrame, Facts};
use protocol::id::{EventId, Product};
use serde::{Deserialize, Serialize};

use crate::delivery::Delivery;
use crate::receipts::Receipts;

/// The ring and the live calls of one recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedState {
    /// The newest event that was let go, for each product.
    pub let_go: Vec<(Product, EventId)>,
    /// Where the ring began.
    pub beginning: Option<EventId>,
    /// The events in the order of delivery.
    pub ring: Vec<SavedEvent>,
    /// The events that set the states of the live calls.
    pub calls: Vec<SavedEvent>,
}

/// An event as it was delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedEvent {
    id: EventId,
    at: Timestamp,
    expires: Option<Timestamp>,
    products: Vec<Product>,
    call_id: Box<str>,
    state: CallState,
    created: Timestamp,
    text: String,
}

impl SavedEvent {
    /// When the broker took it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The event, which was taken at this time, with what has become of it so far.
    pub(crate) fn delivery(&self, receipts: &Receipts, taken: Duration) -> Arc<Delivery> {
        let Self { id, at, expires, call_id, state, created, text, .. } = self.clone();
        let products = self.products.iter().copied().take(protocol::envelope::PRODUCTS_MAX).collect();
        let facts = Facts { id, at, expires, products, state, created };
        let frame = EncodedFrame { facts, call_id: Cow::Borrowed(&call_id), text: text.into() };
        Arc::new(Delivery::new(frame, taken, receipts.trail(self.id)))
    }
}

impl From<&Delivery> for SavedEvent {
    fn from(delivery: &Delivery) -> Self {
        let Facts { id, at, expires, products, state, created } = delivery.facts.clone();
        let (call_id, text) = (delivery.call_id().into(), delivery.text().to_owned());
        Self { id, at, expires, products: products.to_vec(), call_id, state, created, text }
    }
}
