//! One GET by `https`, or by `http` on this machine: a connection for each, no redirect followed, no more read than a bound.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::trust::{TrustError, authorities};
use clock::Clock;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use url::{Host, Position, Url};

use super::error::KeysError;

/// How long one address has to take the connection, so that there is time for the next.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of an answer's head at most, and how many headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// Bytes of a body at most.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Fetches what identity providers publish.
#[derive(Debug, Clone)]
pub(in crate::auth) struct Fetcher {
    tls: Arc<ClientConfig>,
    clock: Clock,
}

impl Fetcher {
    /// Trusts the authorities of `ca_file` besides the public ones.
    ///
    /// # Errors
    /// [`KeysError::Certificates`].
    pub(in crate::auth) fn new(ca_file: Option<&Path>, clock: Clock) -> Result<Self, KeysError> {
        let roots = authorities(ca_file).map_err(|TrustError { path, fault }| KeysError::Certificates { path, fault })?;
        let tls = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
        Ok(Self { tls, clock })
    }

    /// The body at `url`.
    ///
    /// # Errors
    /// [`KeysError`], where there is none.
    pub(super) async fn get(&self, url: &Url) -> Result<Bytes, KeysError> {
        let unread = |source| KeysError::Unread { place: url.to_string(), source };
        let host = url.host().ok_or_else(|| unread(io::Error::other("it has no host")))?;
        let stream = self.dial(&host, url.port_or_known_default().unwrap_or_default()).await.map_err(unread)?;
        if url.scheme() != "https" {
            return exchange(stream, url).await;
        }
        let name = match host {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|error| unread(io::Error::other(error)))?,
            Host::Ipv4(address) => ServerName::IpAddress(std::net::IpAddr::from(address).into()),
            Host::Ipv6(address) => ServerName::IpAddress(std::net::IpAddr::from(address).into()),
        };
        let secured = TlsConnector::from(self.tls.clone()).connect(name, stream).await.map_err(unread)?;
        exchange(secured, url).await
    }

    /// Tries one address after the other.
    async fn dial(&self, host: &Host<&str>, port: u16) -> io::Result<TcpStream> {
        let addresses: Vec<_> = match host {
            Host::Domain(name) => lookup_host((*name, port)).await?.collect(),
            Host::Ipv4(address) => vec![(*address, port).into()],
            Host::Ipv6(address) => vec![(*address, port).into()],
        };
        let mut last = io::Error::other("the host has no address");
        for address in addresses {
            match self.clock.timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_elapsed) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} takes no connection")),
            }
        }
        Err(last)
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, url: &Url) -> Result<Bytes, KeysError> {
    let broken = |source| KeysError::Broken { place: url.to_string(), source };
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let exchanged = async { read(sender.send_request(request(url)?).await.map_err(broken)?, url).await };
    // Cancel safety: when the connection ends first, the answer is taken from what it had read.
    tokio::pin!(exchanged);
    tokio::select! {
        biased;
        answer = exchanged.as_mut() => answer,
        _ended = connection => exchanged.await,
    }
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, KeysError> {
    let request = Request::get(&url[Position::BeforePath..])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(USER_AGENT, concat!("bellwire/", env!("CARGO_PKG_VERSION")));
    let unread = |error| KeysError::Unread { place: url.to_string(), source: io::Error::other(error) };
    request.body(Empty::new()).map_err(unread)
}

async fn read(response: Response<hyper::body::Incoming>, url: &Url) -> Result<Bytes, KeysError> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        let location = head.headers.get(LOCATION).filter(|_| head.status.is_redirection());
        let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        return Err(KeysError::Status { place: url.to_string(), status: head.status, location });
    }
    let whole = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = whole.map(http_body_util::Collected::to_bytes).map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(source) => KeysError::Broken { place: url.to_string(), source: *source },
        Err(other) => {
            debug_assert!(other.is::<LengthLimitError>(), "a body ends by its connection or by its limit");
            KeysError::TooLarge { place: url.to_string(), max: BODY_BYTES_MAX }
        }
    })?;
    Ok(bytes)
}
