//! What waits for one session, bounded, and its way to the socket.
//!
//! Whoever puts an event writes it to the socket, too, where nothing waits before it and the socket takes it: that saves waking
//! the session's task, which costs nearly as much as the write. What the socket does not take waits, in order, for that task. One
//! lock decides the order of all; nothing is awaited under it, and no event is encoded here.
//!
//! Where a session stands with its socket:
//! ```text
//!               open                      end                    shut
//!    Opening ──────────► Open ─────────────────────► Ending ───────────► Shut
//!    events wait         events go out               only the last       nothing
//!                        as they come                word goes out       goes out
//! ```
//! How events go out while it is open:
//! ```text
//!                                  put, on a thread that gathers
//!                                  and has written already
//!   put: socket ──► Direct ─────────────────────────────────► Deferred ──► put: backlog
//!                   │ ▲  ▲                                      │  │
//!   the socket      │ │  └──── flush: the socket takes all ─────┘  │ flush: it takes a part
//!   takes a part    ▼ │ the task has written all                   │
//!                 Direct with a backlog ◄──────────────────────────┘
//!                 put: backlog, wake the task
//!
//!   any of them ── the socket takes bytes and holds them (TLS) ──► Held ── the task flushes ──► Direct
//! ```
//! What the session's task is to do is one value, `Todo`: first to write what waits, then what it was asked for. Beyond its
//! bounds a backlog is dropped and the session closed as slow.

mod entry; // the way in: an event is written, deferred, or put into the backlog
mod exit; // the way out: what the session's task writes, and what else it is to do
pub mod gather; // several events for a session, in one write
mod backlog; // what waits, and its bounds
mod line; // where the session stands with its socket
pub mod way_out; // what a socket must be able to take
mod liveness; // what is due, and what the client has received
pub(crate) mod life; // whether a client is still there

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use clock::Moment;
use protocol::close::CloseCode;

use self::backlog::{Backlog, Gone};
pub(crate) use self::exit::Progress;
use self::line::Line;
use self::liveness::Liveness;
use self::way_out::WayOut;
use crate::context::Context;
use crate::delivery::Item;
use crate::receipts::Who;
use crate::sync::{Mutex, MutexGuard, lock};

/// What the session's task has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Todo {
    /// Write what waits.
    Write,
    /// Do what was asked for.
    Asked(Request),
}

/// What the session's task can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Look what is due.
    Check,
    /// Tell the client that the session will be closed after this time.
    GoAway(Duration),
    /// Close, and write nothing more.
    Close(CloseCode),
}

impl Request {
    /// A session that is to go away looks what is due afterwards anyway, and one that closes needs neither.
    fn urgency(self) -> u8 {
        match self {
            Self::Check => 0,
            Self::GoAway(_) => 1,
            Self::Close(_) => 2,
        }
    }
}

/// The outbox of one session: filled under the recipient's lock, emptied by whoever fills it or by the session's task.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) who: Who,
    context: Arc<Context>,
    // Guards the order in which frames reach the socket. Inside, the socket takes what it has room for; nothing is awaited.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    backlog: Backlog,
    line: Line,
    /// What the session's task was asked for, beside writing what waits; a close stands until the session has ended.
    asked: Option<Request>,
    liveness: Liveness,
    /// The session's task, while it waits for something to do.
    waker: Option<Waker>,
}

impl Outbox {
    pub(crate) fn new(who: Who, context: Arc<Context>) -> Self {
        let liveness = Liveness::new(&context, who.session);
        let inner = Inner { backlog: Backlog::default(), line: Line::Opening, asked: None, liveness, waker: None };
        Self { who, context, inner: Mutex::new(inner) }
    }

    /// Opens the way out: from now on events are written as they come. The session's own words go before them.
    pub(crate) fn open(&self, out: Arc<dyn WayOut>, own: impl IntoIterator<Item = Item>) {
        let mut inner = self.lock();
        own.into_iter().for_each(|item| inner.backlog.push_own(item, 0));
        inner.line = Line::open(out);
    }

    /// Puts the session's own word before all events; for the session's task, which writes it where the socket does not take it
    /// at once.
    pub(crate) fn say(&self, frame: Bytes) {
        self.lock().say(frame);
    }

    /// Drops what waits, but for the rest of a frame that the socket has in part, and puts the last word behind it.
    pub(crate) fn end(&self, frame: Bytes) {
        let mut inner = self.lock();
        self.no_longer_waits(inner.backlog.drop_waiting());
        inner.backlog.push_own(Item::frame(frame), 0);
        inner.asked = None;
        inner.line.end();
    }

    /// Drops the socket.
    pub(crate) fn shut(&self) {
        let mut inner = self.lock();
        inner.line = Line::Shut;
        inner.waker = None;
    }

    /// Asks the session to close after what waits. The first reason stands.
    pub(crate) fn close(&self, code: CloseCode) {
        self.ask(Request::Close(code));
    }

    /// Tells the client that the session will be closed after `slot`.
    pub(crate) fn go_away(&self, slot: Duration) {
        self.ask(Request::GoAway(slot));
    }

    fn ask(&self, request: Request) {
        let mut inner = self.lock();
        inner.ask(request);
        wake(inner);
    }

    /// Drops what waits and closes the session, for want of memory.
    pub(crate) fn shed(&self) {
        let mut inner = self.lock();
        if inner.line.is_deferred() {
            self.flush_deferred(&mut inner, self.moment());
        }
        if inner.waits() {
            self.abandon(&mut inner, CloseCode::Overloaded);
            wake(inner);
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        self.context.clock.moment()
    }

    /// Returns how many bytes of events wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().backlog.bytes()
    }

    /// Drops what waits and asks the session to close.
    fn abandon(&self, inner: &mut Inner, code: CloseCode) {
        if inner.line.has_ended() {
            return;
        }
        self.no_longer_waits(inner.backlog.drop_waiting());
        inner.ask(Request::Close(code));
    }

    fn no_longer_waits(&self, gone: Gone) {
        if gone.events > 0 {
            self.context.waits_no_longer(gone.events, gone.bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

/// Wakes the session's task, when the outbox is free again.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    waker.iter().for_each(Waker::wake_by_ref);
}

impl Inner {
    /// Whether there is something to write or to flush.
    fn waits(&self) -> bool {
        self.line.is_held() || !self.backlog.is_empty()
    }

    /// Whether the next event goes straight to the socket.
    fn is_clear(&self) -> bool {
        self.line.is_direct() && self.backlog.is_empty()
    }

    /// Whether the session is to get events: it neither closes nor has ended.
    fn takes_events(&self) -> bool {
        !matches!(self.asked, Some(Request::Close(_))) && !self.line.has_ended()
    }

    /// Asks the session's task for something. The more urgent stands; of two of a kind the first: so does the first reason to
    /// close.
    fn ask(&mut self, request: Request) {
        if !self.line.has_ended() && self.asked.is_none_or(|before| before.urgency() < request.urgency()) {
            self.asked = Some(request);
        }
    }

    /// Returns how much of a frame the socket takes without waiting, where nothing waits before it.
    fn try_write(&mut self, frame: &[u8]) -> usize {
        if self.waits() {
            return 0;
        }
        self.line.way().map_or(0, |mut way| way.try_write(&[io::IoSlice::new(frame)]))
    }

    /// Puts the session's own word before all events, and into the socket where nothing waits.
    fn say(&mut self, frame: Bytes) {
        let written = self.try_write(&frame);
        if written < frame.len() {
            self.backlog.push_own(Item::frame(frame), written);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let inner = self.lock();
        self.context.waits_no_longer(inner.backlog.events(), inner.backlog.bytes());
    }
}

#[cfg(test)]
mod tests;
