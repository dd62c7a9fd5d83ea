//! What was read of a connection and is not answered yet.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::net::stream::Stream;

/// A request that needs more room is not plain.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;
/// How many buffers a thread keeps for the next requests.
const BUFFERS_KEPT: usize = 8;
/// How long the rest of a request is waited for: many clients send the body in a packet of its own.
const REST_PATIENCE: Duration = Duration::from_secs(1);
/// In how many pieces a request can come; each has it looked at from its beginning.
const PIECES_MAX: u32 = 8;

thread_local! {
    static BUFFERS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Room for requests; given to others of the same thread when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    answered: usize,
    filled: usize,
    /// In how many pieces what is not answered has come, and until when the rest of it is waited for.
    pieces: u32,
    until: Option<Instant>,
}

impl Buffer {
    pub(super) fn new() -> Self {
        let kept = BUFFERS.with_borrow_mut(Vec::pop);
        Self { bytes: kept.unwrap_or_else(|| vec![0; BUFFER_BYTES].into()), answered: 0, filled: 0, pieces: 1, until: None }
    }

    pub(super) fn unanswered(&self) -> &[u8] {
        self.bytes.get(self.answered..self.filled).unwrap_or_default()
    }

    /// Reads what comes, and returns how much that is. 0: nothing more will come, or there is no room for it.
    pub(super) fn poll_fill(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.bytes.get_mut(self.filled..).unwrap_or_default());
        if room.remaining() == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.filled += count;
        Poll::Ready(Ok(count))
    }

    /// So much was answered.
    pub(super) fn answer(&mut self, bytes: usize) {
        self.answered += bytes;
        (self.pieces, self.until) = (1, None);
    }

    /// Returns itself if there is something that is not answered yet; else the room serves others.
    pub(super) fn rest(self) -> Option<Self> {
        Some(self).filter(|buffer| !buffer.unanswered().is_empty())
    }

    /// Waits a moment for more, and returns whether it came.
    pub(super) async fn more_came(&mut self, stream: &mut Stream) -> bool {
        self.bytes.copy_within(self.answered..self.filled, 0);
        (self.answered, self.filled) = (0, self.filled - self.answered);
        self.pieces += 1;
        let until = *self.until.get_or_insert_with(|| Instant::now() + REST_PATIENCE);
        let has_few_pieces = self.pieces <= PIECES_MAX;
        has_few_pieces && matches!(timeout_at(until, poll_fn(|cx| self.poll_fill(stream, cx))).await, Ok(Ok(1..)))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        BUFFERS.with_borrow_mut(|kept| {
            if kept.len() < BUFFERS_KEPT {
                kept.push(std::mem::take(&mut self.bytes));
            }
        });
    }
}
