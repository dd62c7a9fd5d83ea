//! The way out of an outbox: what the session's task is to do, and what the socket has taken.

use std::io;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use clock::Moment;
use protocol::close::CloseCode;

use super::liveness::Liveness;
use super::{Inner, Outbox, Request, Todo};
use crate::delivery::{Delivery, Item};

/// How far the socket has taken what waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// A part.
    Some,
    /// All of it.
    All,
    /// The backlog was given up, for this reason: the rest is not worth waiting for.
    Abandoned(CloseCode),
}

impl Outbox {
    /// Waits for something to do: what waits comes before a close.
    ///
    /// # Cancel safety
    /// Nothing is taken before it is returned.
    pub(crate) fn poll_next(&self, cx: &mut TaskContext<'_>) -> Poll<Todo> {
        let mut inner = self.lock();
        if inner.waits() {
            return Poll::Ready(Todo::Write);
        }
        match inner.asked {
            Some(close @ Request::Close(_)) => Poll::Ready(Todo::Asked(close)),
            Some(request @ (Request::Check | Request::GoAway(_))) => {
                inner.asked = None;
                Poll::Ready(Todo::Asked(request))
            }
            None => inner.wait(cx),
        }
    }

    /// Writes what the socket takes of what waits. An event that has stopped ringing meanwhile is left out.
    ///
    /// # Errors
    /// Why the connection is broken; [`io::ErrorKind::NotConnected`] before the session was welcomed, and after it ended.
    ///
    /// # Cancel safety
    /// What the socket has taken is counted at once.
    pub(crate) fn poll_write(&self, cx: &mut TaskContext<'_>) -> Poll<io::Result<Progress>> {
        let mut inner = self.lock();
        if let Some(Request::Close(code @ (CloseCode::Slow | CloseCode::Overloaded))) = inner.asked {
            return Poll::Ready(Ok(Progress::Abandoned(code)));
        }
        match inner.line.way().map_or(Poll::Ready(Ok(())), |mut way| way.poll_flush(cx)) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return inner.wait(cx),
        }
        self.drop_expired(&mut inner);
        if inner.backlog.is_empty() {
            return Poll::Ready(Ok(Progress::All));
        }
        let Inner { backlog, line, .. } = &mut *inner;
        let Some(mut way) = line.way() else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let written = way.poll_write(cx, &backlog.slices());
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                self.advance(&mut inner, written, self.moment());
                Poll::Ready(Ok(if inner.waits() { Progress::Some } else { Progress::All }))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => inner.wait(cx),
        }
    }

    /// Notes that the socket has taken so many bytes of the backlog.
    pub(super) fn advance(&self, inner: &mut Inner, written: usize, now: Moment) {
        let Inner { backlog, liveness, .. } = inner;
        let gone = backlog.advance(written, |item| {
            if let Item::Event(delivery) = item {
                self.written(liveness, delivery, now);
            }
        });
        if gone.frames > 0 {
            self.no_longer_waits(gone);
            self.remind_of_life(liveness);
        }
    }

    /// Notes that the socket has an event whole.
    pub(super) fn written(&self, liveness: &mut Liveness, delivery: Arc<Delivery>, now: Moment) {
        self.context.sent(&self.who, &delivery, now.wall);
        self.context.metrics.written.inc();
        self.context.metrics.taken_to_written.observe(now.running.saturating_sub(delivery.taken).as_secs_f64());
        liveness.life.sent(delivery, now.running);
    }

    fn drop_expired(&self, inner: &mut Inner) {
        let expired = inner.backlog.drop_expired(self.context.clock.now());
        if expired.frames > 0 {
            self.context.metrics.expired.inc_by(expired.frames as u64);
            self.no_longer_waits(expired);
        }
    }

    /// Takes all that waits, as if the socket took it.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Vec<Item> {
        let (taken, gone) = self.lock().backlog.take();
        self.no_longer_waits(gone);
        taken
    }
}

impl Inner {
    fn wait<T>(&mut self, cx: &mut TaskContext<'_>) -> Poll<T> {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
