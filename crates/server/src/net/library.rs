//! Requests that the HTTP library reads: all that are not frequent, and HTTP/2.

use std::convert::Infallible;
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};

use clock::Moment;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use sessions::session::Upgraded;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::answer::ends_connection;
use super::connection::Connection;
use super::headers::Headers;
use super::outgoing::Outgoing;
use super::request::{self, Body, Head, HeadParts, check_length};
use super::service::{Answer, REQUEST_ID, Service};
use super::stream::{LINGER, Phase, Stream};
use crate::memo::{Memo, is_same};
use crate::node::Node;

/// How large the head of a request can be: a token of 8 KiB, its neighbours, and as much again.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The same over HTTP/2, where it is counted with 32 bytes for each header (RFC 9113 §6.5.2).
const HEAD_BYTES_MAX_H2: u32 = 32 * 1024;
/// How many requests an HTTP/2 connection can have at once.
const STREAMS_MAX: u32 = 100;
/// How much of each answer can wait for an HTTP/2 client.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// How much of a body that nobody asked for is read to keep a connection.
const UNREAD_BYTES_MAX: usize = 64 * 1024;

/// What a connection knows of the request before: its head, and what that said.
#[derive(Debug, Default)]
pub(super) struct Before {
    head: Option<Box<(Method, Uri, HeaderMap)>>,
    memo: Memo,
}

impl Before {
    /// Says of the next request whether its head is the one that the memo learned from.
    fn begin(&mut self, parts: &Parts, now: Moment) {
        let is_known = |(method, uri, headers): &(Method, Uri, HeaderMap)| {
            *method == parts.method && *uri == parts.uri && is_equal(headers, &parts.headers)
        };
        let is_same = self.memo.holds(now.wall) && self.head.as_deref().is_some_and(is_known);
        self.memo.begin(is_same);
    }

    /// Keeps the head, where the memo learned from it.
    fn end(&mut self, parts: Parts) {
        if self.memo.is_new() {
            self.head = Some(Box::new((parts.method, parts.uri, parts.headers)));
        }
    }
}

/// Whether two heads have the same headers in the same order, but for the length. Looks at all of both, so that the time that it takes
/// does not tell how much of a token was guessed.
fn is_equal(one: &HeaderMap, other: &HeaderMap) -> bool {
    let lasting = |headers: &HeaderMap| headers.len() - usize::from(headers.contains_key(CONTENT_LENGTH));
    let lines = |headers| HeaderMap::iter(headers).filter(|(name, _)| *name != CONTENT_LENGTH);
    lasting(one) == lasting(other)
        && lines(one).zip(lines(other)).fold(true, |is_equal, ((name, value), (other_name, other_value))| {
            is_equal & (name == other_name) & is_same(value.as_bytes(), other_value.as_bytes())
        })
}

impl<S: Service> Connection<S> {
    /// Answers requests over HTTP/1.1, whatever they are.
    pub(super) async fn answer_others(&self) {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX);
        let service = service_fn(|request| self.answer_one(request));
        let http = builder.serve_connection(TokioIo::new(self.stream.clone()), service).with_upgrades();
        log_end(self.until_stopped(pin!(http), http1::UpgradeableConnection::graceful_shutdown).await);
    }

    /// Serves requests over HTTP/2, several at once, until the client or a deadline ends the connection.
    pub(super) async fn serve_h2(self) {
        let connection = Arc::new(self);
        let mut builder = http2::Builder::new(Streams(connection.node.clone()));
        builder.max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_BYTES_MAX_H2).max_send_buf_size(SEND_BYTES_MAX);
        let answering = connection.clone();
        let service = service_fn(move |request| answering.clone().answer_among_others(request));
        let mut http = pin!(builder.serve_connection(TokioIo::new(connection.stream.clone()), service));
        let requests = async { log_end(connection.until_stopped(http.as_mut(), http2::Connection::graceful_shutdown).await) };
        if connection.watched().drive(pin!(requests)).await.is_some() {
            http.as_mut().graceful_shutdown();
            log_end(timeout(LINGER, http).await.unwrap_or(Ok(())));
            connection.stream.try_end(&[]);
        }
        connection.linger().await;
    }

    /// Has the library finish once the node stops.
    async fn until_stopped<C: Future>(&self, mut http: Pin<&mut C>, finish: impl Fn(Pin<&mut C>)) -> C::Output {
        // Cancel safety: both only wait. The library first: what was read and given back is a request that it does not know of yet.
        tokio::select! {
            biased;
            ended = http.as_mut() => return ended,
            () = self.stop.cancelled() => finish(http.as_mut()),
        }
        http.await
    }

    /// Answers the one request that a connection over HTTP/1.1 has at a time.
    async fn answer_one(&self, request: Request<Incoming>) -> Result<Response<Outgoing>, Infallible> {
        self.stream.enter(Phase::Busy);
        let mut before = std::mem::take(&mut *self.before.lock().unwrap_or_else(PoisonError::into_inner));
        let response = self.respond(request, &mut before).await;
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = before;
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        // What is read from disk takes its time, and the connection ends with it.
        if matches!(response.body(), Outgoing::Whole(_)) {
            self.stream.enter(if is_upgrade { Phase::Upgraded } else { Phase::Idle });
        }
        Ok(response)
    }

    /// Answers one of several requests.
    async fn answer_among_others(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<Outgoing>, Infallible> {
        let _at_request = self.stream.begin_request();
        // RFC 9113 §8.3.1: the authority stands for the host.
        let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        if let Some(authority) = authority {
            request.headers_mut().insert(HOST, authority);
        }
        let mut response = self.respond(request, &mut Before::default()).await;
        // RFC 9113 §8.2.2: what concerns one connection has no place here.
        [CONNECTION, UPGRADE].iter().for_each(|name| drop(response.headers_mut().remove(name)));
        Ok(response)
    }

    async fn respond(&self, request: Request<Incoming>, before: &mut Before) -> Response<Outgoing> {
        let (mut parts, mut body) = request.into_parts();
        let taken = self.node.clock.moment();
        before.begin(&parts, taken);
        let head = HeadParts {
            method: &parts.method,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: Headers::Map(&parts.headers),
            peer: self.peer.ip(),
            taken,
        };
        let request = request::Request { head: Head(&head), body: Body::Coming(&mut body), memo: &mut before.memo };
        let Answer { mut response, id, upgrade } = self.service.answer(request).await;
        if let Some(upgrade) = upgrade
            && let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>()
        {
            upgrade(Box::pin(upgraded(on_upgrade)));
        }
        if parts.version != Version::HTTP_2 {
            self.finish_body(&parts.headers, &mut body, &mut response).await;
        }
        before.end(parts);
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }

    /// Reads what nobody read of a request's body, so that the connection is good for the next one. What is not small, or waits for
    /// our word, is not read: then the answer says that the connection ends with it (RFC 9112 §9.6).
    async fn finish_body(&self, headers: &HeaderMap, body: &mut Incoming, response: &mut Response<Outgoing>) {
        // What is done has read its body, though of one in chunks that cannot be seen.
        let is_done = response.status().is_success();
        if ends_connection(response) || response.status() == StatusCode::SWITCHING_PROTOCOLS || body.is_end_stream() {
            return;
        }
        let waits = !is_done && headers.contains_key(EXPECT);
        let is_small = check_length(Headers::Map(headers), UNREAD_BYTES_MAX).is_ok();
        let patience = self.node.config.limits.body_timeout;
        if waits || !is_small || request::read(body, UNREAD_BYTES_MAX, patience).await.is_err() {
            response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// The socket, and what the client sent behind its request.
async fn upgraded(upgrade: OnUpgrade) -> Option<Upgraded<Stream>> {
    let upgraded = upgrade.await.inspect_err(|error| tracing::debug!(%error, "the client went before its session began")).ok()?;
    let parts = upgraded.downcast::<TokioIo<Stream>>().ok()?;
    Some(Upgraded { io: parts.io.into_inner(), early: parts.read_buf, head: None })
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
        tracing::debug!(error = &error as &dyn Error, "connection ended");
    }
}
