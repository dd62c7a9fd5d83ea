//! How sessions are to behave: every bound and every wait of this crate.

use std::time::Duration;

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
    /// How soon a dead connection is found.
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

/// How long a ring remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingConfig {
    /// For how long an entry is kept. Default 180 s: what a client is told as `resumeSeconds`.
    pub age_max: Duration,
    /// How many entries are kept, at least 1. Default 128.
    pub events_max: usize,
    /// How many bytes the rings of the whole node can hold. Default 256 MiB; beyond, a ring that grows drops its oldest.
    pub bytes_max: usize,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self { age_max: Duration::from_secs(180), events_max: 128, bytes_max: 256 * 1024 * 1024 }
    }
}

/// How soon a dead connection is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeConfig {
    /// After how much silence the node pings, give or take 20 %. Default 25 s: below the idle time-outs of most proxies.
    pub ping_interval: Duration,
    /// How long a ping can stay unanswered. Default 10 s.
    pub pong_timeout: Duration,
    /// How long an incomingCall can stay unacknowledged until the node pings, and that ping unanswered. Default 3 s.
    pub ack_timeout: Duration,
}

impl Default for LifeConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(3),
        }
    }
}
