//! `GET /session`: from a request to a session (RFC 6455 §4.2).

use std::pin::Pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::{Response, StatusCode};
use protocol::authorise::Identity;
use protocol::close::CloseCode;
use protocol::id::{DeviceId, EventId, Recipient};
use sessions::session::socket::refuse;
use sessions::session::{LoggedIn, Opening, Session, Upgraded};
use sessions::ws::accept_key;
use tokio::runtime::Handle;
use tracing::Instrument;

use super::answer::empty;
use super::call::Reply;
use super::faults::{ApiError, Unavailable};
use super::identify::{admit_stranger, authenticate, bearer, spoken_for};
use super::request::query;
use crate::auth::{Authenticated, Verified, check_lasts};
use crate::net::headers::{Headers, listed};
use crate::net::outgoing::Outgoing;
use crate::net::request::Head;
use crate::net::service::{Upgrade, UpgradedSocket};
use crate::node::Node;
use crate::slots::SessionSlot;
use crate::tell::tell_session;

/// The subprotocol, for clients that offer some.
const SUBPROTOCOL: &str = "bellwire.v1";
/// A browser cannot set headers: it offers its token as a subprotocol.
const TOKEN_SUBPROTOCOL: &str = "bellwire.token.";

/// Who was let in, and the room that was taken for them.
#[derive(Debug)]
struct Admitted {
    opening: Box<Opening>,
    slot: SessionSlot,
}

/// `GET /session`
pub(super) async fn open(node: &Arc<Node>, head: Head<'_>) -> Result<Reply, ApiError> {
    let accept = answer_to_key(head.headers).or_else(|error| {
        admit_stranger(node, head)?;
        Err(error)
    })?;
    let offered = Offered::read(head.headers);
    let upgrade = match admit_session(node, head, &offered).await {
        Ok(admitted) => begin(node, admitted),
        // Scripts see no status of a refused upgrade, so they are told by a close code.
        Err(error) if offered.token.is_some() => match close_code(&error) {
            Some(code) => {
                error.count(node);
                turn_down(node, code)
            }
            None => return Err(error),
        },
        Err(error) => return Err(error),
    };
    Ok(Reply { response: switching_protocols(&accept, &offered), upgrade: Some(upgrade) })
}

/// Begins a session, as soon as it has its socket.
fn begin(node: &Arc<Node>, Admitted { opening, slot }: Admitted) -> Upgrade {
    let node = node.clone();
    Box::new(move |socket| drop(node.sessions.spawn(run(node.clone(), socket, opening, slot))))
}

/// Closes a socket with this code, as soon as it is there.
fn turn_down(node: &Arc<Node>, code: CloseCode) -> Upgrade {
    let node = node.clone();
    Box::new(move |socket| {
        let registry = node.registry.clone();
        let refusing = async move {
            if let Some(Upgraded { io, early, head }) = socket.await {
                refuse(io, &head.unwrap_or_default(), &early, &registry, code).await;
            }
        };
        node.spawn_connection(refusing, &Handle::current());
    })
}

/// What a client offers as subprotocols.
#[derive(Debug, Default)]
struct Offered {
    ours: bool,
    token: Option<String>,
}

impl Offered {
    fn read(headers: Headers<'_>) -> Self {
        let mut offered = Self::default();
        for name in listed(headers, &SEC_WEBSOCKET_PROTOCOL) {
            offered.ours |= name == SUBPROTOCOL;
            offered.token = offered.token.or(name.strip_prefix(TOKEN_SUBPROTOCOL).map(str::to_owned));
        }
        offered
    }
}

fn answer_to_key(headers: Headers<'_>) -> Result<String, ApiError> {
    let lists = |name: HeaderName, wanted: &str| listed(headers, &name).any(|value| value.eq_ignore_ascii_case(wanted));
    let version = headers.first(&SEC_WEBSOCKET_VERSION);
    if !lists(UPGRADE, "websocket") || !lists(CONNECTION, "upgrade") || version != Some(b"13".as_slice()) {
        return Err(ApiError::UpgradeRequired);
    }
    let key = headers.first(&SEC_WEBSOCKET_KEY).unwrap_or_default();
    match STANDARD.decode(key) {
        Ok(nonce) if nonce.len() == 16 => Ok(accept_key(key)),
        Ok(_) | Err(_) => Err(ApiError::Unreadable("The header Sec-WebSocket-Key must be 16 bytes in base64".to_owned())),
    }
}

async fn admit_session(node: &Node, head: Head<'_>, offered: &Offered) -> Result<Admitted, ApiError> {
    let headers = head.headers;
    if node.is_draining() {
        return Err(ApiError::Unavailable(Unavailable::Draining));
    }
    let token = bearer(headers)?.or(offered.token.as_deref());
    let Authenticated { verified: Verified { caller, .. }, known } = authenticate(node, head, token).await?;
    let Identity::Person(recipient, product) = caller.identity else {
        return Err(ApiError::Forbidden("A session needs a token that names a negotiator (negotiatorId)".to_owned()));
    };
    spoken_for(&caller, headers)?;
    check_lasts(&caller, node.clock.now())?;
    if !node.config.products.contains(&product) {
        return Err(ApiError::Forbidden(format!("The product {product} of the token is not known here")));
    }
    let [device, resume] = query(head.query, ["device", "resume"])?;
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

fn switching_protocols(accept: &str, offered: &Offered) -> Response<Outgoing> {
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
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
async fn run(node: Arc<Node>, socket: Pin<Box<UpgradedSocket>>, opening: Box<Opening>, slot: SessionSlot) {
    let Some((opened, session)) = Box::pin(join(&node, socket, opening)).await else { return };
    // Beside the session, which does not wait for a disk.
    let (gone, ()) = futures::future::join(session, Box::pin(tell_session(&node, "session.opened", opened))).await;
    Box::pin(tell_session(&node, "session.closed", *gone)).await;
    drop(slot);
}

async fn join(
    node: &Node,
    socket: Pin<Box<UpgradedSocket>>,
    opening: Box<Opening>,
) -> Option<(LoggedIn, impl Future<Output = Box<LoggedIn>> + use<>)> {
    let socket = socket.await?;
    let Opening { session: id, who, .. } = *opening;
    let Recipient { customer, negotiator } = who.recipient;
    let span = tracing::info_span!(parent: None, "session", %id, %customer, %negotiator, product = %who.product);
    let session = Box::new(Session::open(socket, &node.registry, *opening));
    Some((who, session.run().instrument(span)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stream::Stream;

    fn size_of_future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_a_session_is_small() {
        let bytes = size_of_future(run) + size_of::<Session<Stream>>() + size_of::<Opening>();
        assert!(bytes <= 800, "{bytes} bytes, for each session");
    }
}
