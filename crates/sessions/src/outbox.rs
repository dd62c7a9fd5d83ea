//! What waits for one session, bounded, and its way to the socket.
//!
//! Whoever puts an event writes it to the socket, too, where nothing waits before it and the socket takes it: that saves waking the
//! session's task, which cost nearly as much as the write. It does so at once or, on a thread that gathers ([`crate::outbox::gather`]) and
//! has written already, in a moment. What the socket does not take waits here, in order, and the session's task brings it out.
//! One lock decides the order of all.

mod entry; // the way in: what is put, at once or together with what else comes
pub mod gather; // several events for a session, in one write
mod line; // the way out: what the socket takes, and what it still holds
pub mod way_out; // what a socket must be able to take
mod liveness; // what is due, and what the client has received
pub(crate) mod life; // whether a client is still there

use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use clock::Moment;
use jiff::Timestamp;
use protocol::close::CloseCode;
use smallvec::SmallVec;

use self::life::Life;
use self::way_out::WayOut;
use crate::context::Context;
use crate::delivery::{Delivery, Item};
use crate::receipts::Who;
use crate::sync::{Mutex, MutexGuard, lock};

/// How many frames go to the socket in one call.
const FRAMES_AT_ONCE: usize = 16;
/// How many frames wait in the session's own memory: head and welcome, the event that is on its way.
const FRAMES_HERE: usize = 2;
/// For how many frames a queue that is empty keeps room elsewhere.
const FRAMES_KEPT: usize = 4;

/// What the session's task has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// Bring out what waits.
    Write,
    /// Say that the session will be closed after this time.
    GoAway(Duration),
    /// Close, and write nothing more.
    Close(CloseCode),
    /// Look what is due.
    Check,
}

/// How far the socket has taken what waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A part.
    Some,
    /// All of it.
    All,
    /// The queue was given up, for this reason: the rest is not worth waiting for.
    Abandoned(CloseCode),
}

/// The queue of one session: filled under the recipient's lock, emptied by whoever fills it or by the session's task.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) who: Who,
    context: Arc<Context>,
    // Guards the order in which frames reach the socket. Inside, the socket takes what it has room for; nothing is awaited.
    inner: Mutex<Inner>,
}

struct Inner {
    /// What waits, in this order; of the first, `begun` bytes are out.
    frames: SmallVec<[Waiting; FRAMES_HERE]>,
    begun: usize,
    /// How many of them are counted, and their bytes.
    events: usize,
    bytes: usize,
    /// The way out; none before the session was welcomed, and after it ended.
    line: Option<Arc<dyn WayOut>>,
    /// The line took something and still holds it: one with TLS can, a socket never does.
    unflushed: bool,
    /// What waits is brought out by the thread that put it: the session's task need not be woken.
    gathered: bool,
    life: Life,
    /// The next reminder that is under way.
    reminder: Duration,
    /// When the token ends, with its grace.
    token_end: Timestamp,
    go_away: Option<Duration>,
    closing: Option<CloseCode>,
    /// The last word was put.
    has_ended: bool,
    check: bool,
    /// The session's task, while it waits for something to do.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Waiting {
    item: Item,
    /// The session's own words, and what it came back for, are not counted against its bounds, and come before events.
    own: bool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("events", &self.events).field("closing", &self.closing).finish_non_exhaustive()
    }
}

impl Outbox {
    pub(crate) fn new(who: Who, context: Arc<Context>) -> Self {
        let inner = Inner {
            frames: SmallVec::new(),
            begun: 0,
            events: 0,
            bytes: 0,
            line: None,
            unflushed: false,
            gathered: false,
            life: Life::new(context.config.clone(), who.session, context.clock.running()),
            reminder: Duration::MAX,
            token_end: Timestamp::MAX,
            go_away: None,
            closing: None,
            has_ended: false,
            check: false,
            waker: None,
        };
        Self { who, context, inner: Mutex::new(inner) }
    }

    /// Opens the way out: from now on events are written as they come. The session's own words go before them.
    pub(crate) fn open(&self, line: Arc<dyn WayOut>, own: impl IntoIterator<Item = Item>) {
        let mut inner = self.lock();
        own.into_iter().for_each(|item| inner.push_own(item));
        inner.line = Some(line);
    }

    /// Puts the session's own word before all events; for the session's task, which brings it out.
    pub(crate) fn say(&self, frame: Bytes) {
        self.lock().say(frame);
    }

    /// Drops what waits, but for the rest of a frame that the socket has in part, and puts the last word behind it.
    pub(crate) fn end(&self, frame: Bytes) {
        let mut inner = self.lock();
        self.drop_waiting(&mut inner);
        inner.push_own(Item::sync(frame));
        inner.closing = None;
        inner.has_ended = true;
    }

    /// Lets the socket go.
    pub(crate) fn shut(&self) {
        let mut inner = self.lock();
        inner.line = None;
        inner.waker = None;
    }

    /// Asks the session to close after what is queued. The first reason stands.
    pub(crate) fn close(&self, code: CloseCode) {
        let mut inner = self.lock();
        inner.closing.get_or_insert(code);
        wake(inner);
    }

    /// Drops what is queued and closes the session, for want of memory.
    pub(crate) fn shed(&self) {
        let mut inner = self.lock();
        if inner.gathered {
            self.bring_out_inner(&mut inner, self.moment());
        }
        if inner.waits() {
            self.abandon(&mut inner, CloseCode::Overloaded);
            wake(inner);
        }
    }

    /// Says that the session will be closed after `slot`.
    pub(crate) fn go_away(&self, slot: Duration) {
        let mut inner = self.lock();
        inner.go_away = Some(slot);
        wake(inner);
    }

    pub(crate) fn moment(&self) -> Moment {
        self.context.clock.moment()
    }

    /// How many bytes of events wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits for something to do: what waits comes before a close.
    ///
    /// Cancel safety: nothing is taken before it is returned.
    pub(crate) fn poll_next(&self, cx: &mut TaskContext<'_>) -> Poll<Outgoing> {
        let mut inner = self.lock();
        if inner.waits() {
            return Poll::Ready(Outgoing::Write);
        }
        if let Some(code) = inner.closing {
            return Poll::Ready(Outgoing::Close(code));
        }
        if let Some(slot) = inner.go_away.take() {
            return Poll::Ready(Outgoing::GoAway(slot));
        }
        if std::mem::take(&mut inner.check) {
            return Poll::Ready(Outgoing::Check);
        }
        inner.wait(cx)
    }

    /// Brings out what the socket takes of what waits. An event that has stopped ringing meanwhile is left out.
    ///
    /// Cancel safety: what the socket has taken is counted at once.
    pub(crate) fn poll_write(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<Progress>> {
        let mut inner = self.lock();
        if let Some(code @ (CloseCode::Slow | CloseCode::Overloaded)) = inner.closing {
            return Poll::Ready(Ok(Progress::Abandoned(code)));
        }
        match inner.poll_flush(cx) {
            Poll::Ready(Ok(())) => self.drop_expired(&mut inner),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return inner.wait(cx),
        }
        if inner.frames.is_empty() {
            return Poll::Ready(Ok(Progress::All));
        }
        match inner.poll_write(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                self.advance(&mut inner, written, self.moment());
                Poll::Ready(Ok(if inner.waits() { Progress::Some } else { Progress::All }))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => inner.wait(cx),
        }
    }

    /// Takes off what the socket has.
    fn advance(&self, inner: &mut Inner, written: usize, now: Moment) {
        let whole = inner.count_whole(written);
        if whole == 0 {
            return;
        }
        self.uncount(inner, counted(inner.frames.iter().take(whole)));
        for Waiting { item, .. } in inner.frames.drain(..whole) {
            if let Item::Event(delivery) = item {
                self.written(&mut inner.life, delivery, now);
            }
        }
        self.remind_at(inner, inner.life.next_due());
        if inner.frames.is_empty() && inner.frames.capacity() > FRAMES_KEPT {
            inner.frames = SmallVec::new();
        }
    }

    /// Notes that the socket has an event whole.
    fn written(&self, life: &mut Life, delivery: Arc<Delivery>, now: Moment) {
        self.context.sent(&self.who, &delivery, now.wall);
        self.context.metrics.written.inc();
        self.context.metrics.taken_to_written.observe(now.running.saturating_sub(delivery.taken).as_secs_f64());
        life.sent(delivery, now.running);
    }

    fn drop_expired(&self, inner: &mut Inner) {
        let now = self.context.clock.now();
        let must_follow = inner.must_follow();
        let is_expired = |waiting: &Waiting| matches!(&waiting.item, Item::Event(delivery) if delivery.is_expired(now));
        if !inner.frames.iter().skip(must_follow).any(is_expired) {
            return;
        }
        let (expired, kept): (Vec<_>, Vec<_>) = inner.frames.drain(must_follow..).partition(is_expired);
        inner.frames.extend(kept);
        self.context.metrics.expired.inc_by(expired.len() as u64);
        self.uncount(inner, counted(expired.iter()));
    }

    fn abandon(&self, inner: &mut Inner, code: CloseCode) {
        if inner.has_ended {
            return;
        }
        self.drop_waiting(inner);
        inner.closing.get_or_insert(code);
    }

    /// Drops all but a frame that the socket has in part: what follows would be taken for the rest of it.
    fn drop_waiting(&self, inner: &mut Inner) {
        let must_follow = inner.must_follow();
        self.uncount(inner, counted(inner.frames.iter().skip(must_follow)));
        inner.frames.truncate(must_follow);
    }

    /// Notes that so many events, of so many bytes, wait no longer.
    fn uncount(&self, inner: &mut Inner, (events, bytes): (usize, usize)) {
        if events > 0 {
            (inner.events, inner.bytes) = (inner.events - events, inner.bytes - bytes);
            self.context.waits_no_longer(events, bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// All that waits, as if the socket took it.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<Item> {
        let mut inner = self.lock();
        let taken = std::mem::take(&mut inner.frames);
        inner.begun = 0;
        self.uncount(&mut inner, counted(taken.iter()));
        taken.into_iter().map(|waiting| waiting.item).collect()
    }
}

/// How many of these are held against the session's bounds, and their bytes.
fn counted<'w>(frames: impl Iterator<Item = &'w Waiting>) -> (usize, usize) {
    let counted = frames.filter(|waiting| !waiting.own);
    counted.fold((0, 0), |(events, bytes), waiting| (events + 1, bytes + waiting.item.wire().len()))
}

/// Wakes the session's task, when the queue is free again.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    waker.iter().for_each(Waker::wake_by_ref);
}

impl Inner {
    /// Puts the session's own word before all events, and into the socket where nothing waits.
    fn say(&mut self, frame: Bytes) {
        let written = self.try_write(&frame);
        if written < frame.len() {
            self.push_own(Item::sync(frame));
            self.begun += written;
        }
    }

    /// Behind what the socket has in part and the session's other words.
    fn push_own(&mut self, item: Item) {
        let must_follow = self.must_follow();
        let own = self.frames.iter().skip(must_follow).take_while(|waiting| waiting.own).count();
        self.frames.insert(must_follow + own, Waiting { item, own: true });
    }

    /// How many frames are out whole, now that the socket has taken so many bytes more. What it has of the next one is noted.
    fn count_whole(&mut self, bytes: usize) -> usize {
        self.begun += bytes;
        let mut whole = 0;
        while let Some(frame) = self.frames.get(whole)
            && let Some(more) = self.begun.checked_sub(frame.item.wire().len())
        {
            (self.begun, whole) = (more, whole + 1);
        }
        whole
    }

    /// How many of the first go out whatever happens, one or none: what the socket has in part, and what goes before the first frame.
    fn must_follow(&self) -> usize {
        usize::from(self.begun > 0 || matches!(self.frames.first(), Some(Waiting { item: Item::Head(_), .. })))
    }

    fn wait<T>(&mut self, cx: &mut TaskContext<'_>) -> Poll<T> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let inner = self.lock();
        self.context.waits_no_longer(inner.events, inner.bytes);
    }
}

#[cfg(test)]
mod tests;
