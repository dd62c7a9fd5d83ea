//! Where a session stands with its socket, and how writes get there. Holds no frames: those are the backlog's.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use super::way_out::WayOut;

/// Where a session stands with its socket; the states are drawn in [`super`].
#[derive(Debug)]
pub(super) enum Line {
    /// The session was not welcomed yet: events wait.
    Opening,
    /// Events go out as they come.
    Open { out: Arc<dyn WayOut>, flow: Flow },
    /// The last word was put: nothing is taken behind it.
    Ending { out: Arc<dyn WayOut>, flow: Flow },
    /// The socket was dropped.
    Shut,
}

/// How bytes get into the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Whoever puts an event writes it; what the socket does not take is left to the session's task.
    Direct,
    /// What waits is written by the thread that put it, in a moment: the session's task need not be woken.
    Deferred,
    /// The socket took bytes and still holds them, as one with TLS can: the session's task flushes it before more is written.
    Held,
}

/// A line that can be written to.
pub(super) struct Way<'l> {
    out: &'l dyn WayOut,
    flow: &'l mut Flow,
}

impl Line {
    /// A line over which nothing was written yet.
    pub(super) fn open(out: Arc<dyn WayOut>) -> Self {
        Self::Open { out, flow: Flow::Direct }
    }

    /// Puts the last word next. A line that never opened has none.
    pub(super) fn end(&mut self) {
        // Whoever was to write what is deferred finds that there is nothing to do.
        self.undefer();
        *self = match std::mem::replace(self, Self::Shut) {
            Self::Open { out, flow } | Self::Ending { out, flow } => Self::Ending { out, flow },
            Self::Opening | Self::Shut => Self::Shut,
        };
    }

    /// Whether events can go out as they come.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether the last word was put.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ending { .. } | Self::Shut)
    }

    /// Whether events go straight to the socket.
    pub(super) fn is_direct(&self) -> bool {
        matches!(self, Self::Open { flow: Flow::Direct, .. })
    }

    /// Whether what waits is written by the thread that put it.
    pub(super) fn is_deferred(&self) -> bool {
        matches!(self, Self::Open { flow: Flow::Deferred, .. })
    }

    /// Whether the socket must be flushed before more is written.
    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Open { flow: Flow::Held, .. } | Self::Ending { flow: Flow::Held, .. })
    }

    /// From now on what waits is written by the thread that put it.
    pub(super) fn defer(&mut self) {
        if let Self::Open { flow, .. } = self {
            *flow = Flow::Deferred;
        }
    }

    /// What waits is written now: events go straight to the socket again.
    pub(super) fn undefer(&mut self) {
        if let Self::Open { flow: flow @ Flow::Deferred, .. } = self {
            *flow = Flow::Direct;
        }
    }

    /// Returns the way to the socket, where there is one.
    pub(super) fn way(&mut self) -> Option<Way<'_>> {
        match self {
            Self::Open { out, flow } | Self::Ending { out, flow } => Some(Way { out: &**out, flow }),
            Self::Opening | Self::Shut => None,
        }
    }
}

impl Way<'_> {
    /// Writes as much as there is room for, without waiting. A broken line takes nothing: the session's task finds that out.
    pub(super) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let Ok(written) = self.out.try_write(slices) else { return 0 };
        self.flush_behind(&mut TaskContext::from_waker(Waker::noop()));
        written
    }

    /// Writes for the session's task.
    pub(super) fn poll_write(&mut self, cx: &mut TaskContext<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = self.out.poll_write(cx, slices);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.flush_behind(cx);
        }
        written
    }

    /// Flushes what the socket holds, if anything.
    pub(super) fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if *self.flow != Flow::Held {
            return Poll::Ready(Ok(()));
        }
        let flushed = self.out.poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            *self.flow = Flow::Direct;
        }
        flushed
    }

    /// Flushes behind a write; a failure is seen before anything more is written.
    fn flush_behind(&mut self, cx: &mut TaskContext<'_>) {
        if !matches!(self.out.poll_flush(cx), Poll::Ready(Ok(()))) {
            *self.flow = Flow::Held;
        }
    }
}
