//! `POST /connectors/{id}`: a telephone system's own callback.

use std::net::IpAddr;

use bytes::Bytes;
use connectors::action::Action;
use connectors::callback::{Callback, Note, Reading, read};
use connectors::people::People;
use connectors::state::Plan;
use connectors::vendor::SecretPlace;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use jiff::Timestamp;
use protocol::authorise::{Caller, Grant, Identity, Scope, Stamp, authorise};
use protocol::envelope::{Envelope, Malformed};
use protocol::id::{ClientId, ConnectorId, IdempotencyKey, NegotiatorId, Product, Recipient};
use protocol::payload::SubType;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::app::Node;
use crate::auth::TokenError;
use crate::connectors::Connector;
use crate::dispatch::dispatch;
use crate::http::error::{ApiError, Body};
use crate::http::request::{admit_stranger, check_length, read_body};
use crate::metrics::{OfCallback, OfNote};

/// The largest callback: Enreach's lists of attempts have no documented bound.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Where Enreach names the event.
const EVENT: &str = "x-benemen-event";

/// Takes a callback; `secret` is what stands behind the id in the path. When it answers 200, all that follows is done: what is
/// live is queued, what was missed is on disk.
pub(crate) async fn take(
    node: &Node,
    peer: IpAddr,
    request: Request<Incoming>,
    (id, secret): (&str, Option<&str>),
) -> Result<Response<Body>, ApiError> {
    let (head, body) = request.into_parts();
    check_length(&head.headers, BODY_BYTES_MAX)?;
    let connector = ConnectorId::parse(id).ok().and_then(|id| node.connectors.find(&id));
    let Some(connector) = connector else {
        admit_stranger(node, peer)?;
        return Err(ApiError::NoConnector);
    };
    let client_id = admit(node, peer, &connector, &head.headers, secret)?;
    let (body, _) = read_body(body, BODY_BYTES_MAX, node.config.limits.body_timeout).await?;
    let outcome = do_once(node, &connector, client_id, &head.headers, &body).await;
    let name = match &outcome {
        Ok(true) => "taken",
        Ok(false) => "repeated",
        Err(_) => "refused",
    };
    node.metrics.callbacks.get_or_create(&OfCallback { vendor: connector.setting.vendor.name(), outcome: name }).inc();
    outcome.map(|_| Response::new(Full::default()))
}

/// The secret, then the rate.
fn admit(
    node: &Node,
    peer: IpAddr,
    connector: &Connector,
    headers: &HeaderMap,
    in_path: Option<&str>,
) -> Result<ClientId, ApiError> {
    let secret = match connector.setting.vendor.secret_place() {
        SecretPlace::Header(name) => headers.get(name).map(hyper::header::HeaderValue::as_bytes),
        SecretPlace::Path => in_path.map(str::as_bytes),
    };
    let client_id = connector.client_id().filter(|_| connector.setting.admits(secret));
    let Some(client_id) = client_id else {
        admit_stranger(node, peer)?;
        return Err(TokenError::Signature.into());
    };
    node.limits.callbacks.admit(connector.id, node.clock.running())?;
    Ok(client_id)
}

/// Does what a callback asks for, unless that was done before: gives whether it was done now.
async fn do_once(
    node: &Node,
    connector: &Connector,
    client_id: ClientId,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<bool, ApiError> {
    let reading = reading(node, connector, headers, body)?;
    count(node, connector, &reading.notes);
    let (key, now) = (reading.key, node.clock.running());
    let mut state = connector.state.lock().await;
    let Some(plan) = state.plan(reading, now) else { return Ok(false) };
    count(node, connector, &plan.notes);
    let Plan { actions, .. } = &plan;
    // What is to be on disk comes first: should that fail, nothing was shown, and the callback can come again.
    let (durable, live): (Vec<_>, Vec<_>) = actions.iter().enumerate().partition(|(_, action)| is_durable(action));
    for (place, action) in durable.into_iter().chain(live) {
        act(node, connector, client_id, (action, &key, place)).await?;
    }
    state.keep(plan, now);
    Ok(true)
}

fn is_durable(action: &Action) -> bool {
    match action {
        Action::Retract { .. } => true,
        Action::Post(post) => post.sub_type == SubType::MissedCall,
    }
}

fn reading(node: &Node, connector: &Connector, headers: &HeaderMap, body: &Bytes) -> Result<Reading, ApiError> {
    let setting = &connector.setting;
    let directory = node.directories.of(&setting.customer);
    let people = directory.as_deref().map_or(People::Ids, People::Directory);
    let rings_for: Vec<_> = setting.negotiators.iter().map(ToString::to_string).collect();
    let event = headers.get(EVENT).and_then(|value| value.to_str().ok());
    let callback = Callback { event, body, received: node.clock.now() };
    let read = read(setting.vendor, callback, people, &rings_for);
    read.map_err(|error| ApiError::Unreadable(format!("The callback cannot be used: {error}")))
}

fn count(node: &Node, connector: &Connector, notes: &[Note]) {
    for note in notes {
        let of = OfNote { vendor: connector.setting.vendor.name(), reason: note.name() };
        node.metrics.callback_notes.get_or_create(&of).inc();
    }
}

async fn act(
    node: &Node,
    connector: &Connector,
    client_id: ClientId,
    (action, key, place): (&Action, &[u8; 32], usize),
) -> Result<(), ApiError> {
    let customer = connector.setting.customer;
    match action {
        Action::Retract { negotiator, call } => {
            let Ok(negotiator) = NegotiatorId::parse(negotiator) else { return Ok(()) };
            Ok(node.store.retract_missed(Recipient { customer, negotiator }, call.clone()).await?)
        }
        Action::Post(post) => {
            let products: Vec<_> = connector.setting.products.iter().map(Product::as_str).collect();
            let body = post.envelope(&products).to_string();
            let envelope = Envelope::parse(body.as_bytes(), &node.config.products).map_err(refuse)?;
            let stamp = Stamp { id: node.new_id(), at: node.clock.now() };
            let event = authorise(&caller(connector, client_id), customer, Grant::Everything, envelope, stamp)?;
            let claim = claim(key, place).map(|key| ((client_id, customer, key), <[u8; 32]>::from(Sha256::digest(&body))));
            dispatch(node, &event, claim, Instant::now().into_std()).await?;
            Ok(())
        }
    }
}

fn caller(connector: &Connector, client_id: ClientId) -> Caller {
    Caller {
        client_id: Some(client_id),
        scopes: [Scope::TelephonyWrite.name().to_owned()].into(),
        identity: Identity::Customer(connector.setting.customer),
        expires: Timestamp::MAX,
    }
}

/// The same for a repeat of the callback after a crash: what was on disk by then is not written again.
fn claim(key: &[u8; 32], place: usize) -> Option<IdempotencyKey> {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    IdempotencyKey::parse(&format!("{hex}-{place}")).ok()
}

fn refuse(malformed: Malformed) -> ApiError {
    match malformed {
        Malformed::Unreadable(_) => ApiError::Internal,
        Malformed::Invalid(faults) => ApiError::Invalid(faults),
    }
}
