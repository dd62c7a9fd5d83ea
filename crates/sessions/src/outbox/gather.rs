//! Several events for a session, in one write.
//!
//! Most of what a delivery costs is the call of the kernel. So a thread that serves many callers takes the events of all that are
//! ready, and only then writes them: a session that gets several of them costs one call. Nobody waits for it:
//! - the first write of a moment is made at once, as it may be the only one;
//! - the others are deferred until what was ready at that moment has had its turn, or until they are for a thousand sessions.
//!
//! A thread that does not [`gather`] writes each event as it comes.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::Outbox;

/// From how many sessions on they are flushed before the rest is ready: of more, what was touched as the events were put has left
/// the processor's cache by the time it is written.
pub(crate) const TOGETHER_MAX: usize = 1024;

thread_local! {
    static GATHERED: RefCell<Option<Gathered>> = const { RefCell::new(None) };
}

/// The outboxes that this thread is to flush.
struct Gathered {
    outboxes: Vec<Arc<Outbox>>,
    /// Something was written since they were flushed last.
    has_begun: bool,
    /// The task that flushes them.
    waker: Waker,
}

/// Gathers what this thread delivers, for ever. To be run by a task of a runtime that never leaves the thread.
pub async fn gather() {
    let _until_dropped = Gathering;
    poll_fn(|cx| {
        let due = GATHERED.with_borrow_mut(|gathered| match gathered {
            Some(gathered) => {
                gathered.has_begun = false;
                std::mem::take(&mut gathered.outboxes)
            }
            None => {
                *gathered = Some(Gathered { outboxes: Vec::new(), has_begun: false, waker: cx.waker().clone() });
                Vec::new()
            }
        });
        flush(due);
        Poll::Pending
    })
    .await
}

/// Yields until all tasks that are ready by now have had their turn: who serves requests takes all of them first, and answers
/// then.
///
/// Going from one kind of work to another, and waking a client for each answer, would cost more than the turn.
pub async fn yield_to_ready() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Has this thread flush an outbox in a moment. Returns `false` where the event is to be written at once.
pub(crate) fn defer(outbox: &Arc<Outbox>) -> bool {
    GATHERED.with_borrow_mut(|gathered| {
        let Some(Gathered { outboxes, has_begun, waker }) = gathered else { return false };
        if !std::mem::replace(has_begun, true) {
            waker.wake_by_ref();
            return false;
        }
        outboxes.push(outbox.clone());
        true
    })
}

/// Flushes what this thread has gathered, where it is much. For who holds no lock.
pub(crate) fn flush_many() {
    let is_much = |gathered: &&mut Gathered| gathered.outboxes.len() >= TOGETHER_MAX;
    let take = |gathered: &mut Gathered| std::mem::take(&mut gathered.outboxes);
    if let Some(due) = GATHERED.with_borrow_mut(|gathered| gathered.as_mut().filter(is_much).map(take)) {
        flush(due);
    }
}

fn flush(mut due: Vec<Arc<Outbox>>) {
    if let Some(now) = due.first().map(|outbox| outbox.moment()) {
        due.drain(..).for_each(|outbox| outbox.flush(now));
    }
    // Its room serves the next ones.
    GATHERED.with_borrow_mut(|gathered| {
        if let Some(gathered) = gathered.as_mut().filter(|gathered| gathered.outboxes.is_empty()) {
            gathered.outboxes = due;
        }
    });
}

/// While it is there, the thread gathers.
struct Gathering;

impl Drop for Gathering {
    fn drop(&mut self) {
        if let Some(gathered) = GATHERED.take() {
            gathered.outboxes.iter().for_each(|outbox| outbox.flush(outbox.moment()));
        }
    }
}
