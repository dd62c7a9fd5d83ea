//! One request over a connection that is kept: resolve, vet, connect to what was vetted, TLS, send, read a little of the answer.
//!
//! Redirects are not followed, nothing is asked to be compressed, and of the answer no more is read than is shown. A request is sent
//! again on a fresh connection only if nothing of it was sent: the kept one had ended.

mod resolve; // names → addresses

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clock::Clock;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, Uri};
use outbound::body;
use outbound::dial::dial;
use outbound::error::{ExchangeStage, OutboundError};
use outbound::exchange::{Case, Connection, Heads, begin};
use outbound::pool::{Pool, PoolLimits, PooledConnection};
use outbound::stream::Stream;
use outbound::trust::{Trust, TrustError};
use tokio_util::task::TaskTracker;

use crate::guard::Guard;
use crate::sender::resolve::Resolver;
use crate::url::{CallbackUrl, Host};
use crate::verdict::{Answer, RESOLVING, Unreachable};

const RESOLVE_LIMIT: Duration = Duration::from_secs(2);
/// For all addresses of a host together.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const TLS_LIMIT: Duration = Duration::from_secs(3);
const BODY_LIMIT: Duration = Duration::from_secs(2);
/// Names in the case of the vendors' documents: receivers exist that do not fold it.
const HEADS: Heads = Heads { bytes_max: 16 * 1024, headers_max: 100, case: Case::Title };
/// Bytes of an answer's body that are read at most; what is longer ends the connection.
const BODY_BYTES_MAX: usize = 16 * 1024;
const IDLE: PoolLimits = PoolLimits { idle_max: Duration::from_secs(90), per_key_max: 64, in_all_max: 1024 };

/// How receivers are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Name servers; the system's where there are none.
    pub name_servers: Vec<SocketAddr>,
    /// A file with certificates (PEM) of authorities that are trusted besides the usual ones.
    pub ca_file: Option<PathBuf>,
}

/// Why receivers cannot be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The file of certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No resolver.
    #[error("the name servers cannot be used: {0}")]
    Resolver(String),
}

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Sender {
    guard: Guard,
    resolver: Resolver,
    trust: Trust,
    unverified: Trust,
    pool: Pool<Place>,
    clock: Clock,
    tasks: TaskTracker,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) url: &'a CallbackUrl,
    /// Whether the receiver's certificate is taken unseen.
    pub(crate) insecure: bool,
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    authority: String,
    port: u16,
    is_tls: bool,
    /// Whether its certificate was taken unseen: such a connection is not for those who want to see it.
    insecure: bool,
}

impl Place {
    fn of(Target { url, insecure }: Target<'_>) -> Self {
        Self { authority: url.authority().to_owned(), port: url.port(), is_tls: url.is_tls(), insecure }
    }
}

/// How long each phase took, in whole microseconds; those of a kept connection are 0.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phases {
    pub(crate) resolve: u64,
    pub(crate) connect: u64,
    pub(crate) tls: u64,
    pub(crate) first_byte: u64,
    pub(crate) body: u64,
}

/// A request and what came back.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) answer: Answer,
    pub(crate) phases: Phases,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) reused: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Exchange {
    /// Of a request that was not sent.
    pub(crate) fn unsent(unreachable: Unreachable) -> Self {
        Self {
            answer: Answer::Unreachable(unreachable),
            phases: Phases::default(),
            peer: None,
            reused: false,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

impl Sender {
    pub(crate) fn new(config: &Config, guard: Guard, clock: Clock, tasks: TaskTracker) -> Result<Self, SenderError> {
        Ok(Self {
            guard,
            resolver: Resolver::new(&config.name_servers)?,
            trust: Trust::authorities(config.ca_file.as_deref())?,
            unverified: Trust::unverified()?,
            pool: Pool::new(IDLE),
            clock,
            tasks,
        })
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Posts `body`.
    ///
    /// Cancel safety: a request that is dropped is broken off, and its connection with it.
    pub(crate) async fn post(&self, target: Target<'_>, headers: HeaderMap, body: Bytes, limit: Duration) -> Exchange {
        let mut exchange = Exchange::unsent(Unreachable::Broken(String::new()));
        let sent = match request(target.url, headers, body) {
            Ok(request) => self.exchange(target, request, limit, &mut exchange).await,
            Err(unreachable) => Err(unreachable),
        };
        if let Err(unreachable) = sent {
            exchange.answer = Answer::Unreachable(unreachable);
        }
        exchange
    }

    async fn exchange(
        &self,
        target: Target<'_>,
        mut request: Request<Full<Bytes>>,
        limit: Duration,
        exchange: &mut Exchange,
    ) -> Result<(), Unreachable> {
        let is_allowed = |peer| self.guard.judge(peer).is_ok();
        loop {
            let place = Place::of(target);
            let mut kept = match self.pool.take(&place, self.clock.running(), is_allowed) {
                Some(kept) => kept,
                // Boxed, since it is seldom needed and would make every attempt's task several times as large.
                None => Box::pin(self.connect(target, place, &mut exchange.phases)).await?,
            };
            (exchange.peer, exchange.reused) = (Some(kept.peer), kept.used);
            let began = Instant::now();
            let answered = kept.connection.send(request, self.clock.wait(limit)).await;
            exchange.phases.first_byte = micros(began);
            match answered {
                Ok(response) => {
                    self.read(kept, response, exchange).await;
                    return Ok(());
                }
                Err(OutboundError::Unsent { request: unsent, .. }) if kept.used => request = *unsent,
                Err(error) => return Err(unreachable(error, limit)),
            }
        }
    }

    /// Reads what is shown of the answer. The status is what counts: a body that does not end changes nothing.
    async fn read(&self, mut kept: PooledConnection<Place>, response: Response<Incoming>, exchange: &mut Exchange) {
        let began = Instant::now();
        let (head, body) = response.into_parts();
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        exchange.answer = Answer::Status { status: head.status.as_u16(), retry_after };
        exchange.headers = head.headers;
        let mut text = BytesMut::new();
        let whole = body::read(body, &mut text, BODY_BYTES_MAX, self.clock.wait(BODY_LIMIT)).await;
        exchange.body = text.freeze();
        exchange.phases.body = micros(began);
        if whole.is_ok() {
            kept.used = true;
            self.pool.put(kept, self.clock.running());
        }
    }

    async fn connect(
        &self,
        target: Target<'_>,
        place: Place,
        phases: &mut Phases,
    ) -> Result<PooledConnection<Place>, Unreachable> {
        let url = target.url;
        let began = Instant::now();
        let addresses = match url.host() {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let timed_out = |_| Unreachable::TimedOut { phase: RESOLVING, limit: RESOLVE_LIMIT };
                self.clock.timeout(RESOLVE_LIMIT, self.resolver.resolve(name)).await.map_err(timed_out)??
            }
        };
        let vetted = self.guard.vet(addresses).map_err(|error| Unreachable::Forbidden(error.to_string()))?;
        phases.resolve = micros(began);
        let began = Instant::now();
        let addresses = vetted.into_iter().map(|address| SocketAddr::new(address, url.port()));
        let dialling = dial(addresses, std::future::pending, self.clock.wait(CONNECT_LIMIT)).await;
        let (stream, peer) = dialling.map_err(|error| unreachable(error, CONNECT_LIMIT))?;
        phases.connect = micros(began);
        let stream = if url.is_tls() {
            let began = Instant::now();
            let trust = if target.insecure { &self.unverified } else { &self.trust };
            let secured = Stream::secure(stream, &certified(url.host()), trust, self.clock.wait(TLS_LIMIT)).await;
            let secured = secured.map_err(|error| unreachable(error, TLS_LIMIT))?;
            phases.tls = micros(began);
            secured
        } else {
            stream.into()
        };
        Ok(PooledConnection::new(self.begin(stream).await?, peer.ip(), place))
    }

    async fn begin(&self, stream: Stream) -> Result<Connection, Unreachable> {
        let (connection, driver) = begin(stream, HEADS).await.map_err(|error| unreachable(error, CONNECT_LIMIT))?;
        self.tasks.spawn(driver);
        Ok(connection)
    }

    /// Ends connections that were idle for long.
    pub(crate) fn sweep(&self) {
        self.pool.sweep(self.clock.running());
    }

    /// Ends all idle connections.
    pub(crate) fn close(&self) {
        self.pool.sweep(Duration::MAX);
    }
}

/// Whom a receiver's certificate must be for.
fn certified(host: &Host) -> Cow<'_, str> {
    match host {
        Host::Name(name) => Cow::Borrowed(name),
        Host::Address(address) => Cow::Owned(address.to_string()),
    }
}

fn request(url: &CallbackUrl, headers: HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, Unreachable> {
    let broken = |error: &dyn std::error::Error| Unreachable::Broken(error.to_string());
    let mut all = HeaderMap::with_capacity(headers.len() + 2);
    // First, since receivers exist that look for it there.
    all.insert(HOST, HeaderValue::from_str(url.authority()).map_err(|error| broken(&error))?);
    all.extend(headers);
    all.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let target = Uri::try_from(url.path_and_query()).map_err(|error| broken(&error))?;
    let mut request = Request::new(Full::new(body));
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, target, all);
    Ok(request)
}

/// Why there is no answer, in the words of the log; `limit` is that of the stage.
fn unreachable(error: OutboundError, limit: Duration) -> Unreachable {
    match error {
        OutboundError::Resolve { source, .. } => Unreachable::Resolve(source.to_string()),
        OutboundError::NoAddress => Unreachable::Connect(error.to_string()),
        OutboundError::Connect { source, .. } => Unreachable::Connect(source.to_string()),
        OutboundError::Tls(source) => Unreachable::Tls(source.to_string()),
        OutboundError::TimedOut(stage) => Unreachable::TimedOut { phase: phase(stage), limit },
        OutboundError::Unsent { source, .. } | OutboundError::Head(source) | OutboundError::Broken(source) => broken(&source),
        OutboundError::BodyTooLarge { .. } => Unreachable::Broken(error.to_string()),
    }
}

fn phase(stage: ExchangeStage) -> &'static str {
    match stage {
        ExchangeStage::Resolve => RESOLVING,
        ExchangeStage::Connect => "connecting",
        ExchangeStage::Tls => "TLS",
        ExchangeStage::Head | ExchangeStage::Body => "the answer",
    }
}

fn broken(error: &hyper::Error) -> Unreachable {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Unreachable::Broken(format!("{error}{source}"))
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A header as it is kept in the log: what could let somebody in is not.
pub(crate) fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    const SECRET: [&str; 4] = ["authorization", "cookie", "set-cookie", "x-benemen-token"];
    if SECRET.contains(&name.as_str()) { "***".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() }
}
