//! What goes to a session's socket: an event, or a frame of the session's own.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use protocol::frame::{EncodedFrame, Facts};
#[cfg(test)]
use protocol::id::EventId;
use protocol::id::Product;

use crate::receipts::Trail;
use crate::ws::codec::text_frame_before;

/// The same seeds each time: whoever finds two ids with one hash gains one comparison of strings.
const CALL_HASH: ahash::RandomState = ahash::RandomState::with_seeds(1, 2, 3, 4);

/// An event on its way: one for all sessions that get it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) facts: Facts,
    /// The event's frame, and behind it the call's id, in one allocation.
    bytes: Box<[u8]>,
    /// Where the text begins and ends.
    text: Range<usize>,
    /// A hash of the call's id, by which most calls are told apart.
    pub(crate) call_hash: u16,
    /// When the node had it whole, by its running clock.
    pub(crate) taken: Duration,
    /// What became of it; `None` where nobody may ask any more.
    pub(crate) trail: Option<Arc<Trail>>,
}

impl Delivery {
    pub(crate) fn new(frame: EncodedFrame<'_>, taken: Duration, trail: Option<Arc<Trail>>) -> Self {
        let EncodedFrame { facts, call_id, text } = frame;
        let (bytes, text) = text_frame_before(&text, call_id.as_bytes());
        let [a, b, ..] = CALL_HASH.hash_one(&*call_id).to_le_bytes();
        let call_hash = u16::from_le_bytes([a, b]);
        Self { facts, bytes, text, call_hash, taken, trail }
    }

    /// Returns the frame.
    pub(crate) fn wire(&self) -> &[u8] {
        self.bytes.get(..self.text.end).unwrap_or_default()
    }

    /// Returns the id of the call that it is about.
    pub(crate) fn call_id(&self) -> &str {
        std::str::from_utf8(self.call_id_bytes()).unwrap_or_default()
    }

    /// Whether it is about this call.
    pub(crate) fn is_of(&self, call_id: &str) -> bool {
        self.call_id_bytes() == call_id.as_bytes()
    }

    /// Whether both are about the same call.
    pub(crate) fn is_of_the_call_of(&self, other: &Self) -> bool {
        self.call_id_bytes() == other.call_id_bytes()
    }

    fn call_id_bytes(&self) -> &[u8] {
        self.bytes.get(self.text.end..).unwrap_or_default()
    }

    /// Returns the text of the message.
    pub(crate) fn text(&self) -> &str {
        self.bytes.get(self.text.clone()).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Whether sessions of this product are told.
    pub(crate) fn tells(&self, product: Product) -> bool {
        self.facts.products.contains(&product)
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.facts.expires.is_some_and(|expires| now > expires)
    }
}

/// Something to write. Small, as each session keeps room for some; what is rare is boxed.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// An event.
    Event(Arc<Delivery>),
    /// A frame that is no event: the welcome, an answer, a ping, a call that stopped ringing.
    Frame(Box<Bytes>),
    /// The answer to the upgrade, which goes before the first frame.
    Head(Box<Bytes>),
}

impl Item {
    pub(crate) fn frame(frame: Bytes) -> Self {
        Self::Frame(Box::new(frame))
    }

    pub(crate) fn wire(&self) -> &[u8] {
        match self {
            Self::Event(delivery) => delivery.wire(),
            Self::Frame(bytes) | Self::Head(bytes) => bytes,
        }
    }

    #[cfg(test)]
    pub(crate) fn event(&self) -> Option<EventId> {
        match self {
            Self::Event(delivery) => Some(delivery.facts.id),
            Self::Frame(_) | Self::Head(_) => None,
        }
    }
}
