//! A client's socket, read into messages, and parted from without losing the last word.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::ws::codec::{Decoder, Fault, HEAD_BYTES_MAX, MESSAGE_BYTES_MAX, Message};

/// How much is read at once: the rest of the largest frame, and the same again.
const SCRATCH_BYTES: usize = 2 * (MESSAGE_BYTES_MAX + HEAD_BYTES_MAX);

thread_local! {
    /// The buffer that all sessions of a thread read into, so that an idle one needs none.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Reads one client's messages.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    io: S,
    decoder: Decoder,
    /// What was read and is not decoded yet: the beginning of a frame, or what followed a message that ended the session.
    rest: Vec<u8>,
    /// `rest` has bytes that the decoder has not seen.
    is_fresh: bool,
    /// The client broke the protocol: what follows cannot be understood.
    is_broken: bool,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Reads from `io`; `early` is what the client sent right after its request.
    pub(crate) fn new(io: S, early: &[u8]) -> Self {
        Self { io, decoder: Decoder::default(), rest: early.to_vec(), is_fresh: !early.is_empty(), is_broken: false }
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    /// Reads what is there, and calls `hear` with every message that is whole.
    ///
    /// # Errors
    /// What `hear` says, a fault of the client's, or the end of the connection.
    ///
    /// # Cancel safety
    /// What was read is heard or kept before this returns.
    pub(crate) fn poll_read<E: From<Fault> + From<io::Error>>(
        &mut self,
        cx: &mut Context<'_>,
        mut hear: impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Poll<Result<(), E>> {
        SCRATCH.with_borrow_mut(|scratch| {
            // What the client sent right after its request can be more than fits.
            let unread = self.rest.split_off(self.rest.len().min(scratch.len()));
            let mut buffer = ReadBuf::new(scratch);
            buffer.put_slice(&self.rest);
            if !std::mem::take(&mut self.is_fresh) {
                ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
                if buffer.filled().len() == self.rest.len() {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
                }
            }
            let mut input = buffer.filled_mut();
            let heard = loop {
                match self.decoder.next(&mut input) {
                    Ok(Some(message)) => match hear(message) {
                        Ok(()) => {}
                        Err(end) => break Err(end),
                    },
                    Ok(None) => break Ok(()),
                    Err(fault) => {
                        self.is_broken = true;
                        break Err(fault.into());
                    }
                }
            };
            self.rest = [&*input, unread.as_slice()].concat();
            self.is_fresh = !self.rest.is_empty() && (heard.is_err() || !unread.is_empty());
            Poll::Ready(heard)
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    /// Waits for the client's close, unless it `has_closed` or cannot be understood, then shuts our side down. Returns whether
    /// the client shut down its own.
    ///
    /// What it still sends is read to its end: a socket that is closed with unread bytes resets the connection, and the reset can
    /// overtake the close frame.
    pub(crate) async fn part(&mut self, has_closed: bool) -> bool {
        if !has_closed && !self.is_broken {
            hear_out(self).await;
        }
        let is_shut = self.io.shutdown().await.is_ok();
        is_shut && is_end(tokio::io::copy(&mut self.io, &mut tokio::io::sink()).await)
    }
}

/// Whether it was read to its end. With TLS many clients end the connection without a close_notify; what mattered was said
/// before.
fn is_end(read: io::Result<u64>) -> bool {
    read.map_or_else(|error| error.kind() == io::ErrorKind::UnexpectedEof, |_| true)
}

/// The client has closed, or cannot be understood.
struct HeardOut;

impl From<Fault> for HeardOut {
    fn from(_: Fault) -> Self {
        Self
    }
}

impl From<io::Error> for HeardOut {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Reads until the client has closed its side.
async fn hear_out<S: AsyncRead + Unpin>(reader: &mut Reader<S>) {
    let until_closed = |message: Message<'_>| if matches!(message, Message::Close(_)) { Err(HeardOut) } else { Ok(()) };
    while poll_fn(|cx| reader.poll_read(cx, until_closed)).await.is_ok() {}
}

#[cfg(test)]
mod tests;
