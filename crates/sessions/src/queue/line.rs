//! The way out of a queue: what the socket takes at once, and what it took and still holds.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, Waker};

use tokio::io::AsyncWrite;

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
        let Some(line) = self.line.as_mut().filter(|_| !waits) else { return 0 };
        let cx = &mut TaskContext::from_waker(Waker::noop());
        match Pin::new(&mut *line).poll_write(cx, frame) {
            Poll::Ready(Ok(written)) => {
                self.unflushed = !matches!(Pin::new(line).poll_flush(cx), Poll::Ready(Ok(())));
                written
            }
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        let Some(line) = self.line.as_mut().filter(|_| self.unflushed) else { return Poll::Ready(Ok(())) };
        let flushed = Pin::new(line).poll_flush(cx);
        self.unflushed = !matches!(flushed, Poll::Ready(Ok(())));
        flushed
    }

    pub(super) fn poll_write(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<usize>> {
        let Some(line) = &mut self.line else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let mut begun = self.begun;
        let mut frames =
            self.frames.iter().map(|waiting| waiting.item.wire().get(std::mem::take(&mut begun)..).unwrap_or_default());
        let written = if frames.len() == 1 {
            // Cheaper by the kernel's look at a list.
            Pin::new(line).poll_write(cx, frames.next().unwrap_or_default())
        } else {
            let mut slices = [IoSlice::new(&[]); FRAMES_AT_ONCE];
            let count = slices.iter_mut().zip(frames).map(|(slice, frame)| *slice = IoSlice::new(frame)).count();
            Pin::new(line).poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
        };
        if matches!(written, Poll::Ready(Ok(_))) {
            self.unflushed = true;
            // What comes of it is seen before anything more is written.
            let _seen_later = self.poll_flush(cx);
        }
        written
    }
}
