//! One GET by `https`, or by `http` on this machine: a connection for each, no redirect followed, no more read than a bound.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clock::Clock;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use outbound::body;
use outbound::error::OutboundError;
use outbound::exchange::{Case, Heads, begin};
use outbound::stream::{Destination, Stream};
use outbound::trust::{Trust, TrustError};
use url::{Position, Url};

use super::error::KeysError;
use super::source::READING_LIMIT;

/// How long one address has to take the connection, so that there is time for the next.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const HEADS: Heads = Heads { bytes_max: 64 * 1024, headers_max: 100, case: Case::Lower };
/// Bytes of a body at most.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Fetches what identity providers publish.
#[derive(Debug, Clone)]
pub(in crate::auth) struct Fetcher {
    trust: Trust,
    clock: Clock,
}

impl Fetcher {
    /// Returns a fetcher that trusts the authorities of `ca_file` besides the public ones.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(in crate::auth) fn new(ca_file: Option<&Path>, clock: Clock) -> Result<Self, TrustError> {
        Ok(Self { trust: Trust::authorities(ca_file)?, clock })
    }

    /// Returns the body at `url`, unless the clock reaches `end` first.
    ///
    /// # Errors
    /// [`KeysError`], where there is none.
    pub(super) async fn get(&self, url: &Url, end: Duration) -> Result<Bytes, KeysError> {
        let (limit, failed) = (|| self.clock.wait_until(end), |error| failure(url, error));
        let host = url.host_str().ok_or_else(|| unread(url, io::Error::other("it has no host")))?;
        // The brackets of an IPv6 address belong to the URL.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let trust = (url.scheme() == "https").then_some(&self.trust);
        let to = Destination { host, port: url.port_or_known_default().unwrap_or_default(), trust };
        let stream = Stream::open(to, || self.clock.wait(CONNECT_LIMIT), limit()).await.map_err(failed)?;
        let (mut connection, mut driver) = begin(stream, HEADS).await.map_err(failed)?;
        let exchanging = async {
            let response = connection.send(request(url)?, limit()).await.map_err(failed)?;
            let (body, mut text) = (succeeded(url, response)?, BytesMut::new());
            body::read(body, &mut text, BODY_BYTES_MAX, limit()).await.map_err(failed)?;
            Ok(text.freeze())
        };
        driver.during(exchanging).await
    }
}

fn request(url: &Url) -> Result<Request<Full<Bytes>>, KeysError> {
    let request = Request::get(&url[Position::BeforePath..])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(ACCEPT, "application/json, application/jwk-set+json")
        .header(USER_AGENT, concat!("bellwire/", env!("CARGO_PKG_VERSION")));
    request.body(Full::default()).map_err(|error| unread(url, io::Error::other(error)))
}

fn succeeded(url: &Url, response: Response<Incoming>) -> Result<Incoming, KeysError> {
    let (head, body) = response.into_parts();
    if head.status == StatusCode::OK {
        return Ok(body);
    }
    let location = head.headers.get(LOCATION).filter(|_| head.status.is_redirection());
    let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Err(KeysError::Status { place: url.to_string(), status: head.status, location })
}

fn failure(url: &Url, error: OutboundError) -> KeysError {
    let place = url.to_string();
    match error {
        OutboundError::Unsent { source, .. } | OutboundError::Head(source) | OutboundError::Broken(source) => {
            KeysError::Broken { place, source }
        }
        OutboundError::BodyTooLarge { max } => KeysError::TooLarge { place, max },
        OutboundError::TimedOut(_) => KeysError::TimedOut { place, seconds: READING_LIMIT.as_secs() },
        OutboundError::Resolve { .. } | OutboundError::NoAddress | OutboundError::Connect { .. } | OutboundError::Tls(_) => {
            unread(url, error.into())
        }
    }
}

fn unread(url: &Url, source: io::Error) -> KeysError {
    KeysError::Unread { place: url.to_string(), source }
}
