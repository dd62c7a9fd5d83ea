//! What waits for one session: a bounded queue of shared frames, and the word to close.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use protocol::close::CloseCode;
use protocol::frame::EncodedFrame;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::Config;
use crate::metrics::Metrics;

/// An event on its way: one for all sessions that get it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) frame: EncodedFrame,
    pub(crate) text: Utf8Bytes,
    pub(crate) taken: Instant,
}

/// What the session's task has to do next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Write all of these, in order.
    Deliveries(VecDeque<Arc<Delivery>>),
    /// Close, and write nothing more.
    Close(CloseCode),
}

/// The queue of one session: filled under the recipient's lock, emptied by the session's task.
#[derive(Debug)]
pub(crate) struct Queue {
    // Guards the queue while an entry is put or all are taken; nothing is awaited or called inside.
    waiting: Mutex<Waiting>,
    wake: Notify,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Waiting {
    deliveries: VecDeque<Arc<Delivery>>,
    bytes: usize,
    closing: Option<CloseCode>,
}

impl Queue {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), metrics }
    }

    /// Puts an event behind the others. Where there is no room, all is dropped and the session is closed as slow: its client
    /// comes back with its cursor, and nothing is lost silently. Gives whether it was put.
    pub(crate) fn put(&self, delivery: Arc<Delivery>, config: &Config) -> bool {
        let mut waiting = self.lock();
        if waiting.closing.is_some() {
            return false;
        }
        let bytes = waiting.bytes + delivery.text.len();
        let full = waiting.deliveries.len() == config.queue_events_max || bytes > config.queue_bytes_max;
        if full {
            self.drop_all(&mut waiting);
            waiting.closing = Some(CloseCode::Slow);
        } else {
            waiting.deliveries.push_back(delivery);
            waiting.bytes = bytes;
            self.metrics.waiting.inc();
        }
        drop(waiting);
        self.wake.notify_one();
        !full
    }

    /// Asks the session to close after what is queued. The first reason stands.
    pub(crate) fn close(&self, code: CloseCode) {
        self.lock().closing.get_or_insert(code);
        self.wake.notify_one();
    }

    /// Waits for something to do: what is queued comes before a close.
    ///
    /// Cancel safety: nothing is taken before it is returned.
    pub(crate) async fn next(&self) -> Outgoing {
        loop {
            if let Some(outgoing) = self.take() {
                return outgoing;
            }
            self.wake.notified().await;
        }
    }

    /// Waits until the queue has overflown: what is being written is not worth waiting for any more.
    ///
    /// Cancel safety: takes nothing; a wake-up that it used up is given back, or found by the next look at the queue.
    pub(crate) async fn overflow(&self) {
        while self.lock().closing != Some(CloseCode::Slow) {
            self.wake.notified().await;
        }
        self.wake.notify_one();
    }

    fn take(&self) -> Option<Outgoing> {
        let mut waiting = self.lock();
        if waiting.deliveries.is_empty() {
            return waiting.closing.map(Outgoing::Close);
        }
        let deliveries = std::mem::take(&mut waiting.deliveries);
        waiting.bytes = 0;
        drop(waiting);
        self.metrics.waiting.dec_by(count(deliveries.len()));
        Some(Outgoing::Deliveries(deliveries))
    }

    fn drop_all(&self, waiting: &mut Waiting) {
        self.metrics.waiting.dec_by(count(waiting.deliveries.len()));
        waiting.deliveries = VecDeque::new();
        waiting.bytes = 0;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut waiting = std::mem::take(&mut *self.lock());
        self.drop_all(&mut waiting);
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
