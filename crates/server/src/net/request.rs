//! A request as either reader gives it: a head, and a body that is here or still comes.

use std::error::Error;
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use clock::Moment;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Method;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::header::CONTENT_LENGTH;
use tokio::time::timeout;

use crate::config::Proxies;
use crate::memo::Memo;
use crate::net::headers::{Headers, text};

/// One request, on its way to who answers it.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) body: Body<'a>,
    /// What the connection remembers of the head before.
    pub(crate) memo: &'a mut Memo,
}

/// What stands before the body; cheap to copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a>(pub(crate) &'a HeadParts<'a>);

/// The parts of a head.
#[derive(Debug)]
pub(crate) struct HeadParts<'a> {
    pub(crate) method: &'a Method,
    /// As it was sent, still percent-encoded.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: Headers<'a>,
    /// Who is at the other end of the connection.
    pub(crate) peer: IpAddr,
    /// When it was looked at: behind those that came before it on the connection.
    pub(crate) taken: Moment,
}

/// The bytes behind the head.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// All of it came with the head.
    Here(&'a [u8]),
    /// The library reads it.
    Coming(&'a mut Incoming),
}

/// A whole body.
#[derive(Debug)]
pub(crate) enum Payload<'a> {
    Here(&'a [u8]),
    Came(Bytes),
}

/// Why there is no whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body ended before it was whole")]
    Ended,
    #[error("the body took too long")]
    TimedOut,
}

impl<'a> Deref for Head<'a> {
    type Target = HeadParts<'a>;

    fn deref(&self) -> &HeadParts<'a> {
        self.0
    }
}

impl Head<'_> {
    /// Whose the request is: the address of the peer, or what a trusted proxy says.
    pub(crate) fn client(&self, proxies: &Proxies) -> IpAddr {
        proxies.client(self.peer, self.headers)
    }
}

impl<'a> Body<'a> {
    /// Reads the body whole, at most `bytes_max` bytes and `patience`.
    pub(crate) async fn read(self, bytes_max: usize, patience: Duration) -> Result<Payload<'a>, BodyError> {
        match self {
            Self::Here(bytes) if bytes.len() > bytes_max => Err(BodyError::TooLarge(bytes_max)),
            Self::Here(bytes) => Ok(Payload::Here(bytes)),
            // Said to be larger: nothing of it is read, whoever has looked at the head before.
            Self::Coming(body) if body.size_hint().lower() > bytes_max as u64 => Err(BodyError::TooLarge(bytes_max)),
            Self::Coming(body) => read(body, bytes_max, patience).await.map(Payload::Came),
        }
    }
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Came(bytes) => bytes,
        }
    }
}

impl Payload<'_> {
    /// The bytes, to be kept.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Here(bytes) => Bytes::copy_from_slice(bytes),
            Self::Came(bytes) => bytes,
        }
    }
}

/// Reads a body whole, at most `bytes_max` bytes and `patience`.
pub(super) async fn read<B>(body: &mut B, bytes_max: usize, patience: Duration) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    match timeout(patience, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(bytes_max)),
        Ok(Err(_)) => Err(BodyError::Ended),
        Err(_elapsed) => Err(BodyError::TimedOut),
    }
}

/// Refuses a body that is said to be larger before anything of it is read.
pub(crate) fn check_length(headers: Headers<'_>, bytes_max: usize) -> Result<(), BodyError> {
    let length = headers.all(&CONTENT_LENGTH).next().and_then(text).and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes_max as u64) { Err(BodyError::TooLarge(bytes_max)) } else { Ok(()) }
}
