//! What a run of the node hands to the next one, so that a restart looks to clients like a lost connection.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::frame::{EncodedFrame, Facts};
use protocol::id::{EventId, Product, Recipient};
use protocol::payload::CallState;
use serde::{Deserialize, Serialize};

use super::RecipientState;
use super::calls::Calls;
use super::ring::Ring;
use crate::context::Context;
use crate::delivery::Delivery;
use crate::receipts::Receipts;

/// The ring and the live calls of one recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRecipient {
    /// The newest event that was dropped from the ring, for each product.
    pub let_go: Vec<(Product, EventId)>,
    /// The cursor of those who came before the first event.
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
    /// Returns when the broker took it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Returns the event with its receipts; `taken` is when the broker took it, by the running clock of this run.
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

impl RecipientState {
    /// Returns what the next run of the node needs to know.
    pub(crate) fn save(&self) -> SavedRecipient {
        let inner = self.lock();
        let save = |delivery: &Arc<Delivery>| SavedEvent::from(&**delivery);
        let (let_go, beginning) = inner.ring.places();
        SavedRecipient {
            let_go: let_go.to_vec(),
            beginning,
            ring: inner.ring.entries().map(save).collect(),
            calls: inner.calls.live().map(save).collect(),
        }
    }

    /// Goes on from what an earlier run knew. `age` says how long ago an event was taken.
    pub(crate) fn restore(
        recipient: Recipient,
        saved: &SavedRecipient,
        context: &Context,
        now: Duration,
        age: impl Fn(&SavedEvent) -> Duration,
    ) -> Self {
        let ring = Ring::with_places(saved.let_go.clone(), saved.beginning);
        let state = Self::with(recipient, ring, Calls::default(), now);
        let mut inner = state.lock();
        for event in &saved.calls {
            let taken = now.saturating_sub(age(event));
            inner.calls.apply(&event.delivery(&context.receipts, taken), taken);
        }
        for event in &saved.ring {
            let taken = now.saturating_sub(age(event));
            inner.remember(event.delivery(&context.receipts, taken), context, taken);
        }
        inner.expire(context, now);
        drop(inner);
        state
    }
}
