//! One request over a connection that is kept: resolve, vet, connect to what was vetted, TLS, send, read a little of the answer.
//!
//! Redirects are not followed, nothing is asked to be compressed, and of the answer no more is read than is shown. A request is sent
//! again on a fresh connection only if nothing of it was sent: the kept one had ended.

mod pool; // connections that wait for their next request
mod resolve; // names → addresses

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clock::Clock;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_util::task::TaskTracker;

use crate::guard::Guard;
use crate::sender::pool::{Kept, Place, Pool};
use crate::sender::resolve::Resolver;
use crate::url::{CallbackUrl, Host};
use crate::verdict::{Answer, RESOLVING, Unreachable};

const RESOLVE_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const TLS_LIMIT: Duration = Duration::from_secs(3);
const BODY_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of an answer's head at most.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 100;
/// Bytes of an answer's body that are read at most; what is longer ends the connection.
const BODY_BYTES_MAX: usize = 16 * 1024;

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
    #[error("certificates {path}: {fault}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// No TLS.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    /// No resolver.
    #[error("the name servers cannot be used: {0}")]
    Resolver(String),
}

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Sender {
    guard: Guard,
    resolver: Resolver,
    tls: Arc<ClientConfig>,
    unverified: Arc<ClientConfig>,
    pool: Pool,
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

type Connection = http1::SendRequest<Full<Bytes>>;

impl Sender {
    pub(crate) fn new(config: &Config, guard: Guard, clock: Clock, tasks: TaskTracker) -> Result<Self, SenderError> {
        Ok(Self {
            guard,
            resolver: Resolver::new(&config.name_servers)?,
            tls: Arc::new(tls(config)?),
            unverified: Arc::new(unverified()?),
            pool: Pool::default(),
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
        loop {
            let mut kept = match self.pool.take(&Place::of(target), self.clock.running(), &self.guard) {
                Some(kept) => kept,
                // Boxed, since it is seldom needed and would make every attempt's task several times as large.
                None => Box::pin(self.connect(target, &mut exchange.phases)).await?,
            };
            (exchange.peer, exchange.reused) = (Some(kept.peer), kept.used);
            let began = Instant::now();
            let answered = self.clock.timeout(limit, kept.connection.try_send_request(request)).await;
            exchange.phases.first_byte = micros(began);
            match answered {
                Ok(Ok(response)) => return self.read(kept, response, exchange).await,
                Ok(Err(mut error)) => match error.take_message() {
                    Some(unsent) if kept.used => request = unsent,
                    Some(_) | None => return Err(broken(error.error())),
                },
                Err(_elapsed) => return Err(Unreachable::TimedOut { phase: "the answer", limit }),
            }
        }
    }

    /// Reads what is shown of the answer. The status is what counts: a body that does not end changes nothing.
    async fn read(&self, mut kept: Kept, response: Response<Incoming>, exchange: &mut Exchange) -> Result<(), Unreachable> {
        let began = Instant::now();
        let (head, body) = response.into_parts();
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        exchange.answer = Answer::Status { status: head.status.as_u16(), retry_after };
        exchange.headers = head.headers;
        let mut text = BytesMut::new();
        let whole = self.clock.timeout(BODY_LIMIT, read_some(body, &mut text)).await;
        exchange.body = text.freeze();
        exchange.phases.body = micros(began);
        if whole == Ok(true) {
            kept.used = true;
            self.pool.put(kept, self.clock.running());
        }
        Ok(())
    }

    async fn connect(&self, target: Target<'_>, phases: &mut Phases) -> Result<Kept, Unreachable> {
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
        let timed_out = |_| Unreachable::TimedOut { phase: "connecting", limit: CONNECT_LIMIT };
        let (stream, peer) = self.clock.timeout(CONNECT_LIMIT, dial(&vetted, url.port())).await.map_err(timed_out)??;
        phases.connect = micros(began);
        let place = Place::of(target);
        let connection = if url.is_tls() {
            let began = Instant::now();
            let timed_out = |_| Unreachable::TimedOut { phase: "TLS", limit: TLS_LIMIT };
            let connector = TlsConnector::from(if target.insecure { self.unverified.clone() } else { self.tls.clone() });
            let secured = self.clock.timeout(TLS_LIMIT, connector.connect(server_name(url)?, stream)).await.map_err(timed_out)?;
            let secured = secured.map_err(|error| Unreachable::Tls(error.to_string()))?;
            phases.tls = micros(began);
            self.handshake(secured).await?
        } else {
            self.handshake(stream).await?
        };
        Ok(Kept { connection, peer, place, used: false, since: Duration::ZERO })
    }

    async fn handshake(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, Unreachable> {
        let mut builder = http1::Builder::new();
        // Names in the case of the vendors' documents: receivers exist that do not fold it.
        builder.title_case_headers(true).max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
        let (connection, driver) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // What ends it is told to the request that it carries.
        self.tasks.spawn(async move { drop(driver.await) });
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

fn tls(config: &Config) -> Result<ClientConfig, SenderError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &config.ca_file {
        let fault = |fault: String| SenderError::Certificates { path: path.clone(), fault };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| fault(error.to_string()))?;
            roots.add(certificate).map_err(|error| fault(error.to_string()))?;
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Takes whatever certificate comes: for the subscriptions of a profile that knows this, and says so.
fn unverified() -> Result<ClientConfig, SenderError> {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let taken = AnyCertificate(provider.clone());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| SenderError::Tls(error.to_string()))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(taken)).with_no_client_auth())
}

/// Asks nothing of a certificate but that its owner has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn server_name(url: &CallbackUrl) -> Result<ServerName<'static>, Unreachable> {
    match url.host() {
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|error| Unreachable::Tls(error.to_string())),
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

/// Tries one address after the other.
async fn dial(addresses: &[IpAddr], port: u16) -> Result<(TcpStream, IpAddr), Unreachable> {
    let mut last = Unreachable::Connect("the host has no address".to_owned());
    for &address in addresses {
        match TcpStream::connect((address, port)).await {
            Ok(stream) => {
                // A request is written at once; an answer to it is waited for.
                drop(stream.set_nodelay(true));
                return Ok((stream, address));
            }
            Err(error) => last = Unreachable::Connect(error.to_string()),
        }
    }
    Err(last)
}

/// Reads up to a bound; gives whether that was all of it.
async fn read_some(mut body: Incoming, text: &mut BytesMut) -> bool {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        if let Some(data) = frame.data_ref() {
            let room = BODY_BYTES_MAX - text.len();
            text.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
            if data.len() > room {
                return false;
            }
        }
    }
    true
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
