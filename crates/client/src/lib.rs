//! The reference client: how a provider posts, how a product logs in, listens and polls.
//!
//! Small, and without tasks of its own: who holds it drives it.

pub mod address; // where a node is, and how it is reached
pub mod api; // the HTTP API over one connection that is kept
pub mod session; // a session over a WebSocket, as it is
pub mod policy; // when to come back, and when to stay away
pub mod desktop; // a session that comes back
