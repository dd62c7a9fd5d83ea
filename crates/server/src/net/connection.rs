//! One socket: the slot that it takes, the phase that it is in, and the deadline of that phase.
//!
//! hyper's own time-out for heads cuts idle connections as well and answers nothing; so the phases are followed here.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::AsyncRead;
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::faults::ApiError;
use crate::api::routes;
use crate::app::Node;
use crate::net::Door;
use crate::net::outgoing::Outgoing;
use crate::net::stream::{Phase, Stream};
use crate::ops;

/// How large the head of a request can be: a token of 8 KiB, its neighbours, and as much again.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The same over HTTP/2, where it is counted with 32 bytes for each header (RFC 9113 §6.5.2).
const HEAD_BYTES_MAX_H2: u32 = 32 * 1024;
/// How many requests an HTTP/2 connection can have at once.
const STREAMS_MAX: u32 = 100;
/// How much of each answer can wait for an HTTP/2 client.
const SEND_BYTES_MAX: usize = 64 * 1024;
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

    pub(crate) fn take_session(&self) -> Option<SessionSlot> {
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

/// One accepted connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    door: Door,
    pub(super) node: Arc<Node>,
    stop: CancellationToken,
}

impl Connection {
    pub(super) fn new(stream: Stream, peer: SocketAddr, door: Door, node: Arc<Node>, stop: CancellationToken) -> Self {
        Self { stream, peer, door, node, stop }
    }

    /// Serves requests over HTTP/1.1 until the client or a deadline ends the connection; after `stop`, until the answer that is due.
    pub(super) async fn serve(self) {
        match self.drive(pin!(self.requests())).await {
            Some(phase) => self.give_up(phase),
            None => Box::pin(self.linger()).await,
        }
    }

    async fn requests(&self) {
        // Spans are made of what the library has read.
        if self.door == Door::Api && self.node.config.telemetry.is_none() {
            match self.answer_usual().await {
                Some(read) => self.stream.unread(read),
                None => return self.half_close(),
            }
        }
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let service = service_fn(|request| self.answer(request));
        let http = builder.serve_connection(TokioIo::new(self.stream.clone()), service).with_upgrades();
        log_end(self.until_stopped(pin!(http), http1::UpgradeableConnection::graceful_shutdown).await);
    }

    /// As [`Connection::serve`], over HTTP/2: several requests at once.
    pub(super) async fn serve_h2(self) {
        let connection = Arc::new(self);
        let mut builder = http2::Builder::new(Streams(connection.node.clone()));
        builder.max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_BYTES_MAX_H2).max_send_buf_size(SEND_BYTES_MAX);
        let answering = connection.clone();
        let service = service_fn(move |request| answering.clone().answer_one(request));
        let mut http = pin!(builder.serve_connection(TokioIo::new(connection.stream.clone()), service));
        let requests = async { log_end(connection.until_stopped(http.as_mut(), http2::Connection::graceful_shutdown).await) };
        if connection.drive(pin!(requests)).await.is_some() {
            http.as_mut().graceful_shutdown();
            log_end(timeout(LINGER, http).await.unwrap_or(Ok(())));
            connection.stream.try_end(&[]);
        }
        connection.linger().await;
    }

    /// Serves until the connection ends, or until a deadline, which gives the phase that lasted too long. Requests see for themselves
    /// that the node stops; here they are woken for it.
    async fn drive(&self, mut requests: Pin<&mut impl Future<Output = ()>>) -> Option<Phase> {
        let (mut stopped, mut timer) = (pin!(self.stop.cancelled()), pin!(sleep(self.node.config.limits.head_timeout)));
        // Whom the shutdown and the timer wake: as long as it is the same task, they need not be asked again.
        let mut woken: Option<Waker> = None;
        poll_fn(|cx| {
            if requests.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            let is_known = woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if !is_known {
                woken = Some(cx.waker().clone());
                if stopped.as_mut().poll(cx).is_ready() {
                    // The requests have perhaps not seen it yet.
                    cx.waker().wake_by_ref();
                }
            }
            self.poll_overdue(timer.as_mut(), cx, is_known).map(Some)
        })
        .await
    }

    /// Says that nothing more comes from us; nothing where the socket is a session's.
    fn half_close(&self) {
        if self.stream.phase() != Phase::Upgraded {
            self.stream.try_end(&[]);
        }
    }

    /// Has the library finish once the node stops.
    async fn until_stopped<C: Future>(&self, mut http: Pin<&mut C>, finish: impl Fn(Pin<&mut C>)) -> C::Output {
        let mut is_told = false;
        poll_fn(|cx| {
            // First: what was read and given back is a request that the library does not know of yet.
            let served = http.as_mut().poll(cx);
            if served.is_ready() || is_told || !self.is_stopping() {
                return served;
            }
            is_told = true;
            finish(http.as_mut());
            http.as_mut().poll(cx)
        })
        .await
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Outgoing>, Infallible> {
        self.stream.enter(Phase::Busy);
        let response = self.respond(request).await;
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        // What is read from disk takes its time, and the connection ends with it.
        if matches!(response.body(), Outgoing::Left(_)) {
            self.stream.enter(if is_upgrade { Phase::Upgraded } else { Phase::Idle });
        }
        Ok(response)
    }

    /// Answers one of several requests.
    async fn answer_one(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<Outgoing>, Infallible> {
        let _at_request = self.stream.begin_request();
        // RFC 9113 §8.3.1: the authority stands for the host.
        let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        if let Some(authority) = authority {
            request.headers_mut().insert(HOST, authority);
        }
        let mut response = self.respond(request).await;
        // RFC 9113 §8.2.2: what concerns one connection has no place here.
        [CONNECTION, UPGRADE].iter().for_each(|name| drop(response.headers_mut().remove(name)));
        Ok(response)
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Outgoing> {
        match self.door {
            Door::Api => {
                let client = self.node.config.proxies.client(self.peer.ip(), request.headers());
                routes::answer(&self.node, client, request).await.map(Outgoing::Left)
            }
            Door::Operators => ops::answer(&self.node, request).await,
        }
    }

    /// Gives the phase that the connection has been in for too long. Each look begins the time of a phase that is new; that of an answer
    /// begins when the timer fires. Moves the timer seldom: it may fire early and look again.
    fn poll_overdue(&self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>, is_known: bool) -> Poll<Phase> {
        let mut is_set = is_known;
        loop {
            let phase = self.stream.phase();
            // Nearly all answers are given sooner than anybody has to know when they were begun.
            if phase == Phase::Busy && is_set && !timer.is_elapsed() {
                return Poll::Pending;
            }
            let deadline = self.deadline(phase);
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            } else if is_set && !timer.is_elapsed() {
                return Poll::Pending;
            }
            // Beyond the budget: a look that was refused would never be made up for.
            ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
            if deadline <= timer.deadline() {
                return Poll::Ready(phase);
            }
            timer.as_mut().reset(deadline);
            is_set = false;
        }
    }

    fn deadline(&self, phase: Phase) -> Instant {
        let limits = &self.node.config.limits;
        let patience = match phase {
            Phase::Fresh | Phase::Head => limits.head_timeout,
            // A client that does not say goodbye over HTTP/2 holds no shutdown up.
            Phase::Open if self.stop.is_cancelled() => LINGER,
            Phase::Idle | Phase::Open => limits.idle_timeout,
            Phase::Busy | Phase::Upgraded => BUSY_MAX,
        };
        self.stream.since() + patience
    }

    /// Reads what the client still sends, so that the reset that unread bytes cause does not overtake our answer (RFC 9112 §9.6).
    async fn linger(&self) {
        if self.stream.phase() != Phase::Upgraded {
            read_out(&mut self.stream.clone()).await;
        }
    }

    /// Ends a connection that took too long. Who was in the middle of a head is told why; who said nothing is not.
    fn give_up(&self, phase: Phase) {
        tracing::debug!(peer = %self.peer, ?phase, "connection took too long");
        let mut word = Bytes::new();
        if phase == Phase::Head {
            let error = ApiError::Timeout("the head of the request");
            error.count(&self.node);
            // Nothing was written in this phase, so the kernel's buffer has room.
            word = error.into_raw(&self.node).into();
        }
        self.stream.try_end(&word);
    }
}

/// Reads for a while what a client still sends.
pub(super) async fn read_out(stream: &mut (impl AsyncRead + Unpin)) {
    let ended = timeout(LINGER, tokio::io::copy(stream, &mut tokio::io::sink())).await;
    tracing::trace!(?ended, "connection ended");
}

/// Runs the requests of a connection as tasks that the shutdown waits for.
#[derive(Debug, Clone)]
struct Streams(Arc<Node>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, request: F) {
        self.0.spawn_connection(request, &Handle::current());
    }
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

#[cfg(test)]
mod tests;
