//! The HTTP API over one connection that is kept, and opened again when it ended.

use std::future::pending;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{HeaderMap, Request, Response, StatusCode};
use outbound::body::{self, pour};
use outbound::error::OutboundError;
use outbound::exchange::{Case, Connection, Driver, Heads, begin};
use tokio::io::AsyncWrite;

use crate::address::Address;

/// Much is read in one go: a backup is a file of any length.
const HEADS: Heads = Heads { bytes_max: 400 * 1024, headers_max: 100, case: Case::Lower };
/// How large an answer can be: a page of 100 missed calls has some 50 KiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One HTTP/1.1 connection to a node.
#[derive(Debug)]
pub struct Api {
    address: Address,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    driver: Driver,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct CallAnswer {
    /// What became of it.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The node cannot be reached.
    #[error("cannot connect to {authority}")]
    Connect {
        /// Host and port.
        authority: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The connection broke; the request may have been done.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// The answer broke off, or could not be written where it should go.
    #[error("the answer was not received whole")]
    Cut(#[source] std::io::Error),
    /// The answer is larger than 16 MiB.
    #[error("the answer is too large")]
    TooLarge,
}

impl From<OutboundError> for CallError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Unsent { source, .. } | OutboundError::Head(source) | OutboundError::Broken(source) => {
                Self::Broken(source)
            }
            OutboundError::BodyTooLarge { .. } => Self::TooLarge,
            OutboundError::Resolve { .. }
            | OutboundError::NoAddress
            | OutboundError::Connect { .. }
            | OutboundError::Tls(_)
            | OutboundError::TimedOut(_) => Self::Cut(error.into()),
        }
    }
}

impl CallAnswer {
    /// Returns a header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Api {
    /// Returns a client of the node at `address`; connects with the first request.
    #[must_use]
    pub fn new(address: impl Into<Address>) -> Self {
        Self { address: address.into(), open: None }
    }

    /// Sends a request and reads the whole answer. A connection that the node had closed while it was idle is opened again.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// The request may have been done; the connection is opened anew next time.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<CallAnswer, CallError> {
        let mut open = self.opened().await?;
        let answer = open.exchange(self.with_host(request), read).await?;
        self.open = Some(open);
        Ok(answer)
    }

    /// Sends a request whose answer can be of any length: that of a success goes to `sink` as it comes, and is no part of what is returned.
    /// The connection is not used again.
    ///
    /// # Errors
    /// [`CallError`]; part of the answer may have been written.
    pub async fn download(
        &mut self,
        request: Request<Full<Bytes>>,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<CallAnswer, CallError> {
        let request = self.with_host(request);
        let receive = async |response: Response<Incoming>| {
            if !response.status().is_success() {
                return read(response).await;
            }
            let (head, body) = response.into_parts();
            pour(body, sink).await.map_err(CallError::Cut)?;
            Ok(CallAnswer { status: head.status, headers: head.headers, body: Bytes::new() })
        };
        self.opened().await?.exchange(request, receive).await
    }

    fn with_host(&self, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
        if let Ok(host) = self.address.authority().parse() {
            request.headers_mut().insert(HOST, host);
        }
        request
    }

    /// Returns the connection that was kept, or a new one.
    async fn opened(&mut self) -> Result<Open, CallError> {
        let kept = match self.open.take() {
            Some(mut open) => open.is_usable().await.then_some(open),
            None => None,
        };
        match kept {
            Some(open) => Ok(open),
            None => Open::connect(&self.address).await,
        }
    }
}

impl Open {
    async fn connect(address: &Address) -> Result<Self, CallError> {
        let failed = |source| CallError::Connect { authority: address.authority().to_owned(), source };
        let stream = address.connect().await.map_err(|error| failed(error.into()))?;
        let (connection, driver) = begin(stream, HEADS).await?;
        Ok(Self { connection, driver })
    }

    /// Whether the node has not closed the connection meanwhile.
    async fn is_usable(&mut self) -> bool {
        // Cancel safety: nothing has been sent; a connection that ended is not used again.
        tokio::select! {
            biased;
            () = &mut self.driver => false,
            ready = self.connection.ready() => ready,
        }
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        receive: impl AsyncFnOnce(Response<Incoming>) -> Result<CallAnswer, CallError>,
    ) -> Result<CallAnswer, CallError> {
        let Self { connection, driver } = self;
        driver.during(async { receive(connection.send(request, pending()).await?).await }).await
    }
}

async fn read(response: Response<Incoming>) -> Result<CallAnswer, CallError> {
    let ((head, body), mut text) = (response.into_parts(), BytesMut::new());
    body::read(body, &mut text, ANSWER_BYTES_MAX, pending()).await?;
    Ok(CallAnswer { status: head.status, headers: head.headers, body: text.freeze() })
}
