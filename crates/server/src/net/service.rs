//! Who answers the requests of a listener: the seam between the bytes and what is said by them.

use std::pin::Pin;

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Response};
use sessions::session::Upgraded;

use super::outgoing::Outgoing;
use super::request::Request;
use super::stream::Stream;

/// Every answer says by it which request it is to.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a listener serves. There are two: the API and the operators.
pub(crate) trait Service: Send + Sync + 'static {
    /// Whether requests of this kind are so frequent that they have a reader of their own.
    fn is_frequent(&self, method: &Method, path: &str) -> bool;

    /// Answers one request, refusals included.
    fn answer<'a>(&'a self, request: Request<'a>) -> impl Future<Output = Answer> + Send + 'a;

    /// Answers where no request was read.
    fn turn_away(&self, because: NoRequest) -> Answer;
}

/// Why a connection is answered though no request was read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRequest {
    /// Every connection is taken.
    Full,
    /// The head took too long.
    SlowHead,
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) response: Response<Outgoing>,
    /// The header `x-request-id`.
    pub(crate) id: HeaderValue,
    /// What becomes of the connection behind a 101.
    pub(crate) upgrade: Option<Upgrade>,
}

/// Takes over a connection that is no longer HTTP's.
pub(crate) type Upgrade = Box<dyn FnOnce(Pin<Box<UpgradedSocket>>) + Send>;

/// The socket, as soon as the answer is on its way; nothing where the client has gone.
pub(crate) type UpgradedSocket = dyn Future<Output = Option<Upgraded<Stream>>> + Send;
