//! The HTTP API over one connection that is kept, and opened again when it ended.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::header::HOST;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::address::{Address, Wire};

/// How large an answer can be: a page of 100 missed calls has some 50 KiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One HTTP/1.1 connection to a node.
#[derive(Debug)]
pub struct Api {
    address: Address,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Box<dyn Wire>>, Full<Bytes>>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What became of it.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
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

impl Answer {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Api {
    /// A client of the node at `address`; connects with the first request.
    #[must_use]
    pub fn new(address: impl Into<Address>) -> Self {
        Self { address: address.into(), open: None }
    }

    /// Sends a request and reads the whole answer. A connection that the node had closed while it was idle is opened again.
    ///
    /// # Errors
    /// [`ApiError`].
    ///
    /// # Cancel safety
    /// The request may have been done; the connection is opened anew next time.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, ApiError> {
        let mut open = self.opened().await?;
        let answer = open.exchange(self.with_host(request), read).await?;
        self.open = Some(open);
        Ok(answer)
    }

    /// Sends a request whose answer can be of any length: that of a success goes to `sink` as it comes, and is no part of what is given.
    /// The connection is not used again.
    ///
    /// # Errors
    /// [`ApiError`]; part of the answer may have been written.
    pub async fn download(
        &mut self,
        request: Request<Full<Bytes>>,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Answer, ApiError> {
        let request = self.with_host(request);
        let receive = async |response: hyper::Response<Incoming>| {
            if !response.status().is_success() {
                return read(response).await;
            }
            let (head, body) = response.into_parts();
            pour(body, sink).await?;
            Ok(Answer { status: head.status, headers: head.headers, body: Bytes::new() })
        };
        self.opened().await?.exchange(request, receive).await
    }

    fn with_host(&self, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
        if let Ok(host) = self.address.authority().parse() {
            request.headers_mut().insert(HOST, host);
        }
        request
    }

    /// The connection that was kept, or a new one.
    async fn opened(&mut self) -> Result<Open, ApiError> {
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
    async fn connect(address: &Address) -> Result<Self, ApiError> {
        let failed = |source| ApiError::Connect { authority: address.authority().to_owned(), source };
        let stream = address.connect().await.map_err(failed)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(ApiError::Broken)?;
        Ok(Self { sender, connection })
    }

    /// Whether the node has not closed the connection meanwhile.
    async fn is_usable(&mut self) -> bool {
        // Cancel safety: nothing has been sent; a connection that ended is not used again.
        tokio::select! {
            biased;
            _ended = &mut self.connection => false,
            ready = self.sender.ready() => ready.is_ok(),
        }
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        receive: impl AsyncFnOnce(hyper::Response<Incoming>) -> Result<Answer, ApiError>,
    ) -> Result<Answer, ApiError> {
        let Self { sender, connection } = self;
        let exchanged = async {
            let response = sender.send_request(request).await.map_err(ApiError::Broken)?;
            receive(response).await
        };
        // Cancel safety: when the connection ends first, the answer is taken from what it had read.
        tokio::pin!(exchanged);
        tokio::select! {
            biased;
            answer = exchanged.as_mut() => answer,
            _ended = connection => exchanged.await,
        }
    }
}

/// Writes a body to `sink` as it comes.
///
/// # Errors
/// [`ApiError::Cut`].
pub async fn pour<B>(body: B, sink: &mut (impl AsyncWrite + Unpin)) -> Result<(), ApiError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::Cut(std::io::Error::other(error)))?;
        if let Ok(piece) = frame.into_data() {
            sink.write_all(&piece).await.map_err(ApiError::Cut)?;
        }
    }
    sink.flush().await.map_err(ApiError::Cut)
}

async fn read(response: hyper::Response<Incoming>) -> Result<Answer, ApiError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => ApiError::Broken(*error),
        Err(other) => {
            debug_assert!(other.is::<LengthLimitError>(), "a body ends by its connection or by its limit");
            ApiError::TooLarge
        }
    })?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}
