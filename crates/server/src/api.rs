//! What can be asked of the API, and how it is answered. Nothing here reads a socket: see [`routes`] for the table of contents.

pub(crate) mod table; // paths → handlers, `Allow`, names of spans
pub(crate) mod call; // a request on its way to its handler
mod routes; // the API's table of contents
pub(crate) mod request; // what the headers and the query say
pub(crate) mod identify; // who asks, and for whom
mod notifications; // taking, listing and taking away notifications
mod negotiators; // the directory, in Reapit's shape
mod connectors; // telephone systems' own callbacks
mod events; // what other systems report, for subscribers
pub(crate) mod webhooks; // subscriptions and deliveries
pub(crate) mod answer; // what several calls answer alike
pub(crate) mod paging; // pages by number, as Reapit has them
mod session; // upgrading to a session
pub(crate) mod openapi; // the published contract
mod cors; // which pages may call from a browser
pub(crate) mod faults; // the only place that names a status code of our API

use std::sync::Arc;

use hyper::{Method, Response};
use tracing::Instrument;

use self::call::{Asking, Call, OfApplication, Reply};
use self::faults::{ApiError, Unavailable};
use self::identify::{Application, admit_stranger};
use self::request::RequestId;
use self::routes::ROUTES;
use self::table::{Lookup, look_up};
use crate::net::outgoing::Outgoing;
use crate::net::request::{Head, Request};
use crate::net::service::{Answer, NoRequest, Service};
use crate::node::Node;
use crate::telemetry;

/// The API of a node.
#[derive(Debug)]
pub(crate) struct Api(pub(crate) Arc<Node>);

impl Service for Api {
    fn is_frequent(&self, method: &Method, path: &str) -> bool {
        look_up(ROUTES, method, path).is_frequent()
    }

    async fn answer<'a>(&'a self, request: Request<'a>) -> Answer {
        let (Self(node), head) = (self, request.head);
        let found = look_up(ROUTES, head.method, head.path);
        let id = RequestId::of(node, &request);
        let span = telemetry::request_span(node, head, found.span_name(), || id.get());
        let origin = cors::allowed(&node.config.cors_origins, head.headers);
        let answering = async {
            match cors::preflight(origin.as_ref(), head) {
                Some(response) => Reply::from(response),
                None => call(node, request, found).await.unwrap_or_else(|error| refused(node, head, error, &id).into()),
            }
        };
        let Reply { mut response, upgrade } = answering.instrument(span.clone()).await;
        telemetry::answered(node, &span, response.status());
        cors::expose(origin, response.headers_mut());
        Answer { response, id: id.take(), upgrade }
    }

    fn turn_away(&self, because: NoRequest) -> Answer {
        let Self(node) = self;
        turn_away(node, because)
    }
}

/// Answers where no request was read, on whichever listener.
pub(crate) fn turn_away(node: &Node, because: NoRequest) -> Answer {
    let error = match because {
        NoRequest::Full => ApiError::Unavailable(Unavailable::Connections),
        NoRequest::SlowHead => ApiError::Timeout("the head of the request"),
    };
    error.count(node);
    Answer { response: error.into_response(node), id: request::new_request_id(node, node.clock.now()), upgrade: None }
}

/// Has a request answered. What is rare is boxed, so that an event has no room for it.
async fn call(node: &Arc<Node>, request: Request<'_>, found: Lookup<'_, Call>) -> Result<Reply, ApiError> {
    let (call, ids) = match found {
        Lookup::Call(_, call, ids) => (call, ids),
        Lookup::Method(_) | Lookup::Nothing => return Err(Box::pin(no_such_call(node, request.head, found)).await),
    };
    let Request { head, body, memo } = request;
    match call {
        Call::Event => notifications::post(node, Request { head, body, memo }).await.map(Reply::from),
        Call::Session => Box::pin(session::open(node, head)).await,
        Call::Application(handler) => {
            let application = Box::pin(Application::identify(node, head)).await?;
            handler(OfApplication { node, application: &application, head, body, ids }).await.map(Reply::from)
        }
        Call::Other(handler) => handler(Asking { node, head, body, ids }).await.map(Reply::from),
    }
}

/// Refuses what the table does not have. Who asks is counted first: an application where only applications ask, else the address.
async fn no_such_call(node: &Node, head: Head<'_>, found: Lookup<'_, Call>) -> ApiError {
    let admitted = match webhooks::is_for_applications(head.path) {
        true => Application::identify(node, head).await.map(drop),
        false => admit_stranger(node, head),
    };
    match (admitted, found) {
        (Err(error), _) => error,
        (Ok(()), Lookup::Method(route)) => ApiError::Method(route.allow()),
        (Ok(()), Lookup::Call(..) | Lookup::Nothing) => ApiError::NotFound,
    }
}

fn refused(node: &Node, head: Head<'_>, error: ApiError, id: &RequestId<'_>) -> Response<Outgoing> {
    error.count(node);
    if matches!(error, ApiError::Internal) {
        tracing::error!(request = ?id.get(), "request failed; the cause stands above");
    }
    if webhooks::is_avaya(head.path) { webhooks::problem(node, error, head.path) } else { error.into_response(node) }
}
