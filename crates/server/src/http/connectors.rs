//! `POST /connectors/{id}`: a telephone system's own callback.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectors::action::{Action, Post};
use connectors::callback::Callback;
use connectors::fact::{Note, Reading};
use connectors::people::People;
use connectors::vendor::{SecretPlace, read};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use jiff::Timestamp;
use protocol::authorise::{Caller, Grant, Identity, Scope, Stamp, authorise};
use protocol::envelope::Envelope;
use protocol::fault::Malformed;
use protocol::id::{ClientId, ConnectorId, IdempotencyKey, NegotiatorId, Product, Recipient};
use protocol::payload::SubType;
use sessions::registry::When;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::app::Node;
use crate::auth::TokenError;
use crate::connectors::Connector;
use crate::dispatch::{Dispatched, Keyed, Posted, dispatch};
use crate::http::error::{ApiError, Body, Unavailable};
use crate::http::request::{admit_stranger, check_length, read_body};
use crate::metrics::{OfCallback, OfNote};

/// The largest callback: Enreach's lists of attempts have no documented bound.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a callback waits for those before it: Avaya gives 5 s in all.
const TURN: Duration = Duration::from_secs(3);
/// Where Enreach names the event.
const EVENT: &str = "x-benemen-event";

/// Takes a callback; `secret` is what stands behind the id in the path. When it answers 200, all that follows is done: what is
/// live is queued, what was missed is on disk.
pub(crate) async fn take(
    node: &Arc<Node>,
    peer: IpAddr,
    request: &mut Request<Incoming>,
    (id, secret): (&str, Option<&str>),
) -> Result<Response<Body>, ApiError> {
    check_length(request.headers(), BODY_BYTES_MAX)?;
    let connector = ConnectorId::parse(id).ok().and_then(|id| node.connectors.find(&id));
    let Some(connector) = connector else {
        admit_stranger(node, peer)?;
        return Err(ApiError::NoConnector);
    };
    let (client_id, vendor) = (admit(node, peer, &connector, request.headers(), secret)?, connector.setting.vendor.name());
    let body = read_body(request.body_mut(), BODY_BYTES_MAX, node.config.limits.body_timeout).await?;
    // To its end even where the vendor goes: half of what follows from a callback is worse than none.
    let (acting, event) = (node.clone(), request.headers().get(EVENT).cloned());
    let doing = async move { do_once(&acting, &connector, client_id, (event, body)).await };
    let outcome = node.to_the_end(doing).await.unwrap_or(Err(ApiError::Internal));
    let name = match &outcome {
        Ok(true) => "taken",
        Ok(false) => "repeated",
        Err(_) => "refused",
    };
    node.metrics.callbacks.get_or_create(&OfCallback { vendor, outcome: name }).inc();
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
        SecretPlace::Header(name) => headers.get(name).map(HeaderValue::as_bytes),
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
    (event, body): (Option<HeaderValue>, Bytes),
) -> Result<bool, ApiError> {
    let directory = node.directories.of(&connector.setting.customer);
    let people = directory.as_deref().map_or(People::Ids, People::Directory);
    let reading = reading(node, connector, people, (event.as_ref(), &body))?;
    let (key, now, notes) = (reading.key, node.clock.running(), reading.notes.clone());
    // One that takes longer than this is sent again.
    let Ok(mut state) = timeout(TURN, connector.state.lock()).await else {
        return Err(ApiError::Unavailable(Unavailable::Connector));
    };
    let Some(plan) = state.plan(reading, people, now) else { return Ok(false) };
    count(node, connector, notes.iter().chain(&plan.notes));
    // What is to be on disk comes first: should that fail, nothing was shown, and the callback can come again.
    let (durable, live): (Vec<_>, Vec<_>) = plan.actions.iter().partition(|action| is_durable(action));
    for action in durable.into_iter().chain(live) {
        act(node, connector, client_id, (action, &key)).await?;
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

fn reading(
    node: &Node,
    connector: &Connector,
    people: People<'_>,
    (event, body): (Option<&HeaderValue>, &Bytes),
) -> Result<Reading, ApiError> {
    let setting = &connector.setting;
    let rings_for: Vec<_> = setting.negotiators.iter().map(ToString::to_string).collect();
    let event = event.and_then(|value| value.to_str().ok());
    let callback = Callback { event, body, received: node.clock.now() };
    let read = read(setting.vendor, callback, people, &rings_for);
    read.map_err(|error| ApiError::Unreadable(format!("The callback cannot be used: {error}")))
}

fn count<'a>(node: &Node, connector: &Connector, notes: impl Iterator<Item = &'a Note>) {
    for note in notes {
        let of = OfNote { vendor: connector.setting.vendor.name(), reason: note.name() };
        node.metrics.callback_notes.get_or_create(&of).inc();
    }
}

async fn act(
    node: &Node,
    connector: &Connector,
    client_id: ClientId,
    (action, key): (&Action, &[u8; 32]),
) -> Result<(), ApiError> {
    let customer = connector.setting.customer;
    match action {
        Action::Retract { negotiator, call } => {
            let Ok(negotiator) = NegotiatorId::parse(negotiator) else { return Ok(()) };
            Ok(node.store.retract_missed(Recipient { customer, negotiator }, call.clone()).await?)
        }
        Action::Post(post) if post.sub_type == SubType::MissedCall => {
            // Each under a key of their own, and all to their end: those who are on disk stay so, and others may be due.
            let each = post.targets.iter().map(|target| Post { targets: vec![target.clone()], ..post.clone() });
            let missed = each.map(|post| async move { give(node, connector, client_id, (&post, key)).await });
            futures::future::join_all(missed).await.into_iter().collect()
        }
        Action::Post(post) => give(node, connector, client_id, (post, key)).await,
    }
}

async fn give(node: &Node, connector: &Connector, client_id: ClientId, (post, key): (&Post, &[u8; 32])) -> Result<(), ApiError> {
    let customer = connector.setting.customer;
    // A product may have left the configuration since.
    let products = connector.setting.products.iter().filter(|product| node.config.products.contains(product));
    let body = post.envelope(&products.map(Product::as_str).collect::<Vec<_>>()).to_string();
    let envelope = Envelope::parse(body.as_bytes(), &node.products).map_err(refuse)?;
    let stamp = Stamp { id: node.new_id(), at: node.clock.now() };
    let event = authorise(&caller(connector, client_id), customer, Grant::Everything, envelope, stamp)?;
    let claim = claim(key, post).map(|(key, body)| Keyed { owner: (client_id, Some(customer), key), body, shown: None });
    let now = node.clock.moment();
    match dispatch(node, &event, Posted { when: When { taken: now.running, now }, key: claim, asks: false }).await? {
        Dispatched::Done(_) | Dispatched::Repeated(_) => Ok(()),
        Dispatched::Shown(_, error) => Err(error.into()),
        Dispatched::Conflict => {
            tracing::warn!(connector = %connector.id, "a callback came again and says something else; the first word stands");
            Ok(())
        }
    }
}

fn caller(connector: &Connector, client_id: ClientId) -> Caller {
    Caller {
        client_id: Some(Box::new(client_id)),
        scopes: [Scope::TelephonyWrite.name().to_owned()].into(),
        identity: Identity::Customer(connector.setting.customer),
        expires: Timestamp::MAX,
    }
}

/// What tells an event from all others, and as what it stands under that key. A call is missed once by each, whichever callback says
/// so: what was on disk before a crash, or before a failure, is not written again.
fn claim(key: &[u8; 32], post: &Post) -> Option<(IdempotencyKey, [u8; 32])> {
    let target = post.targets.first().map(String::as_str).unwrap_or_default();
    let of: [u8; 32] = match post.sub_type {
        SubType::MissedCall => Sha256::digest(format!("{} {target} {}", post.call, post.at)).into(),
        SubType::IncomingCall | SubType::AnsweredCall | SubType::EndedCall => *key,
    };
    let hex: String = of.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = IdempotencyKey::parse(&format!("{hex}-{}-{target}", post.sub_type.name())).ok()?;
    Some((key, of))
}

fn refuse(malformed: Malformed) -> ApiError {
    match malformed {
        Malformed::Unreadable(_) => ApiError::Internal,
        Malformed::Invalid(faults) => ApiError::Invalid(faults),
    }
}
