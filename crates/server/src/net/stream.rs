//! The two directions of a socket, plain or with TLS, and the phase that its connection is in.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use sessions::outbox::way_out::WayOut;
use sessions::session::socket::Socket;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::tls::TlsLine;
use crate::slots::Slot;

/// How long what a client still sends is read after our last answer.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Was accepted and has said nothing yet.
    Fresh,
    /// Waits for another request.
    Idle,
    /// Waits for other requests over HTTP/2, where what is read can be anything.
    Open,
    /// Has begun to read a request's head.
    Head,
    /// Answers a request.
    Busy,
    /// Has become a session, which the socket belongs to.
    Upgraded,
}

#[derive(Debug)]
struct Progress {
    phase: Phase,
    /// Since when, as far as somebody has asked since: most phases are over before anybody does.
    since: Option<Instant>,
    /// How many requests are being answered, where there can be several.
    requests: u32,
    /// What a connection that waits is in once something came: [`Phase::Head`], or with HTTP/2 [`Phase::Open`].
    begun: Phase,
    /// What is to be read again; boxed, as few connections have it.
    #[expect(clippy::box_collection, reason = "a third of the size, in each session")]
    unread: Option<Box<Vec<u8>>>,
}

/// The two directions of a socket, shared by the HTTP connection and the one who watches its deadlines; later a session's.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    inner: Arc<StreamInner>,
}

#[derive(Debug)]
struct StreamInner {
    socket: TcpStream,
    tls: Option<Box<TlsLine>>,
    // Touched by the connection's own tasks only.
    progress: Mutex<Progress>,
    _slot: Slot,
}

impl Stream {
    pub(super) fn new(socket: TcpStream, tls: Option<Box<TlsLine>>, begun: Phase, slot: Slot) -> Self {
        let progress = Progress { phase: Phase::Fresh, since: None, requests: 0, begun, unread: None };
        Self { inner: Arc::new(StreamInner { socket, tls, progress: Mutex::new(progress), _slot: slot }) }
    }

    pub(super) fn phase(&self) -> Phase {
        self.progress().phase
    }

    /// When somebody first asked this in the phase that it is in.
    pub(super) fn since(&self) -> Instant {
        *self.progress().since.get_or_insert_with(Instant::now)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.progress().enter(phase);
    }

    /// One of several requests is being answered, until what this gives is dropped.
    pub(super) fn begin_request(&self) -> AtRequest {
        let mut progress = self.progress();
        progress.requests += 1;
        progress.enter(Phase::Busy);
        AtRequest(self.clone())
    }

    /// Ends our side, after a last word; as far as the kernel takes it at once.
    pub(super) fn try_end(&self, word: &[u8]) {
        let (mut stream, cx) = (self.clone(), &mut Context::from_waker(Waker::noop()));
        let written = (!word.is_empty()).then(|| Pin::new(&mut stream).poll_write(cx, word));
        let ended = Pin::new(&mut stream).poll_shutdown(cx);
        tracing::trace!(?written, ?ended, "a last word");
    }

    /// Gives back what was read, for who reads next.
    pub(super) fn unread(&self, bytes: Vec<u8>) {
        self.progress().unread = Some(Box::new(bytes));
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, None);
    }

    fn read_again(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(mut unread) = self.unread.take() else { return false };
        let count = unread.len().min(buf.remaining());
        buf.put_slice(unread.drain(..count).as_slice());
        self.unread = Some(unread).filter(|unread| !unread.is_empty());
        self.begin();
        count > 0
    }

    /// Something came.
    fn begin(&mut self) {
        if matches!(self.phase, Phase::Fresh | Phase::Idle) {
            self.enter(self.begun);
        }
    }
}

/// A request among several that is being answered.
#[derive(Debug)]
pub(super) struct AtRequest(Stream);

impl Drop for AtRequest {
    fn drop(&mut self) {
        let mut progress = self.0.progress();
        progress.requests -= 1;
        if progress.requests == 0 {
            progress.enter(Phase::Open);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let StreamInner { socket, tls, .. } = &*self.inner;
        if self.progress().read_again(buf) {
            return Poll::Ready(Ok(()));
        }
        match tls {
            Some(tls) => ready!(tls.poll_read(socket, cx, buf))?,
            None => ready!(poll_filled(socket, cx, buf))?,
        }
        if !buf.filled().is_empty() {
            self.progress().begin();
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket for Stream {
    fn way_out(&self) -> Arc<dyn WayOut> {
        self.inner.clone()
    }

    fn reset(&self) {
        if let Err(error) = self.inner.socket.set_zero_linger() {
            tracing::debug!(%error, "cannot reset a connection");
        }
    }
}

impl WayOut for StreamInner {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (&self.tls, slices) {
            (Some(tls), _) => match tls.poll_write(&self.socket, &mut Context::from_waker(Waker::noop()), slices) {
                Poll::Ready(written) => written,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            },
            // Past tokio: what it knows of the socket lies in a piece of memory that nothing else here touches. A list of one
            // would cost the kernel a look at it, too.
            (None, [slice]) => SockRef::from(&self.socket).send(slice),
            (None, _) => self.socket.try_write_vectored(slices),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &self.tls {
            Some(tls) => tls.poll_write(&self.socket, cx, slices),
            None => poll_written(&self.socket, cx, slices),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.as_ref().map_or(Poll::Ready(Ok(())), |tls| tls.poll_flush(&self.socket, cx))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let StreamInner { socket, tls, .. } = &*self.inner;
        if let Some(tls) = tls {
            ready!(tls.poll_close(socket, cx))?;
        }
        match SockRef::from(socket).shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }
}

/// Reads for a while what a client still sends.
pub(super) async fn read_out(stream: &mut (impl AsyncRead + Unpin)) {
    let ended = timeout(LINGER, tokio::io::copy(stream, &mut tokio::io::sink())).await;
    tracing::trace!(?ended, "connection ended");
}

fn poll_filled(socket: &TcpStream, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        let room = buf.remaining();
        let mut was_last = false;
        let tried = socket.try_io(Interest::READABLE, || match socket.try_read_buf(buf) {
            // Less than there was room for: there is no more (epoll(7)). Said here, it saves a call that would find that out. Of what
            // comes meanwhile both calls know that it is newer than what they looked at.
            Ok(count) if (1..room).contains(&count) => {
                was_last = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
            read => read,
        });
        match tried {
            Ok(_) => return Poll::Ready(Ok(())),
            Err(_) if was_last => return Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

fn poll_written(socket: &TcpStream, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    loop {
        // Tried first: to ask before is one more look, and beyond tokio's budget every socket would seem full.
        let written = match slices {
            [slice] => socket.try_write(slice),
            slices => socket.try_write_vectored(slices),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_write_ready(cx))?,
            written => return Poll::Ready(written),
        }
    }
}

#[cfg(test)]
mod tests;
