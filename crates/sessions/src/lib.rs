//! Who is connected here, and getting a frame into their socket.
//!
//! Knows no HTTP, no tokens and no store. A delivery never waits: it puts a shared frame into bounded queues, and a session's
//! own task brings what is queued to its socket.

pub mod clock; // the system's time, or one stepped by hand
pub mod metrics; // what an operator sees of the sessions
pub mod registry; // recipient → who of them is logged in
pub mod recipient; // one lock a recipient: the order of events is decided here
pub mod queue; // what waits for one session, bounded
pub mod session; // one task a session: queue → socket, client's messages → here

use std::time::Duration;

/// How sessions are to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many events can wait for one session. Default 64; a session that has more is closed as slow (4202).
    pub queue_events_max: usize,
    /// How many bytes can wait for one session. Default 64 KiB, whichever comes first.
    pub queue_bytes_max: usize,
    /// How long a write can stall before the session ends. Default 5 s.
    pub write_timeout: Duration,
    /// How long a close frame is tried, and its answer awaited. Default 1 s.
    pub close_timeout: Duration,
    /// What a session reads at once, in bytes, and so what it keeps while idle. Default 1 KiB: clients say little.
    pub read_buffer: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_events_max: 64,
            queue_bytes_max: 64 * 1024,
            write_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(1),
            read_buffer: 1024,
        }
    }
}
