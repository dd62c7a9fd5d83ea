//! Recipient → who of them is logged in here. Sharded; a shard's lock is held for a look-up only, never while anything is done.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use dashmap::{DashMap, Entry};
use protocol::close::CloseCode;
use protocol::frame::EncodedFrame;
use protocol::id::{EventId, Product, Recipient};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::Config;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::queue::{Delivery, Queue};
use crate::recipient::RecipientState;

/// All sessions of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    recipients: DashMap<Recipient, Arc<RecipientState>>,
    /// Every open session, for closing them all.
    // Guards the map while a session comes, goes or all are copied; nothing is called inside.
    queues: Mutex<HashMap<EventId, Arc<Queue>>>,
    closing: AtomicBool,
    config: Config,
    clock: Clock,
    metrics: Metrics,
}

/// A session's place in the registry; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) session: EventId,
    pub(crate) queue: Arc<Queue>,
    recipient: Recipient,
    state: Arc<RecipientState>,
    registry: Registry,
}

impl Registry {
    /// A registry without sessions.
    #[must_use]
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        let shared = Shared {
            recipients: DashMap::new(),
            queues: Mutex::default(),
            closing: AtomicBool::new(false),
            config,
            clock,
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Puts an event into the queue of every session of `recipient` whose product is told. Never waits. Gives how many sessions
    /// took it, recipient by recipient; a session without room is closed as slow and not counted.
    pub fn deliver(
        &self,
        frame: EncodedFrame,
        products: &[Product],
        recipients: impl Iterator<Item = Recipient>,
        taken: Instant,
    ) -> Vec<usize> {
        // The frame is made by `protocol::frame`, which writes UTF-8.
        let text = Utf8Bytes::try_from(frame.text.clone()).unwrap_or_default();
        let delivery = Arc::new(Delivery { frame, text, taken });
        let counts: Vec<_> = recipients.map(|recipient| self.deliver_to(&recipient, &delivery, products)).collect();
        self.shared.metrics.queued.inc_by(counts.iter().sum::<usize>() as u64);
        counts
    }

    fn deliver_to(&self, recipient: &Recipient, delivery: &Arc<Delivery>, products: &[Product]) -> usize {
        let state = self.shared.recipients.get(recipient).map(|entry| entry.value().clone());
        state.map_or(0, |state| state.deliver(delivery, products, &self.shared.config))
    }

    /// How many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.queues().len()
    }

    /// Asks every session to close after what it has queued, and every later one at once.
    pub fn close_all(&self, code: CloseCode) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let queues: Vec<_> = self.queues().values().cloned().collect();
        for queue in queues {
            queue.close(code);
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Takes a place: every event from now on goes into its queue.
    pub(crate) fn join(&self, recipient: Recipient, session: EventId, product: Product) -> Seat {
        let queue = Arc::new(Queue::new(self.shared.metrics.clone()));
        self.queues().insert(session, queue.clone());
        let state = self.join_recipient(recipient, session, product, &queue);
        self.shared.metrics.open.inc();
        self.shared.metrics.opened.inc();
        // Read after the insertion: either `close_all` sees the queue, or this sees its mark.
        if self.shared.closing.load(Ordering::SeqCst) {
            queue.close(CloseCode::Restarting);
        }
        Seat { session, queue, recipient, state, registry: self.clone() }
    }

    fn join_recipient(&self, of: Recipient, session: EventId, product: Product, queue: &Arc<Queue>) -> Arc<RecipientState> {
        loop {
            let state = match self.shared.recipients.entry(of) {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => {
                    self.shared.metrics.recipients.inc();
                    entry.insert(Arc::default()).value().clone()
                }
            };
            if state.join(session, product, queue.clone()).is_ok() {
                return state;
            }
            self.forget(&of, &state);
        }
    }

    fn leave(&self, seat: &Seat) {
        self.queues().remove(&seat.session);
        if seat.state.leave(seat.session) {
            self.forget(&seat.recipient, &seat.state);
        }
        self.shared.metrics.open.dec();
    }

    /// Drops a forgotten state, unless another already stands in its place.
    fn forget(&self, recipient: &Recipient, state: &Arc<RecipientState>) {
        if self.shared.recipients.remove_if(recipient, |_, current| Arc::ptr_eq(current, state)).is_some() {
            self.shared.metrics.recipients.dec();
        }
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, HashMap<EventId, Arc<Queue>>> {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.registry.clone().leave(self);
    }
}

#[cfg(test)]
mod tests;
