//! The way out of a queue: what the socket takes at once, and what it took and still holds.

use std::io::{self, IoSlice};
use std::task::{Context as TaskContext, Poll, Waker};

use smallvec::SmallVec;

use super::{FRAMES_AT_ONCE, Inner};

impl Inner {
    /// Whether there is something to bring out.
    pub(super) fn waits(&self) -> bool {
        self.unflushed || !self.frames.is_empty()
    }

    /// How much of a frame the socket takes without waiting, where nothing waits before it. A line that is broken takes nothing: the
    /// session's task finds that out.
    pub(super) fn try_write(&mut self, frame: &[u8]) -> usize {
        let waits = self.waits();
        let Some(line) = self.line.as_ref().filter(|_| !waits) else { return 0 };
        let Ok(written) = line.try_write(&[IoSlice::new(frame)]) else { return 0 };
        self.flush_behind(&mut TaskContext::from_waker(Waker::noop()));
        written
    }

    /// How much of what waits the socket takes without waiting; as [`Inner::try_write`].
    pub(super) fn try_write_waiting(&mut self) -> usize {
        let Some(Ok(written)) = self.line.as_ref().map(|line| line.try_write(&self.slices())) else { return 0 };
        self.flush_behind(&mut TaskContext::from_waker(Waker::noop()));
        written
    }

    /// Writes what waits, for the session's task.
    pub(super) fn poll_write(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<usize>> {
        let Some(line) = &self.line else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let written = line.poll_write(cx, &self.slices());
        if matches!(written, Poll::Ready(Ok(_))) {
            self.flush_behind(cx);
        }
        written
    }

    pub(super) fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let Some(line) = self.line.as_ref().filter(|_| self.unflushed) else { return Poll::Ready(Ok(())) };
        let flushed = line.poll_flush(cx);
        self.unflushed = !matches!(flushed, Poll::Ready(Ok(())));
        flushed
    }

    /// Flushes behind a write.
    fn flush_behind(&mut self, cx: &mut TaskContext<'_>) {
        self.unflushed = true;
        // What comes of it is seen before anything more is written.
        let _seen_later = self.poll_flush(cx);
    }

    /// The next frames, as far as they are not out.
    fn slices(&self) -> SmallVec<[IoSlice<'_>; FRAMES_AT_ONCE]> {
        let mut begun = self.begun;
        let frames = self.frames.iter().take(FRAMES_AT_ONCE).map(|waiting| waiting.item.wire());
        frames.map(|frame| IoSlice::new(frame.get(std::mem::take(&mut begun)..).unwrap_or_default())).collect()
    }
}
