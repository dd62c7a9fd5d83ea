//! What all recipients and sessions of a node share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clock::Clock;
use jiff::Timestamp;
use protocol::id::EventId;

use crate::config::Config;
use crate::delivery::Delivery;
use crate::metrics::Metrics;
use crate::receipts::{Receipts, Who};
use crate::wheel::Wheel;

/// Up to how many recipients the answered calls of those who are not logged in outlive their ring.
const RECIPIENTS_MAX: i64 = 200_000;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// The bytes that wait in the backlogs of all sessions.
    waiting_bytes: AtomicUsize,
    pub(crate) receipts: Receipts,
    /// When sessions are to check what is due, by their ids, so that one that is gone keeps nothing alive. A wheel for each core.
    pub(crate) session_reminders: Vec<Wheel<EventId>>,
}

impl Context {
    pub(crate) fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        let receipts = Receipts::new(config.receipts_max, config.ring.age_max, metrics.receipts.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let session_reminders = (0..cores).map(|_| Wheel::new()).collect();
        let waiting_bytes = AtomicUsize::new(0);
        Self { config: Arc::new(config), metrics, clock, waiting_bytes, receipts, session_reminders }
    }

    /// Notes that a ring has grown by so many bytes. Returns the bytes of all rings.
    pub(crate) fn kept(&self, bytes: usize) -> usize {
        let before = self.metrics.ring_bytes.inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
        usize::try_from(before).unwrap_or(0) + bytes
    }

    /// Notes that rings have freed so many bytes.
    pub(crate) fn freed(&self, bytes: usize) {
        if bytes > 0 {
            self.metrics.ring_bytes.dec_by(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// Notes that an event waits in a backlog.
    pub(crate) fn waits(&self, bytes: usize) {
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.metrics.waiting.inc();
    }

    /// Notes that events wait no longer.
    pub(crate) fn waits_no_longer(&self, events: usize, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.metrics.waiting.dec_by(i64::try_from(events).unwrap_or(i64::MAX));
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Notes that an event was handed to a session's socket.
    pub(crate) fn sent(&self, who: &Who, delivery: &Delivery, at: Timestamp) {
        if let Some(trail) = &delivery.trail {
            self.receipts.sent(trail, who, at);
        }
    }

    /// Reminds a session to check what is due, at this time.
    pub(crate) fn remind_session(&self, session: EventId, due: Duration) {
        let random = session.as_bytes().last().copied().map_or(0, usize::from);
        if let Some(wheel) = self.session_reminders.get(random % self.session_reminders.len()) {
            wheel.remind(session, due);
        }
    }

    /// Whether those who are not logged in are forgotten sooner, since so many recipients are remembered.
    pub(crate) fn is_crowded(&self) -> bool {
        self.metrics.recipients.get() > RECIPIENTS_MAX
    }
}
