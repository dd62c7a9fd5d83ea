//! One socket: the slot that it takes, the phase that it is in, and the deadline of that phase.
//!
//! hyper's own time-out for heads cuts idle connections as well and answers nothing; so the phases are followed here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::Node;
use crate::http::error::ApiError;
use crate::http::outgoing::Outgoing;
use crate::http::{Door, ops, routes};

/// How large the head of a request can be: a token of 8 KiB, its neighbours, and as much again.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Of the connections, one in so many is kept for requests, so that sessions never shut a provider out.
const KEPT_FOR_REQUESTS: usize = 10;
/// How long what a client still sends is read after our last answer.
const LINGER: Duration = Duration::from_secs(2);
/// A request is being answered: its body has a time-out of its own, and its waits have theirs.
const BUSY_MAX: Duration = Duration::from_secs(3600);

/// The connections that a node has room for.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    counts: Arc<Counts>,
    open: Gauge,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    sessions: AtomicUsize,
}

/// Room for one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Counts>,
    open: Gauge,
}

/// Room for one session; given back when dropped.
#[derive(Debug)]
pub(crate) struct SessionSlot {
    counts: Arc<Counts>,
}

impl Slots {
    /// Room for `max` connections; 0: no limit.
    pub(crate) fn new(max: usize, open: Gauge) -> Self {
        let max = if max == 0 { usize::MAX } else { max };
        Self { max, counts: Arc::default(), open }
    }

    pub(super) fn take(&self) -> Option<Slot> {
        take_below(&self.counts.connections, self.max)?;
        self.open.inc();
        Some(Slot { counts: self.counts.clone(), open: self.open.clone() })
    }

    pub(super) fn take_session(&self) -> Option<SessionSlot> {
        take_below(&self.counts.sessions, self.max - self.max / KEPT_FOR_REQUESTS)?;
        Some(SessionSlot { counts: self.counts.clone() })
    }
}

fn take_below(count: &AtomicUsize, max: usize) -> Option<()> {
    let taken = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < max).then_some(count + 1));
    taken.ok().map(|_before| ())
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.connections.fetch_sub(1, Ordering::AcqRel);
        self.open.dec();
    }
}

impl Drop for SessionSlot {
    fn drop(&mut self) {
        self.counts.sessions.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Was accepted and has said nothing yet.
    Fresh,
    /// Waits for another request.
    Idle,
    /// Has begun to read a request's head.
    Head,
    /// Answers a request.
    Busy,
    /// Has become a session, which the socket belongs to.
    Upgraded,
}

#[derive(Debug)]
struct Progress {
    // Guards phase and time stamp; touched by the connection's own task only.
    state: Mutex<(Phase, Instant)>,
}

impl Progress {
    fn get(&self) -> (Phase, Instant) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (phase, Instant::now());
    }
}

/// The two directions of a socket, shared by the HTTP connection and the one who watches its deadlines; later a session's.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    inner: Arc<StreamInner>,
}

#[derive(Debug)]
struct StreamInner {
    socket: TcpStream,
    progress: Progress,
    _slot: Slot,
}

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    peer: SocketAddr,
    door: Door,
    node: Arc<Node>,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, slot: Slot, peer: SocketAddr, door: Door, node: Arc<Node>) -> Self {
        let progress = Progress { state: Mutex::new((Phase::Fresh, Instant::now())) };
        Self { stream: Stream { inner: Arc::new(StreamInner { socket, progress, _slot: slot }) }, peer, door, node }
    }

    /// Serves requests until the client or a deadline ends the connection; after `stop`, until the answer that is due.
    pub(super) async fn serve(self, stop: CancellationToken) {
        let service = service_fn(|request| self.answer(request));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let http = builder.serve_connection(TokioIo::new(self.stream.clone()), service).with_upgrades();
        let mut http = pin!(http);
        let mut overdue = pin!(self.overdue());
        let mut stopping = false;
        loop {
            // Cancel safety: `http` keeps its state; the deadline is reckoned anew from the phase.
            tokio::select! {
                biased;
                ended = http.as_mut() => {
                    log_end(ended);
                    return Box::pin(self.linger()).await;
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    http.as_mut().graceful_shutdown();
                }
                phase = overdue.as_mut() => return self.give_up(phase),
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Outgoing>, Infallible> {
        self.stream.inner.progress.enter(Phase::Busy);
        let response = match self.door {
            Door::Api => routes::answer(&self.node, self.peer.ip(), request).await.map(Outgoing::Left),
            Door::Operators => ops::answer(&self.node, request).await,
        };
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        // What is read from disk takes its time, and the connection ends with it.
        if matches!(response.body(), Outgoing::Left(_)) {
            self.stream.inner.progress.enter(if is_upgrade { Phase::Upgraded } else { Phase::Idle });
        }
        Ok(response)
    }

    /// Waits until the connection has been in one phase for too long. Moves its timer seldom: it may fire early and look again.
    async fn overdue(&self) -> Phase {
        let mut timer = pin!(sleep_until(self.deadline().1));
        poll_fn(|cx| {
            loop {
                let (phase, deadline) = self.deadline();
                if deadline < timer.deadline() {
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(cx));
                if deadline <= timer.deadline() {
                    return Poll::Ready(phase);
                }
                timer.as_mut().reset(deadline);
            }
        })
        .await
    }

    fn deadline(&self) -> (Phase, Instant) {
        let limits = &self.node.config.limits;
        let (phase, since) = self.stream.inner.progress.get();
        let patience = match phase {
            Phase::Fresh | Phase::Head => limits.head_timeout,
            Phase::Idle => limits.idle_timeout,
            Phase::Busy | Phase::Upgraded => BUSY_MAX,
        };
        (phase, since + patience)
    }

    /// Reads what the client still sends, so that the reset that unread bytes cause does not overtake our answer (RFC 9112 §9.6).
    async fn linger(&self) {
        if self.stream.inner.progress.get().0 != Phase::Upgraded {
            let mut stream = self.stream.clone();
            let ended = timeout(LINGER, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
            tracing::trace!(?ended, "connection ended");
        }
    }

    /// Ends a connection that took too long. Who was in the middle of a head is told why; who said nothing is not.
    fn give_up(&self, phase: Phase) {
        tracing::debug!(peer = %self.peer, ?phase, "connection took too long");
        if phase == Phase::Head {
            let error = ApiError::Timeout("the head of the request");
            error.count(&self.node);
            // Nothing was written in this phase, so the kernel's buffer has room.
            drop(self.stream.inner.socket.try_write(&error.into_raw(&self.node)));
        }
    }
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

impl Stream {
    /// Makes the connection end without lingering: what is unsent is dropped.
    pub(super) fn reset(&self) {
        if let Err(error) = self.inner.socket.set_zero_linger() {
            tracing::debug!(%error, "cannot reset a connection");
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.inner.socket.poll_read_ready(cx))?;
            match self.inner.socket.try_read_buf(buf) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if matches!(self.inner.progress.get().0, Phase::Fresh | Phase::Idle) && !buf.filled().is_empty() {
            self.inner.progress.enter(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        poll_written(&self.inner.socket, cx, |socket| socket.try_write(buf))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        poll_written(&self.inner.socket, cx, |socket| socket.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match socket2::SockRef::from(&self.inner.socket).shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Poll::Ready(Err(error)),
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }
}

fn poll_written(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    write: impl Fn(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        match write(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}
