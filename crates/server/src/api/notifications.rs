//! Taking notifications in, saying what became of them; listing missed calls, taking them away.

use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;
use clock::Moment;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{Request, Response, StatusCode};
use protocol::authorise::{Identity, Scope, Stamp, authorise};
use protocol::envelope::{BODY_BYTES_MAX, Envelope};
use protocol::fault::Malformed;
use protocol::id::{EventId, IdempotencyKey, Product};
use protocol::time;
use serde::Serialize;
use sessions::receipts::{Poster, TargetReceipts};
use sessions::registry::When;
use sha2::{Digest, Sha256};
use store::missed::{ListVersion, Listed, Page};

use crate::api::faults::{ApiError, Body, Unavailable};
use crate::api::request::{
    Speaker, check_content_type, check_length, idempotency_key, list_owner, prefers_representation, query, read_body,
};
use crate::app::Node;
use crate::dispatch::{Dispatched, Keyed, Posted, dispatch};
use crate::idempotency::{Running, Seen};
use crate::net::headers::{Headers, listed};
use crate::net::http1::{Head, Said, Usual};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PAGE_SIZE_DEFAULT: u32 = 25;
const PAGE_SIZE_MAX: u32 = 100;

/// `POST /notifications`
pub(crate) async fn post(node: &Node, peer: IpAddr, request: &mut Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let asked = Asked::read(node, peer, request.headers(), node.clock.moment()).await?;
    let body = read_body(request.body_mut(), BODY_BYTES_MAX, node.config.limits.body_timeout).await?;
    let now = node.clock.moment();
    take(node, asked, &body, When { taken: now.running, now }).await
}

/// As [`post`], where head and body came at one time. Of an event that is taken, beside the answer stands what a new head said that can
/// be said again.
pub(crate) async fn post_usual(
    node: &Node,
    peer: IpAddr,
    request: &Usual<'_>,
) -> Result<(Response<Body>, Option<Said>), ApiError> {
    let (asked, said, now) = match &request.head {
        Head::New(headers) => {
            let asked = Asked::read(node, peer, headers, request.taken).await?;
            let said = asked.said();
            // Not before: a token that is not known has been waited for.
            (asked, said, node.clock.moment())
        }
        Head::Again(said) => (Asked::again(node, said, request.taken)?, None, request.taken),
    };
    let response = take(node, asked, request.body, When { taken: request.taken.running, now }).await?;
    Ok((response, said))
}

async fn take(node: &Node, asked: Asked, body: &[u8], when: When) -> Result<Response<Body>, ApiError> {
    let now = when.now;
    let Asked { speaker, key, represent } = asked;
    let envelope = Envelope::parse(body, &node.products).map_err(refuse_body)?;
    check_directory(node, &speaker, &envelope)?;
    let stamp = Stamp { id: node.new_id_at(now.wall), at: now.wall };
    let event = authorise(speaker.caller(), speaker.customer, speaker.grant(), envelope, stamp)?;

    let owner = speaker.caller().client_id().zip(key).map(|(client_id, key)| (client_id, Some(speaker.customer), key));
    let claim = owner.map(|owner| (owner, <[u8; 32]>::from(Sha256::digest(body))));
    let running = match claim.map(|(owner, body)| node.keys.claim(owner, body, now.running)) {
        None => None,
        Some(Seen::First(running)) => Some(running),
        Some(Seen::Before(receipt)) => return Ok(replayed(node, receipt, represent)),
        Some(Seen::Conflict) => return Err(ApiError::KeyConflict),
        Some(Seen::StillRunning) => return Err(ApiError::KeyRunning),
        Some(Seen::Full) => return Err(ApiError::Unavailable(Unavailable::Keys)),
    };
    let shown = running.as_ref().and_then(|running| running.shown.clone());
    let keyed = claim.map(|(owner, body)| Keyed { owner, body, shown });
    match dispatch(node, &event, Posted { when, key: keyed, asks: represent }).await? {
        Dispatched::Done(receipt) => {
            remember(running, &receipt);
            Ok(accepted(receipt, represent))
        }
        Dispatched::Repeated(receipt) => {
            remember(running, &receipt);
            Ok(replayed(node, receipt, represent))
        }
        Dispatched::Conflict => Err(ApiError::KeyConflict),
        Dispatched::Shown(receipt, error) => {
            if let Some(running) = running {
                running.shown(receipt);
            }
            Err(error.into())
        }
    }
}

/// What the head of a request says.
#[derive(Debug)]
struct Asked {
    speaker: Speaker,
    key: Option<IdempotencyKey>,
    /// Whether the caller asks what became of the event.
    represent: bool,
}

impl Asked {
    /// All that can be checked before the body is read.
    async fn read(node: &Node, peer: IpAddr, headers: &impl Headers, now: Moment) -> Result<Self, ApiError> {
        check_length(headers, BODY_BYTES_MAX)?;
        let speaker = Speaker::identify(node, peer, headers, now).await?;
        check_content_type(headers)?;
        Ok(Self { speaker, key: idempotency_key(headers)?, represent: prefers_representation(headers) })
    }

    /// As [`Asked::read`], of a head that was good before.
    fn again(node: &Node, said: &Said, now: Moment) -> Result<Self, ApiError> {
        let Said { verified, customer, represent } = said;
        Ok(Self { speaker: Speaker::again(node, verified.clone(), *customer, now)?, key: None, represent: *represent })
    }

    /// What can be said again: a key is another each time.
    fn said(&self) -> Option<Said> {
        let Speaker { verified, customer, .. } = &self.speaker;
        self.key.is_none().then(|| Said { verified: verified.clone(), customer: *customer, represent: self.represent })
    }
}

/// Where the customer has a directory, everybody who is named must be in it; the scope is asked for first, since the refusal names
/// who is there.
fn check_directory(node: &Node, speaker: &Speaker, envelope: &Envelope<'_>) -> Result<(), ApiError> {
    let Some(directory) = node.directories.of(&speaker.customer) else { return Ok(()) };
    speaker.permit(Scope::TelephonyWrite)?;
    let faults = directory.check_envelope(envelope, speaker.customer);
    if faults.is_empty() { Ok(()) } else { Err(ApiError::Invalid(faults)) }
}

fn refuse_body(malformed: Malformed) -> ApiError {
    match malformed {
        Malformed::Unreadable(_) => ApiError::Unreadable(format!("The body cannot be used: {malformed}")),
        Malformed::Invalid(faults) => ApiError::Invalid(faults),
    }
}

fn remember(running: Option<Running<'_>>, receipt: &str) {
    if let Some(running) = running {
        running.finished(receipt.to_owned());
    }
}

fn accepted(receipt: String, represent: bool) -> Response<Body> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    if represent {
        *response.body_mut() = Full::from(receipt);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=representation"));
    }
    response
}

fn replayed(node: &Node, receipt: String, represent: bool) -> Response<Body> {
    node.metrics.replays.inc();
    let mut response = accepted(receipt, represent);
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    response
}

/// `GET /notifications`
pub(crate) async fn list(node: &Node, peer: IpAddr, request: &Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let speaker = Speaker::identify(node, peer, request.headers(), node.clock.moment()).await?;
    let [negotiator, size, after] = query(request.uri().query(), ["negotiatorId", "pageSize", "after"])?;
    let owner = list_owner(&speaker, negotiator.as_deref())?;
    let page = Page { product: product(&speaker), after: after_id(after.as_deref())?, size: page_size(size.as_deref())? };
    // Read before the rows: were it read after them, a change in between would be hidden for ever.
    let current = etag(&node.store.missed_version(&owner), page);
    if matches(request.headers(), &current) {
        return Ok(with_etag(Response::new(Full::default()), StatusCode::NOT_MODIFIED, &current));
    }
    let listed = node.store.list_missed(owner, page).await?;
    let next = listed.calls.last().filter(|_| listed.more).map(|last| next_page(negotiator.as_deref(), page.size, last.id));
    let mut response = Response::new(Full::from(Bytes::from(render(&listed, next))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(with_etag(response, StatusCode::OK, &etag(&listed.version, page)))
}

/// A person sees what named the product of the token, an application sees all.
fn product(speaker: &Speaker) -> Option<Product> {
    match speaker.caller().identity {
        Identity::Person(_, product) => Some(product),
        Identity::Application | Identity::Customer(_) => None,
    }
}

fn after_id(text: Option<&str>) -> Result<Option<EventId>, ApiError> {
    let id = text.map(EventId::parse).transpose();
    id.map_err(|error| ApiError::Unreadable(format!("The query parameter after {error}: the id of an item")))
}

fn page_size(text: Option<&str>) -> Result<u32, ApiError> {
    let Some(text) = text else { return Ok(PAGE_SIZE_DEFAULT) };
    let size = text.parse().ok().filter(|size| (1..=PAGE_SIZE_MAX).contains(size));
    size.ok_or_else(|| ApiError::Unreadable(format!("The query parameter pageSize must be 1 to {PAGE_SIZE_MAX}, got {text:?}")))
}

/// Stands for one content of one page: the list's version, and what of the list was asked for.
fn etag(version: &ListVersion, page: Page) -> String {
    let asked = Sha256::digest(format!("{:?}", (page.product, page.after, page.size)));
    let asked = asked.iter().take(6).fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    });
    format!("\"{version}-{asked}\"")
}

/// RFC 9110 §13.1.2: any of the listed tags, compared weakly.
fn matches(headers: &HeaderMap, current: &str) -> bool {
    listed(headers, &IF_NONE_MATCH).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
}

fn with_etag(mut response: Response<Body>, status: StatusCode, etag: &str) -> Response<Body> {
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, value);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

fn next_page(negotiator: Option<&str>, size: u32, last: EventId) -> String {
    let negotiator = negotiator.map(|negotiator| format!("negotiatorId={negotiator}&")).unwrap_or_default();
    format!("/notifications?{negotiator}pageSize={size}&after={last}")
}

/// Writes a page; what was kept of a call is an object already, and is put in as it is.
fn render(listed: &Listed, next: Option<String>) -> String {
    let mut text = String::from(r#"{"_embedded":["#);
    for (place, call) in listed.calls.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let (id, created, members) = (call.id, time::millis(call.created), call.notification.get(1..).unwrap_or("}"));
        let _infallible = write!(text, r#"{comma}{{"id":"{id}","created":"{created}",{members}"#);
    }
    match next {
        Some(href) => drop(write!(text, r#"],"_links":{{"next":{{"href":"{href}"}}}}}}"#)),
        None => text.push_str(r#"],"_links":{}}"#),
    }
    text
}

#[derive(Serialize)]
struct Receipts {
    id: EventId,
    targets: Vec<TargetReceipts>,
}

/// `GET /notifications/{id}/receipts`
pub(crate) async fn receipts(
    node: &Node,
    peer: IpAddr,
    request: &Request<Incoming>,
    id: &str,
) -> Result<Response<Body>, ApiError> {
    let speaker = Speaker::identify(node, peer, request.headers(), node.clock.moment()).await?;
    let [] = query(request.uri().query(), [])?;
    speaker.permit(Scope::TelephonyWrite)?;
    let poster = speaker.caller().client_id().map(|client_id| Poster { client_id, customer: speaker.customer });
    let found = EventId::parse(id).ok().zip(poster).and_then(|(id, poster)| Some((id, node.registry.receipts_of(id, poster)?)));
    let (id, targets) = found.ok_or(ApiError::NoReceipts(node.config.sessions.ring.age_max))?;
    let text = serde_json::to_string(&Receipts { id, targets }).map_err(|_unserialisable| ApiError::Internal)?;
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `DELETE /notifications/{id}`; an id that is in none of the caller's lists changes nothing and is no error.
pub(crate) async fn delete(node: &Node, peer: IpAddr, request: &Request<Incoming>, id: &str) -> Result<Response<Body>, ApiError> {
    let speaker = Speaker::identify(node, peer, request.headers(), node.clock.moment()).await?;
    let [] = query(request.uri().query(), [])?;
    let of = match speaker.caller().identity {
        Identity::Person(own, product) => Some((own.negotiator, product)),
        Identity::Application | Identity::Customer(_) => {
            speaker.permit(Scope::TelephonyWrite)?;
            None
        }
    };
    if let Ok(id) = EventId::parse(id) {
        node.store.delete_missed(id, speaker.customer, of).await?;
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
