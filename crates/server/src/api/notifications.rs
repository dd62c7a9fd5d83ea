//! Taking notifications in, saying what became of them; listing missed calls, taking them away.

use std::fmt::Write;

use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{Response, StatusCode};
use protocol::authorise::{Identity, Scope};
use protocol::envelope::BODY_BYTES_MAX;
use protocol::id::{EventId, IdempotencyKey, Product};
use protocol::json;
use protocol::time;
use serde::Serialize;
use sessions::receipts::{Poster, TargetReceipts};
use sessions::registry::When;
use sha2::{Digest, Sha256};
use store::missed::{ListVersion, Listed, Page};

use super::answer::empty;
use super::call::Asking;
use super::faults::ApiError;
use super::identify::{admit, authenticate, bearer, identify, list_owner, spoken_for};
use super::request::{check_content_type, idempotency_key, prefers_representation, query};
use crate::auth::Authenticated;
use crate::idempotency::Once;
use crate::memo::{Memo, Said};
use crate::net::headers::{Headers, listed};
use crate::net::outgoing::Outgoing;
use crate::net::request::{Body, Head, Payload, Request, check_length};
use crate::net::service::REQUEST_ID;
use crate::node::Node;
use crate::post::{PostKey, Posting, post as post_event};
use crate::speaker::Speaker;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PAGE_SIZE_DEFAULT: u32 = 25;
const PAGE_SIZE_MAX: u32 = 100;

/// `POST /notifications`
pub(super) async fn post(node: &Node, request: Request<'_>) -> Result<Response<Outgoing>, ApiError> {
    let Request { head, body, memo } = request;
    let (EventHead { speaker, key, represent }, now) = match memo.recall() {
        Some(said) => (EventHead::again(node, said, head)?, head.taken),
        // Not before: a token that is not known has been waited for.
        None => (EventHead::read(node, head, memo).await?, node.clock.moment()),
    };
    let (body, when) = match body {
        Body::Here(body) => (Payload::Here(body), When { taken: head.taken.running, now }),
        Body::Coming(_) => {
            let body = body.read(BODY_BYTES_MAX, node.config.limits.body_timeout).await?;
            let now = node.clock.moment();
            (body, When { taken: now.running, now })
        }
    };
    match post_event(node, &speaker, &body, Posting { when, key: key.map(PostKey::OfProvider), asks: represent }).await? {
        Once::Done(receipt) => Ok(accepted(receipt, represent)),
        Once::Repeated(receipt) => Ok(replayed(node, receipt, represent)),
    }
}

/// What the head of an event says: all that can be checked before its body is read.
#[derive(Debug)]
struct EventHead {
    speaker: Speaker,
    key: Option<IdempotencyKey>,
    /// Whether the caller asks what became of the event.
    represent: bool,
}

impl EventHead {
    async fn read(node: &Node, head: Head<'_>, memo: &mut Memo) -> Result<Self, ApiError> {
        let (headers, taken) = (head.headers, head.taken);
        check_length(headers, BODY_BYTES_MAX)?;
        let Authenticated { verified, .. } = authenticate(node, head, bearer(headers)?).await?;
        let customer = spoken_for(&verified.caller, headers)?;
        let speaker = admit(node, verified.caller.clone(), customer, taken.running)?;
        check_content_type(headers)?;
        let (key, represent) = (idempotency_key(headers)?, prefers_representation(headers));
        // A key is another each time, and so is the id of a request.
        if key.is_none() && !headers.has(&REQUEST_ID) {
            memo.learn(Said { verified, customer, represent });
        }
        Ok(Self { speaker, key, represent })
    }

    /// As [`Self::read`], of a head that was good before.
    fn again(node: &Node, said: &Said, head: Head<'_>) -> Result<Self, ApiError> {
        let speaker = admit(node, said.verified.caller.clone(), said.customer, head.taken.running)?;
        Ok(Self { speaker, key: None, represent: said.represent })
    }
}

fn accepted(receipt: String, represent: bool) -> Response<Outgoing> {
    let mut response = empty(StatusCode::ACCEPTED);
    if represent {
        *response.body_mut() = Outgoing::from(receipt);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=representation"));
    }
    response
}

fn replayed(node: &Node, receipt: String, represent: bool) -> Response<Outgoing> {
    node.metrics.replays.inc();
    let mut response = accepted(receipt, represent);
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    response
}

/// `GET /notifications`
pub(super) async fn list(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let Asking { node, head, .. } = of;
    let speaker = identify(node, head).await?;
    let [negotiator, size, after] = query(head.query, ["negotiatorId", "pageSize", "after"])?;
    let owner = list_owner(&speaker, negotiator.as_deref())?;
    let page = Page { product: product(&speaker), after: after_id(after.as_deref())?, size: page_size(size.as_deref())? };
    // Read before the rows: were it read after them, a change in between would be hidden for ever.
    let current = etag(&node.store.missed_version(&owner), page);
    if matches(head.headers, &current) {
        return Ok(with_etag(Response::default(), StatusCode::NOT_MODIFIED, &current));
    }
    let listed = node.store.list_missed(owner, page).await?;
    let next = listed.calls.last().filter(|_| listed.more).map(|last| next_page(negotiator.as_deref(), page.size, last.id));
    let mut response = Response::new(Outgoing::from(render(&listed, next)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(with_etag(response, StatusCode::OK, &etag(&listed.version, page)))
}

/// A person sees what named the product of the token, an application sees all.
fn product(speaker: &Speaker) -> Option<Product> {
    match speaker.caller.identity {
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
fn matches(headers: Headers<'_>, current: &str) -> bool {
    listed(headers, &IF_NONE_MATCH).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
}

fn with_etag(mut response: Response<Outgoing>, status: StatusCode, etag: &str) -> Response<Outgoing> {
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
pub(super) async fn receipts(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let Asking { node, head, ids: [id, _], .. } = of;
    let speaker = identify(node, head).await?;
    let [] = query(head.query, [])?;
    speaker.permit(Scope::TelephonyWrite)?;
    let poster = speaker.caller.client_id().map(|client_id| Poster { client_id, customer: speaker.customer });
    let found = EventId::parse(id).ok().zip(poster).and_then(|(id, poster)| Some((id, node.registry.receipts_of(id, poster)?)));
    let (id, targets) = found.ok_or(ApiError::NoReceipts(node.config.sessions.ring.age_max))?;
    let text = json::encode(&Receipts { id, targets });
    let mut response = Response::new(Outgoing::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `DELETE /notifications/{id}`; an id that is in none of the caller's lists changes nothing and is no error.
pub(super) async fn delete(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let Asking { node, head, ids: [id, _], .. } = of;
    let speaker = identify(node, head).await?;
    let [] = query(head.query, [])?;
    let of = match speaker.caller.identity {
        Identity::Person(own, product) => Some((own.negotiator, product)),
        Identity::Application | Identity::Customer(_) => {
            speaker.permit(Scope::TelephonyWrite)?;
            None
        }
    };
    if let Ok(id) = EventId::parse(id) {
        node.store.delete_missed(id, speaker.customer, of).await?;
    }
    Ok(empty(StatusCode::NO_CONTENT))
}
