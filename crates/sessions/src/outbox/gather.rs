//! Several events for a session, in one write.
//!
//! A thread that serves many callers takes the events of all that are ready, one after the other, and only then brings them out: a
//! session that gets several of them costs one call of the kernel, which is most of what a delivery costs. Nobody waits for it: the first
//! write of a moment is made at once, as it may be the only one, and what is put off is due behind what was ready at that moment, or once
//! it is for a thousand sessions. A thread that does not [`gather`] writes each event as it comes.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::outbox::Outbox;

/// From how many sessions on they are brought out before the rest is ready: of more, what was touched as the events were put is no longer
/// at hand when it is written.
pub(crate) const TOGETHER_MAX: usize = 1024;

thread_local! {
    static GATHERED: RefCell<Option<Gathered>> = const { RefCell::new(None) };
}

/// The queues that this thread is to bring out.
struct Gathered {
    queues: Vec<Arc<Outbox>>,
    /// Something has come since they were brought out last.
    has_begun: bool,
    /// The task that does so.
    waker: Waker,
}

/// Gathers what this thread delivers, for ever; to be run by a task of a runtime that never leaves the thread.
pub async fn gather() {
    let _until_dropped = Gathering;
    poll_fn(|cx| {
        let due = GATHERED.with_borrow_mut(|gathered| match gathered {
            Some(gathered) => {
                gathered.has_begun = false;
                std::mem::take(&mut gathered.queues)
            }
            None => {
                *gathered = Some(Gathered { queues: Vec::new(), has_begun: false, waker: cx.waker().clone() });
                Vec::new()
            }
        });
        bring_out(due);
        Poll::Pending
    })
    .await
}

/// Returns after what is ready by now has had its turn: who takes requests takes all of them first, and answers then.
///
/// That a thread goes from one piece of work to another, and that a client wakes up for each answer, costs more than the turn.
pub async fn behind_the_others() {
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

/// Has this thread bring out a queue in a moment; `false` where it has to be done at once.
pub(crate) fn put_off(queue: &Arc<Outbox>) -> bool {
    GATHERED.with_borrow_mut(|gathered| {
        let Some(Gathered { queues, has_begun, waker }) = gathered else { return false };
        if !std::mem::replace(has_begun, true) {
            waker.wake_by_ref();
            return false;
        }
        queues.push(queue.clone());
        true
    })
}

/// Brings out what this thread has gathered, where it is much; for who holds no lock.
pub(crate) fn bring_out_many() {
    let is_much = |gathered: &&mut Gathered| gathered.queues.len() >= TOGETHER_MAX;
    let take = |gathered: &mut Gathered| std::mem::take(&mut gathered.queues);
    if let Some(due) = GATHERED.with_borrow_mut(|gathered| gathered.as_mut().filter(is_much).map(take)) {
        bring_out(due);
    }
}

fn bring_out(mut due: Vec<Arc<Outbox>>) {
    if let Some(now) = due.first().map(|queue| queue.moment()) {
        due.drain(..).for_each(|queue| queue.bring_out(now));
    }
    // Its room serves the next ones.
    GATHERED.with_borrow_mut(|gathered| {
        if let Some(gathered) = gathered.as_mut().filter(|gathered| gathered.queues.is_empty()) {
            gathered.queues = due;
        }
    });
}

/// While it is there, the thread gathers.
struct Gathering;

impl Drop for Gathering {
    fn drop(&mut self) {
        if let Some(gathered) = GATHERED.take() {
            gathered.queues.iter().for_each(|queue| queue.bring_out(queue.moment()));
        }
    }
}
