//! `GET /session`: from a request to a session (RFC 6455 §4.2).

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use protocol::authorise::{Caller, Identity};
use protocol::close::CloseCode;
use protocol::id::{DeviceId, EventId, Recipient};
use sessions::session::socket::refuse;
use sessions::session::{LoggedIn, Opening, Session, TOKEN_GRACE, Upgraded};
use sessions::ws::accept_key;
use tokio::runtime::Handle;
use tracing::Instrument;

use crate::app::Node;
use crate::auth::{Authenticated, TokenError, Verified};
use crate::http::connection::SessionSlot;
use crate::http::error::{ApiError, Body, Unavailable};
use crate::http::headers::{Headers, listed};
use crate::http::request::{admit_stranger, authenticate, bearer, query, spoken_for};
use crate::http::stream::Stream;
use crate::tell::tell_session;

/// The subprotocol, for clients that offer some.
const SUBPROTOCOL: &str = "bellwire.v1";
/// A browser cannot set headers: it offers its token as a subprotocol.
pub(super) const TOKEN_SUBPROTOCOL: &str = "bellwire.token.";

/// Where a session's socket comes from; nothing where its client has gone.
type Socket = dyn Future<Output = Option<Upgraded<Stream>>> + Send;

/// Who was let in, and the room that was taken for them.
#[derive(Debug)]
pub(crate) struct Admitted {
    opening: Box<Opening>,
    slot: SessionSlot,
}

/// `GET /session`
pub(crate) async fn open(node: &Arc<Node>, peer: IpAddr, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let (response, offered) = answer_to(node, peer, request.headers())?;
    let upgrade = hyper::upgrade::on(&mut *request);
    match admit_session(node, peer, request.headers(), request.uri().query(), &offered).await {
        Ok(admitted) => {
            begin(node, admitted, upgraded(upgrade));
            Ok(response)
        }
        // Scripts see no status of a refused upgrade, so they are told by a close code.
        Err(error) if offered.token.is_some() => match close_code(&error) {
            Some(code) => {
                error.count(node);
                let registry = node.registry.clone();
                let refusing = async move {
                    if let Some(Upgraded { io, early, .. }) = upgraded(upgrade).await {
                        refuse(io, &early, &registry, code).await;
                    }
                };
                node.spawn_connection(refusing, &Handle::current());
                Ok(response)
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// As [`open`], of a request that is usual: whoever sends the answer begins the session.
pub(crate) async fn open_usual(
    node: &Node,
    peer: IpAddr,
    headers: &impl Headers,
    query: Option<&str>,
) -> Result<(Response<Body>, Admitted), ApiError> {
    let (response, offered) = answer_to(node, peer, headers)?;
    let admitted = admit_session(node, peer, headers, query, &offered).await?;
    Ok((response, admitted))
}

/// Begins a session, as soon as it has its socket.
pub(crate) fn begin(
    node: &Arc<Node>,
    Admitted { opening, slot }: Admitted,
    socket: impl Future<Output = Option<Upgraded<Stream>>> + Send + 'static,
) {
    node.sessions.spawn(run(node.clone(), Box::pin(socket), opening, slot));
}

/// The answer to a request for a session, if it is let in.
fn answer_to(node: &Node, peer: IpAddr, headers: &impl Headers) -> Result<(Response<Body>, Offered), ApiError> {
    let accept = answer_to_key(headers).or_else(|error| {
        admit_stranger(node, peer)?;
        Err(error)
    })?;
    let offered = Offered::read(headers);
    Ok((switching_protocols(&accept, &offered), offered))
}

/// What a client offers as subprotocols.
#[derive(Debug, Default)]
struct Offered {
    ours: bool,
    token: Option<String>,
}

impl Offered {
    fn read(headers: &impl Headers) -> Self {
        let mut offered = Self::default();
        for name in listed(headers, &SEC_WEBSOCKET_PROTOCOL) {
            offered.ours |= name == SUBPROTOCOL;
            offered.token = offered.token.or(name.strip_prefix(TOKEN_SUBPROTOCOL).map(str::to_owned));
        }
        offered
    }
}

fn answer_to_key(headers: &impl Headers) -> Result<String, ApiError> {
    let lists = |name: HeaderName, wanted: &str| listed(headers, &name).any(|value| value.eq_ignore_ascii_case(wanted));
    let version = headers.all(&SEC_WEBSOCKET_VERSION).next();
    if !lists(UPGRADE, "websocket") || !lists(CONNECTION, "upgrade") || version != Some(b"13".as_slice()) {
        return Err(ApiError::UpgradeRequired);
    }
    let key = headers.all(&SEC_WEBSOCKET_KEY).next().unwrap_or_default();
    match STANDARD.decode(key) {
        Ok(nonce) if nonce.len() == 16 => Ok(accept_key(key)),
        Ok(_) | Err(_) => Err(ApiError::Unreadable("The header Sec-WebSocket-Key must be 16 bytes in base64".to_owned())),
    }
}

async fn admit_session(
    node: &Node,
    peer: IpAddr,
    headers: &impl Headers,
    asked: Option<&str>,
    offered: &Offered,
) -> Result<Admitted, ApiError> {
    if node.is_draining() {
        return Err(ApiError::Unavailable(Unavailable::Draining));
    }
    let token = bearer(headers)?.or(offered.token.as_deref());
    let Authenticated { verified: Verified { caller, .. }, known } = authenticate(node, peer, token, node.clock.now()).await?;
    let Identity::Person(recipient, product) = caller.identity else {
        return Err(ApiError::Forbidden("A session needs a token that names a negotiator (negotiatorId)".to_owned()));
    };
    spoken_for(&caller, headers)?;
    check_lasts(&caller, node.clock.now())?;
    if !node.config.products.contains(&product) {
        return Err(ApiError::Forbidden(format!("The product {product} of the token is not known here")));
    }
    let [device, resume] = query(asked, ["device", "resume"])?;
    let device = device.as_deref().map(DeviceId::parse).transpose();
    let device = device.map_err(|error| ApiError::Unreadable(format!("device {error}")))?;
    let slot = admit(node, &recipient, known)?;
    // A cursor that is none is never an error: the client is told that there may be a gap.
    let resume = resume.map(|cursor| EventId::parse(&cursor).ok());
    let (session, fresh_cursor) = (node.new_id(), node.new_id());
    let who = LoggedIn { recipient, product, device };
    let opening = Opening { session, fresh_cursor, who, resume, token_expires: caller.expires };
    Ok(Admitted { opening: Box::new(opening), slot })
}

/// Refuses a token with which a session would be closed at once: the leeway for clocks is longer than the grace of a session.
pub(crate) fn check_lasts(caller: &Caller, now: Timestamp) -> Result<(), TokenError> {
    let end = caller.expires.checked_add(TOKEN_GRACE).unwrap_or(Timestamp::MAX);
    if now >= end { Err(TokenError::Expired(caller.expires)) } else { Ok(()) }
}

/// Takes the session out of the budgets of the person and of the node.
fn admit(node: &Node, recipient: &Recipient, token_is_known: bool) -> Result<SessionSlot, ApiError> {
    let (now, busy) = (node.clock.running(), |_exceeded| ApiError::Unavailable(Unavailable::Sessions));
    node.limits.polls.admit(*recipient, now)?;
    // New tokens first: a flood of them leaves those who come back their share.
    if !token_is_known {
        node.limits.new_tokens.admit((), now).map_err(busy)?;
    }
    node.limits.sessions.admit((), now).map_err(busy)?;
    node.slots.take_session().ok_or(ApiError::Unavailable(Unavailable::Sessions))
}

fn switching_protocols(accept: &str, offered: &Offered) -> Response<Body> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if offered.ours {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

/// How a script is told of a refusal; `None`: by the status, since the request itself was wrong.
fn close_code(error: &ApiError) -> Option<CloseCode> {
    match error {
        ApiError::Token(_) => Some(CloseCode::TokenRefused),
        ApiError::Forbidden(_) | ApiError::Refused(_) => Some(CloseCode::Forbidden),
        ApiError::Unavailable(_) | ApiError::TooMany(_) => Some(CloseCode::NodeFull),
        _ => None,
    }
}

/// What is only done when a session begins or ends is boxed, so that it takes no room in between.
async fn run(node: Arc<Node>, socket: Pin<Box<Socket>>, opening: Box<Opening>, slot: SessionSlot) {
    let Some((opened, session)) = Box::pin(join(&node, socket, opening)).await else { return };
    // Beside the session, which does not wait for a disk.
    let (gone, ()) = futures::future::join(session, Box::pin(tell_session(&node, "session.opened", opened))).await;
    Box::pin(tell_session(&node, "session.closed", *gone)).await;
    drop(slot);
}

async fn join(
    node: &Node,
    socket: Pin<Box<Socket>>,
    opening: Box<Opening>,
) -> Option<(LoggedIn, impl Future<Output = Box<LoggedIn>> + use<>)> {
    let socket = socket.await?;
    let Opening { session: id, who, .. } = *opening;
    let Recipient { customer, negotiator } = who.recipient;
    let span = tracing::info_span!(parent: None, "session", %id, %customer, %negotiator, product = %who.product);
    let session = Box::new(Session::open(socket, &node.registry, *opening));
    Some((who, session.run().instrument(span)))
}

/// The socket, and what the client sent behind its request.
async fn upgraded(upgrade: OnUpgrade) -> Option<Upgraded<Stream>> {
    let upgraded = upgrade.await.inspect_err(|error| tracing::debug!(%error, "the client went before its session began")).ok()?;
    let parts = upgraded.downcast::<TokioIo<Stream>>().ok()?;
    Some(Upgraded { io: parts.io.into_inner(), early: parts.read_buf, head: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_session_is_small() {
        let bytes = size_of_future(run) + size_of::<Session<Stream>>() + size_of::<Opening>();
        assert!(bytes <= 800, "{bytes} bytes, for each session");
    }
}
