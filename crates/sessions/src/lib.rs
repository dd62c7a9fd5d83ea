//! Who is connected here, and getting a frame into their socket.
//!
//! Knows no HTTP, no tokens and no store. A delivery never waits: it hands a shared frame to each session's outbox, which writes
//! it to the socket at once; what a socket does not take is written by the session's own task.

pub mod config; // every bound and every wait
pub mod metrics; // what an operator sees of the sessions
pub mod registry; // recipient → their state: the way into this crate
pub mod recipient; // one lock a recipient: the order of events is decided here; what they can come back for, and what rings
mod delivery; // an event on its way: encoded once, shared by all who get it
pub mod outbox; // what waits for one session, bounded, and its way to the socket
pub mod session; // one task a session: client's messages → here, and what the socket did not take at once
pub mod ws; // WebSocket beneath it: frames, and a socket read into messages
pub mod receipts; // what became of each event, by device
mod context; // what recipients and sessions share
mod wheel; // reminders without a timer each
mod sync; // the locks, exchanged for a model check
#[cfg(any(test, fuzzing))]
pub mod fuzzing; // what the fuzz targets call
#[cfg(test)]
mod testing; // what the tests share
