//! What bellwire says on the wire: identifiers, envelopes, validation, frames and close codes.
//!
//! Pure: nothing here awaits, reads a clock or touches a file. The modules stand in the order in which an event passes them.

pub mod id; // who and what: customers, negotiators, applications, events
pub mod json; // bytes → a tree that keeps what a validator must see: repeated members, depth, position
pub mod fault; // what is wrong with a document, and where
pub mod time; // the one way in which times are written and read
pub mod payload; // the letter: what a call event says
pub mod envelope; // bytes → `Envelope`, or every fault with its path
pub mod directory; // who the negotiators of a customer are, by which names, in which queues
pub mod authorise; // `Caller` + `Envelope` → `Live` or `Missed`, or a refusal
pub mod frame; // `Live`, `Missed` → bytes, encoded once for all recipients
pub mod message; // what else a session says and hears
pub mod close; // why a session ended, and what its client does next
