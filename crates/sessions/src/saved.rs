//! What a run of the node hands to the next one, so that a restart looks to clients like a broken line.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use protocol::frame::{CallState, EncodedFrame};
use protocol::id::{EventId, NegotiatorId, Product};
use serde::{Deserialize, Serialize};

use crate::queue::Delivery;
use crate::receipts::{Poster, Receipts, TargetReceipts};

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
    /// Who posted it, and what became of it at this recipient.
    #[serde(default)]
    receipts: Option<(Poster, TargetReceipts)>,
}

impl SavedEvent {
    /// When the broker took it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn new(delivery: &Delivery, negotiator: NegotiatorId) -> Self {
        let EncodedFrame { id, at, expires, products, call_id, state, created, text } = delivery.frame.clone();
        let text = String::from_utf8_lossy(&text).into_owned();
        let receipts = delivery.trail.as_ref().and_then(|trail| trail.save(negotiator));
        Self { id, at, expires, products: products.to_vec(), call_id, state, created, text, receipts }
    }

    pub(crate) fn delivery(&self) -> Delivery {
        let Self { id, at, expires, call_id, state, created, text, .. } = self.clone();
        let products = self.products.iter().copied().take(protocol::envelope::PRODUCTS_MAX).collect();
        let frame = EncodedFrame { id, at, expires, products, call_id, state, created, text: text.into() };
        Delivery::new(frame, Instant::now())
    }

    /// The event, with what has become of it so far.
    pub(crate) fn trailed(&self, receipts: &Receipts, entered: Duration) -> Delivery {
        match &self.receipts {
            Some(saved) => self.delivery().trailed(receipts.resume(self.id, saved.clone(), entered)),
            None => self.delivery(),
        }
    }
}
