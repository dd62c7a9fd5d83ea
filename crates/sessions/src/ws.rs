//! WebSocket as a server speaks it (RFC 6455): bytes to messages and back.
//!
//! Knows no session, no event and no queue: it is told whom to hand a message to, and what to frame.

pub(crate) mod codec; // bytes in memory: a client's frames taken apart, ours put together
pub(crate) mod reader; // a socket, read into messages, and parted from
#[cfg(any(test, fuzzing))]
pub(crate) mod heard; // what is heard of the same bytes, here and by another implementation

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Returns the `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}
