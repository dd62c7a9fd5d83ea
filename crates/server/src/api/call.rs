//! A request on its way to its handler, and what comes back.

use std::pin::Pin;
use std::sync::Arc;

use hyper::Response;

use super::faults::ApiError;
use super::identify::Application;
use super::table::{Ids, Lookup};
use crate::net::outgoing::Outgoing;
use crate::net::request::{Body, Head};
use crate::net::service::Upgrade;
use crate::node::Node;
use crate::telemetry::SpanName;

/// What a request is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    /// An event of a provider: nearly all requests are.
    Event,
    /// The hand-shake of a session, as nearly all new connections begin.
    Session,
    /// Anything that an application asks for as one of its customers' many, once it is known which application asks.
    Application(for<'a> fn(OfApplication<'a>) -> Answering<'a>),
    /// Anything else.
    Other(Handler),
}

/// Answers one kind of request.
pub(crate) type Handler = for<'a> fn(Asking<'a>) -> Answering<'a>;

/// An answer on its way.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Outgoing>, ApiError>> + Send + 'a>>;

/// A request with its place in the table.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) node: &'a Arc<Node>,
    pub(crate) head: Head<'a>,
    pub(crate) body: Body<'a>,
    pub(crate) ids: Ids<'a>,
}

/// A request of an application, with its place in the table.
#[derive(Debug)]
pub(crate) struct OfApplication<'a> {
    pub(crate) node: &'a Arc<Node>,
    pub(crate) application: &'a Application,
    pub(crate) head: Head<'a>,
    pub(crate) body: Body<'a>,
    pub(crate) ids: Ids<'a>,
}

/// What a handler answers: a response, and what becomes of the connection behind a 101.
pub(crate) struct Reply {
    pub(crate) response: Response<Outgoing>,
    pub(crate) upgrade: Option<Upgrade>,
}

impl From<Response<Outgoing>> for Reply {
    fn from(response: Response<Outgoing>) -> Self {
        Self { response, upgrade: None }
    }
}

impl Lookup<'_, Call> {
    /// Whether nearly all requests are of this kind.
    pub(super) fn is_frequent(&self) -> bool {
        matches!(self, Self::Call(_, Call::Event | Call::Session, _))
    }

    /// What the request's span is called.
    pub(super) fn span_name(&self) -> SpanName {
        SpanName { path: self.path(), is_frequent: self.is_frequent() }
    }
}
