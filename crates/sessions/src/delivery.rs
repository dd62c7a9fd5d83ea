//! What goes to a session's socket: an event, or a word of a call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use protocol::frame::EncodedFrame;
#[cfg(test)]
use protocol::id::EventId;
use protocol::id::Product;

use crate::codec::text_frame;
use crate::receipts::Trail;

/// The same seeds each time: who finds two ids with one hash gains nothing but a look at both.
const CALL_HASH: ahash::RandomState = ahash::RandomState::with_seeds(1, 2, 3, 4);

/// An event on its way: one for all sessions that get it.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Without its text, which is a part of `wire`.
    pub(crate) frame: EncodedFrame,
    /// The text in the frame of a WebSocket.
    pub(crate) wire: Bytes,
    text_at: usize,
    /// A hash of the call's id: most calls are told apart by it, without a look at their ids.
    pub(crate) call_hash: u32,
    /// When the node had it whole, by its running clock.
    pub(crate) taken: Duration,
    /// What became of it; `None` where nobody may ask any more.
    pub(crate) trail: Option<Arc<Trail>>,
}

impl Delivery {
    pub(crate) fn new(mut frame: EncodedFrame, taken: Duration, trail: Option<Arc<Trail>>) -> Self {
        let (wire, text_at) = text_frame(&std::mem::take(&mut frame.text));
        let [a, b, c, d, ..] = CALL_HASH.hash_one(&frame.call_id).to_le_bytes();
        let call_hash = u32::from_le_bytes([a, b, c, d]);
        Self { frame, wire, text_at, call_hash, taken, trail }
    }

    /// The text of the message.
    pub(crate) fn text(&self) -> &str {
        self.wire.get(self.text_at..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Whether sessions of this product are told.
    pub(crate) fn tells(&self, product: Product) -> bool {
        self.frame.products.contains(&product)
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.frame.expires.is_some_and(|expires| now > expires)
    }
}

/// Something to write.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// An event.
    Event(Arc<Delivery>),
    /// A frame with word of a call that no event tells of.
    Sync(Bytes),
    /// What goes before the first frame: without it no frame can be understood.
    Head(Bytes),
}

impl Item {
    pub(crate) fn wire(&self) -> &Bytes {
        match self {
            Self::Event(delivery) => &delivery.wire,
            Self::Sync(bytes) | Self::Head(bytes) => bytes,
        }
    }

    #[cfg(test)]
    pub(crate) fn event(&self) -> Option<EventId> {
        match self {
            Self::Event(delivery) => Some(delivery.frame.id),
            Self::Sync(_) | Self::Head(_) => None,
        }
    }
}
