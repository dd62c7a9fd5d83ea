//! The WebSocket beneath a session: how it is read, refused and closed.

use std::cell::RefCell;
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::poll_fn;
use protocol::close::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::codec::{Decoder, Fault, HEAD_BYTES_MAX, MESSAGE_BYTES_MAX, Message, close_frame};
use crate::registry::Registry;

/// What is read at once: the rest of the largest frame, and more behind it.
const SCRATCH_BYTES: usize = 2 * (MESSAGE_BYTES_MAX + HEAD_BYTES_MAX);

thread_local! {
    /// What all sessions of a thread read into, so that an idle one keeps no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// A client's socket, in both directions.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Its way out, for all who have something for the client.
    fn way_out(&self) -> Arc<dyn WayOut>;

    /// Makes it end without lingering: what is unsent is dropped.
    fn reset(&self);
}

/// What a socket takes.
pub trait WayOut: Debug + Send + Sync {
    /// Writes as much of these as there is room for; for who does not wait where there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where there is no room, else why the line is broken.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// The same, for the one who waits: woken when there is room again.
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Brings out what was taken and is still held: with TLS there can be such, a socket holds on to nothing.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The way in from one client.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    io: S,
    decoder: Decoder,
    /// What came and was not taken yet: the begin of a frame, or what stood behind a message that ended the session.
    rest: Vec<u8>,
    /// There is something in `rest` that nobody has looked at.
    is_fresh: bool,
    /// The client broke the protocol: what follows has no meaning.
    is_broken: bool,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Reads from `io`, after what the client sent behind its request.
    pub(crate) fn new(io: S, early: &[u8]) -> Self {
        Self { io, decoder: Decoder::default(), rest: early.to_vec(), is_fresh: !early.is_empty(), is_broken: false }
    }

    pub(crate) fn io(&self) -> &S {
        &self.io
    }

    /// Reads what is there, and gives `hear` every message that is whole. The end of the line is an error.
    ///
    /// Cancel safety: what was read is heard or kept before this returns.
    pub(crate) fn poll_read<E: From<Fault> + From<io::Error>>(
        &mut self,
        cx: &mut Context<'_>,
        mut hear: impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Poll<Result<(), E>> {
        SCRATCH.with_borrow_mut(|scratch| {
            // What the client sent behind its request can be more than fits.
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

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// Completes an upgrade only to say why it is refused: scripts in a browser see no status.
pub async fn refuse<S: Socket>(mut io: S, early: &[u8], registry: &Registry, code: CloseCode) {
    let patience = registry.config().close_timeout;
    let said = timeout(patience, async {
        io.write_all(&close_frame(code)).await?;
        io.flush().await
    });
    let said = said.await;
    let mut reader = Reader::new(io, early);
    if !matches!(said, Ok(Ok(()))) || !timeout(patience, reader.part(false)).await.unwrap_or(false) {
        reader.io().reset();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    /// Hears the client out, unless it has closed already or cannot be understood, then ends our side; gives whether the client ended
    /// its own. What it still sends is read to its end: a socket that is closed with unread bytes resets the connection, and the reset
    /// can overtake the close frame.
    pub(crate) async fn part(&mut self, has_closed: bool) -> bool {
        if !has_closed && !self.is_broken {
            hear_out(self).await;
        }
        let is_shut = self.io.shutdown().await.is_ok();
        is_shut && is_end(tokio::io::copy(&mut self.io, &mut tokio::io::sink()).await)
    }
}

/// Whether it was read to its end. With TLS many end the connection without saying so; what mattered was said before.
fn is_end(read: io::Result<u64>) -> bool {
    read.map_or_else(|error| error.kind() == io::ErrorKind::UnexpectedEof, |_| true)
}

/// The client has closed, or nothing more can be understood.
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

/// Reads on until the client has closed its side.
async fn hear_out<S: AsyncRead + Unpin>(reader: &mut Reader<S>) {
    let until_closed = |message: Message<'_>| if matches!(message, Message::Close(_)) { Err(HeardOut) } else { Ok(()) };
    while poll_fn(|cx| reader.poll_read(cx, until_closed)).await.is_ok() {}
}

#[cfg(test)]
mod tests;
