//! What waits for one session: a bounded queue of shared frames, and what else its task is to do.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::close::CloseCode;
use protocol::frame::EncodedFrame;
use protocol::id::Product;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::{Bytes, Utf8Bytes};

use crate::Config;
use crate::metrics::Metrics;
use crate::receipts::Trail;
use crate::sync::{Mutex, MutexGuard, lock};

/// An event on its way: one for all sessions that get it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) frame: EncodedFrame,
    pub(crate) text: Utf8Bytes,
    pub(crate) taken: Instant,
    /// What became of it; `None` where nobody may ask any more.
    pub(crate) trail: Option<Arc<Trail>>,
}

impl Delivery {
    pub(crate) fn new(frame: EncodedFrame, taken: Instant) -> Self {
        let text = written(frame.text.clone());
        Self { frame, text, taken, trail: None }
    }

    /// Keeps what becomes of it.
    pub(crate) fn trailed(self, trail: Arc<Trail>) -> Self {
        Self { trail: Some(trail), ..self }
    }

    /// Whether sessions of this product are told.
    pub(crate) fn tells(&self, product: Product) -> bool {
        self.frame.products.contains(&product)
    }
}

/// A text that `protocol` has written, which writes UTF-8.
pub(crate) fn written(text: impl Into<Bytes>) -> Utf8Bytes {
    Utf8Bytes::try_from(text.into()).unwrap_or_default()
}

/// Something to write.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// An event.
    Event(Arc<Delivery>),
    /// Word of a call that no event tells of.
    Sync(Utf8Bytes),
}

/// What the session's task has to do next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Write all of these, in order.
    Items(VecDeque<Item>),
    /// Say that the session will be closed after this time.
    GoAway(Duration),
    /// Close, and write nothing more.
    Close(CloseCode),
    /// Look what is due.
    Check,
}

/// The queue of one session: filled under the recipient's lock, emptied by the session's task.
#[derive(Debug)]
pub(crate) struct Queue {
    // Guards the queue while an item is put or all are taken; nothing is awaited or called inside.
    waiting: Mutex<Waiting>,
    wake: Notify,
    total: Arc<Total>,
}

/// What waits in all queues of a node.
#[derive(Debug)]
pub(crate) struct Total {
    bytes: AtomicUsize,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    go_away: Option<Duration>,
    closing: Option<CloseCode>,
    check: bool,
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(delivery) => delivery.text.len(),
            Self::Sync(text) => text.len(),
        }
    }
}

impl Total {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { bytes: AtomicUsize::new(0), metrics }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.metrics.waiting.inc();
    }

    fn remove(&self, items: usize, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.metrics.waiting.dec_by(i64::try_from(items).unwrap_or(i64::MAX));
    }
}

impl Queue {
    pub(crate) fn new(total: Arc<Total>) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), total }
    }

    /// Puts an item behind the others. Where there is no room, all is dropped and the session is closed as slow: its client
    /// comes back with its cursor, and nothing is lost silently. Gives whether it was put.
    pub(crate) fn put(&self, item: Item, config: &Config) -> bool {
        let mut waiting = self.lock();
        if waiting.closing.is_some() {
            return false;
        }
        let bytes = waiting.bytes + item.bytes();
        let full = waiting.items.len() == config.queue_events_max || bytes > config.queue_bytes_max;
        if full {
            self.abandon(&mut waiting, CloseCode::Slow);
        } else {
            self.total.add(item.bytes());
            waiting.items.push_back(item);
            waiting.bytes = bytes;
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

    /// Drops what is queued and closes the session, for want of memory.
    pub(crate) fn shed(&self) {
        self.abandon(&mut self.lock(), CloseCode::Overloaded);
        self.wake.notify_one();
    }

    /// Says that the session will be closed after `slot`.
    pub(crate) fn go_away(&self, slot: Duration) {
        self.lock().go_away = Some(slot);
        self.wake.notify_one();
    }

    /// Makes the session look what is due.
    pub(crate) fn check(&self) {
        self.lock().check = true;
        self.wake.notify_one();
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
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

    /// Waits until what is queued was given up, and says why: what is being written is not worth waiting for any more.
    ///
    /// Cancel safety: takes nothing; a wake-up that it used up is given back, or found by the next look at the queue.
    pub(crate) async fn abandoned(&self) -> CloseCode {
        loop {
            let closing = self.lock().closing;
            if let Some(code @ (CloseCode::Slow | CloseCode::Overloaded)) = closing {
                self.wake.notify_one();
                return code;
            }
            self.wake.notified().await;
        }
    }

    fn take(&self) -> Option<Outgoing> {
        let mut waiting = self.lock();
        if !waiting.items.is_empty() {
            let items = std::mem::take(&mut waiting.items);
            self.total.remove(items.len(), std::mem::take(&mut waiting.bytes));
            return Some(Outgoing::Items(items));
        }
        if let Some(code) = waiting.closing {
            return Some(Outgoing::Close(code));
        }
        if let Some(slot) = waiting.go_away.take() {
            return Some(Outgoing::GoAway(slot));
        }
        std::mem::take(&mut waiting.check).then_some(Outgoing::Check)
    }

    fn abandon(&self, waiting: &mut Waiting, code: CloseCode) {
        let items = std::mem::take(&mut waiting.items);
        self.total.remove(items.len(), std::mem::take(&mut waiting.bytes));
        waiting.closing.get_or_insert(code);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut *self.lock());
        self.total.remove(waiting.items.len(), waiting.bytes);
    }
}

#[cfg(test)]
mod tests;
