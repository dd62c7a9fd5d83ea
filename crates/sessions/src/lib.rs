//! Who is connected here, and getting a frame into their socket.
//!
//! Knows no HTTP, no tokens and no store. A delivery never waits: it hands a shared frame to each session's queue, which whoever delivers
//! empties into the socket; what a socket does not take at once is brought out by the session's own task.

pub mod metrics; // what an operator sees of the sessions
mod sync; // the locks, exchanged for a model check
pub mod registry; // recipient → their state; what the door calls
mod context; // what recipients and sessions share
mod recipient; // one lock a recipient: the order of events is decided here
pub mod ring; // what a client may come back for
mod calls; // what is ringing, answered, over
mod delivery; // what goes to a socket
mod queue; // what waits for one session, bounded, and its way to the socket
pub mod gather; // several events for a session, in one write
pub mod receipts; // what became of each event, by device
pub mod session; // one task a session: client's messages → here, and what the socket did not take at once
pub mod socket; // the WebSocket beneath it: read, refused, closed
mod codec; // WebSocket's frames, as a server takes and sends them
pub mod life; // whether a client is still there
mod wheel; // reminders without a timer each
pub mod saved; // what a run hands to the next
#[cfg(any(test, fuzzing))]
pub mod fuzzing; // the door of the fuzz targets
#[cfg(test)]
mod testing; // what the tests share

use std::time::Duration;

use crate::life::LifeConfig;
use crate::ring::RingConfig;

/// How sessions are to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many events can wait for one session. Default 64; a session that has more is closed as slow (4202).
    pub queue_events_max: usize,
    /// How many bytes can wait for one session. Default 64 KiB, whichever comes first.
    pub queue_bytes_max: usize,
    /// How many bytes can wait for all sessions. Default 256 MiB; beyond, the slowest are closed (1013).
    pub queues_bytes_max: usize,
    /// How many sessions a negotiator can have. Default 10; one more closes the oldest (4006).
    pub sessions_per_negotiator_max: usize,
    /// How long a write can stall before the session ends. Default 5 s.
    pub write_timeout: Duration,
    /// How long a close frame is tried, and its answer awaited. Default 1 s.
    pub close_timeout: Duration,
    /// How many receipts are kept, counted in negotiators and devices of all events. Default 200,000; beyond, those of the oldest
    /// events go.
    pub receipts_max: usize,
    /// What is kept for clients that come back.
    pub ring: RingConfig,
    /// How soon a dead line is found.
    pub life: LifeConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_events_max: 64,
            queue_bytes_max: 64 * 1024,
            queues_bytes_max: 256 * 1024 * 1024,
            sessions_per_negotiator_max: 10,
            write_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(1),
            receipts_max: 200_000,
            ring: RingConfig::default(),
            life: LifeConfig::default(),
        }
    }
}
