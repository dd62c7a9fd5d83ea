//! Why there is no answer, by what a caller can do about it.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The system does not know the name.
    #[error("the name {name} cannot be resolved")]
    Resolve {
        /// The name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to connect to.
    #[error("the host has no address")]
    NoAddress,
    /// No address took the connection; this was the last one that was tried.
    #[error("no connection to {address}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The peer does not speak TLS, or its certificate is not trusted.
    #[error("no TLS")]
    Tls(#[source] io::Error),
    /// A stage took longer than its limit.
    #[error("{0} took too long")]
    TimedOut(ExchangeStage),
    /// The connection had ended before anything of the request was sent: it can be sent again on another one.
    #[error("the connection had ended before the request was sent")]
    Unsent {
        /// The request.
        request: Box<Request<Full<Bytes>>>,
        /// What ended the connection.
        source: hyper::Error,
    },
    /// The head of the answer exceeds its bounds, or is not HTTP/1.1.
    #[error("the head of the answer cannot be read")]
    Head(#[source] hyper::Error),
    /// The body of the answer exceeds its bound.
    #[error("the body of the answer has more than {max} bytes")]
    BodyTooLarge {
        /// The bound.
        max: usize,
    },
    /// The connection ended. The request may have been done.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

/// What a connection and its request go through, each with a limit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeStage {
    /// Asking the system for the addresses of a name.
    Resolve,
    /// Connecting to one of them.
    Connect,
    /// The TLS hand-shake.
    Tls,
    /// From the request to the head of the answer.
    Head,
    /// Reading the body of the answer.
    Body,
}

impl std::fmt::Display for ExchangeStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host's name",
            Self::Connect => "connecting",
            Self::Tls => "TLS",
            Self::Head => "the answer",
            Self::Body => "the body of the answer",
        })
    }
}

impl OutboundError {
    pub(crate) fn broken(error: hyper::Error) -> Self {
        if error.is_parse() { Self::Head(error) } else { Self::Broken(error) }
    }
}

/// Returns what the system said, where it said something; else the error itself, as one of input and output.
impl From<OutboundError> for io::Error {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Resolve { source, .. } | OutboundError::Connect { source, .. } | OutboundError::Tls(source) => source,
            OutboundError::TimedOut(_) => Self::new(io::ErrorKind::TimedOut, error),
            OutboundError::NoAddress
            | OutboundError::Unsent { .. }
            | OutboundError::Head(_)
            | OutboundError::BodyTooLarge { .. }
            | OutboundError::Broken(_) => Self::other(error),
        }
    }
}

/// Returns what `work` returns, unless `limit` ends first.
pub(crate) async fn within<T>(
    stage: ExchangeStage,
    limit: impl Future<Output = ()>,
    work: impl Future<Output = T>,
) -> Result<T, OutboundError> {
    // Cancel safety: the loser is dropped; work that is done in the same moment wins.
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = limit => Err(OutboundError::TimedOut(stage)),
    }
}
