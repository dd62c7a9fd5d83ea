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
        let cx = &mut TaskContext::from_waker(Waker::noop());
        match line.poll_write(cx, &[IoSlice::new(frame)]) {
            Poll::Ready(Ok(written)) => {
                self.unflushed = !matches!(line.poll_flush(cx), Poll::Ready(Ok(())));
                written
            }
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let Some(line) = self.line.as_ref().filter(|_| self.unflushed) else { return Poll::Ready(Ok(())) };
        let flushed = line.poll_flush(cx);
        self.unflushed = !matches!(flushed, Poll::Ready(Ok(())));
        flushed
    }

    pub(super) fn poll_write(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<usize>> {
        let Some(line) = &self.line else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let mut begun = self.begun;
        let frames = self.frames.iter().take(FRAMES_AT_ONCE).map(|waiting| waiting.item.wire());
        let left = frames.map(|frame| IoSlice::new(frame.get(std::mem::take(&mut begun)..).unwrap_or_default()));
        let written = line.poll_write(cx, &left.collect::<SmallVec<[_; FRAMES_AT_ONCE]>>());
        if matches!(written, Poll::Ready(Ok(_))) {
            self.unflushed = true;
            // What comes of it is seen before anything more is written.
            let _seen_later = self.poll_flush(cx);
        }
        written
    }
}
