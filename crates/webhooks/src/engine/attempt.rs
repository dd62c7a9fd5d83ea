//! One request: made from the stored event, sent, judged, recorded.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use catalogues::Entity;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use jiff::Timestamp;
use protocol::fault::Malformed;
use protocol::id::CustomerId;
use protocol::{json, time};
use serde::{Deserialize, Serialize};
use store::webhooks::{AttemptOutcome, Disposition};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::book::Endpoint;
use crate::engine::Engine;
use crate::event::TopicEvent;
use crate::metrics::{Came, OfAttempt};
use crate::report::read;
use crate::schedule::{Finished, Item};
use crate::sender::{Exchange, Target, shown};
use crate::sign::Message;
use crate::url::Host;
use crate::verdict::{Answer, Attempted, Decision, Unreachable, Verdict, judge};

const OWN_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("bellwire/", env!("CARGO_PKG_VERSION")));
/// Bytes of an answer's body that are kept, and of its headers.
const BODY_KEPT_MAX: usize = 4 * 1024;
const HEADERS_KEPT_MAX: usize = 1024;
/// How many headers a request has, about.
const HEADERS_SENT: usize = 12;
/// What a ping's event says of whom and what it is: Reapit's own.
const PING_CUSTOMER: &str = "webhook-test";
const PING_ENTITY: &str = "9e7e4181-6210-49ea-abf5-d5ce16d23647";

/// An attempt as it is kept and shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When it began.
    pub at: String,
    /// The topic.
    pub topic_id: String,
    /// `success` or `failure`.
    pub outcome: String,
    /// The status that the receiver answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer, in general words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same in particular: for operators, since it tells what stands in the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why it is, or is not, sent again.
    pub why: String,
    /// Where it was sent.
    pub url: String,
    /// Which request of the delivery it was, from 1.
    pub sends: u32,
    /// Whether it went over a kept connection.
    pub reused: bool,
    /// The address that it was sent to: for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// How long each phase took, in milliseconds.
    pub phases: ShownPhases,
    /// The headers of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The begin of the answer's body; what is no UTF-8 is replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl Record {
    /// Takes out what would let whoever chooses the URL look around in this network.
    pub fn for_its_owner(&mut self) {
        self.ip = None;
        let detail = self.detail.take();
        if let Some(error) = &self.error {
            self.phases = ShownPhases::default();
            self.why = detail.map_or_else(|| error.clone(), |detail| self.why.replace(&detail, error));
        }
    }
}

/// How long each phase took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ShownPhases {
    /// Resolving the host's name.
    #[serde(skip_serializing_if = "is_zero")]
    pub resolve: f64,
    /// Connecting.
    #[serde(skip_serializing_if = "is_zero")]
    pub connect: f64,
    /// TLS.
    #[serde(skip_serializing_if = "is_zero")]
    pub tls: f64,
    /// From the begin of the request to the head of the answer.
    pub first_byte: f64,
    /// Reading the body.
    pub body: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(millis: &f64) -> bool {
    *millis == 0.0
}

/// One request, made.
struct Tried<'a> {
    endpoint: &'a Arc<Endpoint>,
    event: &'a TopicEvent<'a>,
    sends: u32,
    began: Timestamp,
    exchange: Exchange,
    verdict: Verdict,
}

/// A ping, and what came of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pinged {
    /// Whether the receiver took it.
    pub success: bool,
    /// The attempt.
    #[serde(flatten)]
    pub record: Record,
}

fn address(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Address(address) => address.to_string(),
    }
}

/// What kept an attempt from an answer, as one of a few words.
fn kind(why: &Unreachable) -> &'static str {
    match why {
        Unreachable::Resolve(_) => "resolve",
        Unreachable::Forbidden(_) => "forbidden",
        Unreachable::Connect(_) => "connect",
        Unreachable::Tls(_) => "tls",
        Unreachable::TimedOut { .. } => "timeout",
        Unreachable::Broken(_) => "broken",
    }
}

/// Notes in the span of an attempt what came of it.
fn note(span: &Span, exchange: &Exchange) {
    match &exchange.answer {
        Answer::Status { status, .. } => {
            span.record("http.response.status_code", status);
            if !(200..300).contains(status) {
                span.record("otel.status_code", "ERROR");
            }
        }
        Answer::Unreachable(why) => {
            span.record("error.type", kind(why)).record("otel.status_code", "ERROR");
        }
    }
}

impl Engine {
    /// Sends a delivery whose turn it is.
    pub(super) async fn attempt(&self, endpoint: Arc<Endpoint>, item: Item) {
        let began = self.now();
        if item.sends == 0 {
            let waited = began.as_millisecond() - item.taken;
            self.shared
                .metrics
                .taken_to_attempted
                .observe(Duration::from_millis(u64::try_from(waited).unwrap_or(0)).as_secs_f64());
        }
        let sends = item.sends + 1;
        // It was read before it came here.
        let Ok(event) = TopicEvent::read(&item.document) else { return self.withhold(&endpoint, &item) };
        if !self.is_granted(&endpoint, &event) {
            return self.withhold(&endpoint, &item);
        }
        let started = std::time::Instant::now();
        let exchange = self.send(&endpoint, &event, sends, began).await;
        self.shared.metrics.attempt.observe(started.elapsed().as_secs_f64());
        let now = self.now();
        let attempted = Attempted { failures: item.failures, sandbox: event.sandbox, now, jitter: share(item.event, sends) };
        let verdict = judge(endpoint.profile, &exchange.answer, attempted);
        let tried = Tried { endpoint: &endpoint, event: &event, sends, began, exchange, verdict };
        self.gather(self.outcome(&tried, &item), Some(&endpoint.subscription.application));
        self.conclude(&tried, &item);
    }

    /// Whether the application may still be told: grants and installations can have been taken away since.
    fn is_granted(&self, endpoint: &Endpoint, event: &TopicEvent<'_>) -> bool {
        let (application, concerned) = (&endpoint.subscription.application, self.concerned(event));
        endpoint.subscription.by_operator
            || self.shared.grants.allow(application, &event.topic, &event.customer, concerned.as_deref())
    }

    /// Records that a delivery was not sent, since the application may not be told any more.
    fn withhold(&self, endpoint: &Endpoint, item: &Item) {
        let number = endpoint.subscription.number;
        let outcome = AttemptOutcome {
            endpoint: number,
            event: item.event,
            disposition: Disposition::Suppressed,
            failures: item.failures,
            sends: item.sends,
            attempt: None,
        };
        self.gather(outcome, None);
        self.shared.metrics.suppressed.inc();
        let how = Finished { answered: true, failed: false, was_slow: false, pause: None };
        self.lock().finished(number, item.event, how, self.now().as_millisecond());
    }

    async fn send(&self, endpoint: &Endpoint, event: &TopicEvent<'_>, sends: u32, at: Timestamp) -> Exchange {
        // A trace of its own: it may be days after the request that it is about.
        let span = tracing::debug_span!(
            parent: None,
            "attempt",
            otel.kind = "client",
            otel.status_code = Empty,
            server.address = address(endpoint.url.host()),
            event = %event.id,
            http.request.resend_count = sends - 1,
            http.response.status_code = Empty,
            error.type = Empty,
        );
        let exchange = self.post(endpoint, event, sends, at).instrument(span.clone()).await;
        note(&span, &exchange);
        exchange
    }

    async fn post(&self, endpoint: &Endpoint, event: &TopicEvent<'_>, sends: u32, at: Timestamp) -> Exchange {
        if let Some(refusal) = &endpoint.refusal {
            return Exchange::unsent(Unreachable::Forbidden(refusal.clone()));
        }
        let body = Bytes::from((endpoint.profile.render)(event, sends));
        let mut headers = HeaderMap::with_capacity(HEADERS_SENT);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(endpoint.profile.content_type));
        headers.insert(USER_AGENT, endpoint.profile.user_agent.map_or(OWN_USER_AGENT, HeaderValue::from_static));
        let topic = HeaderValue::from_str(&event.topic).ok();
        headers.extend(endpoint.profile.topic_header.map(HeaderName::from_static).zip(topic));
        headers.extend(endpoint.headers.iter().cloned());
        endpoint.signer.prove(endpoint.profile.proofs, Message { id: &event.id, at, body: &body }, &mut headers);
        let target = Target { url: &endpoint.url, insecure: endpoint.subscription.wish.insecure_tls };
        self.shared.sender.post(target, headers, body, endpoint.profile.response_timeout).await
    }

    fn outcome(&self, tried: &Tried<'_>, item: &Item) -> AttemptOutcome {
        let (disposition, failures) = match &tried.verdict.decision {
            Decision::Delivered => (Disposition::Delivered, item.failures),
            Decision::Retry(at) => (Disposition::Retry(*at), item.failures + 1),
            Decision::Dead | Decision::Gone => (Disposition::Dead, item.failures + 1),
        };
        let text = json::encode(&record(tried));
        let endpoint = tried.endpoint.subscription.number;
        let attempt = Some((self.new_number(), text));
        AttemptOutcome { endpoint, event: item.event, disposition, failures, sends: tried.sends, attempt }
    }

    /// Tells everybody who is concerned how it went.
    fn conclude(&self, tried: &Tried<'_>, item: &Item) {
        let (Tried { endpoint, exchange, verdict, .. }, metrics) = (tried, &self.shared.metrics);
        let came = match &verdict.decision {
            Decision::Delivered => Came::delivered,
            Decision::Retry(_) => Came::retried,
            Decision::Dead | Decision::Gone => Came::dead,
        };
        metrics.dead.inc_by(u64::from(came == Came::dead));
        metrics.attempts.get_or_create(&OfAttempt { profile: endpoint.profile.name, outcome: came }).inc();
        metrics.reused.inc_by(u64::from(exchange.reused));
        let (answered, failed) = match &exchange.answer {
            Answer::Status { status, .. } => (true, *status >= 500),
            Answer::Unreachable(unreachable) => {
                metrics.forbidden.inc_by(u64::from(matches!(unreachable, Unreachable::Forbidden(_))));
                (false, true)
            }
        };
        let number = endpoint.subscription.number;
        tracing::debug!(subscription = %endpoint.subscription.id, event = item.event, why = %verdict.why, "webhook attempted");
        self.note_health(endpoint, &verdict.decision);
        let how = Finished { answered, failed, was_slow: false, pause: verdict.pause };
        self.lock().finished(number, item.event, how, self.now().as_millisecond());
    }

    /// Larger than all before it, and near to the time in microseconds.
    fn new_number(&self) -> i64 {
        let now = self.now().as_microsecond();
        let last = self.shared.numbers.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(now.max(last + 1)));
        now.max(last.unwrap_or(now) + 1)
    }

    /// Sends the example of a topic now, once, whatever the subscription's state; its health and its log know nothing of it. `None`
    /// where the subscription is not about the topic.
    pub async fn ping(&self, id: &str, topic: &str) -> Option<Pinged> {
        let endpoint = self.find(id)?;
        let topic = self.shared.catalogues.topic(topic).filter(|topic| endpoint.subscription.wish.is_about(topic))?;
        let example = self.example(topic.example)?;
        let mut event = TopicEvent::read(&example).ok()?;
        event.customer = CustomerId::parse(PING_CUSTOMER).ok()?;
        // Where the id must be a number it stays that of the example.
        if topic.entity != Entity::Integer {
            event.entity = Some(Cow::Borrowed(PING_ENTITY));
        }
        let began = self.now();
        event.time = began;
        let exchange = self.send(&endpoint, &event, 1, began).await;
        let attempted = Attempted { failures: u32::MAX, sandbox: false, now: self.now(), jitter: 0.0 };
        let mut verdict = judge(endpoint.profile, &exchange.answer, attempted);
        if verdict.decision != Decision::Delivered {
            verdict.why = match &exchange.answer {
                Answer::Status { status, .. } => format!("{status} is not success under the profile {}", endpoint.profile.name),
                Answer::Unreachable(unreachable) => unreachable.coarse().to_owned(),
            };
        }
        let success = verdict.decision == Decision::Delivered;
        let tried = Tried { endpoint: &endpoint, event: &event, sends: 1, began, exchange, verdict };
        Some(Pinged { success, record: record(&tried) })
    }

    /// The event of a topic's example. Those of bellwire's own catalogue are not reported, but look the same.
    fn example(&self, example: &str) -> Option<String> {
        match read(example.as_bytes(), &self.shared.catalogues, &|| self.new_id().hyphenated()) {
            Ok(reports) => reports.events.into_iter().next().map(|reported| reported.document),
            Err(Malformed::Unreadable(_)) => None,
            Err(Malformed::Invalid(_)) => self.own_example(example),
        }
    }
}

fn record(tried: &Tried<'_>) -> Record {
    let Tried { endpoint, event, sends, began, exchange, verdict } = tried;
    let millis = |micros: u64| (Duration::from_micros(micros).as_secs_f64() * 1e6).round() / 1000.0;
    let phases = exchange.phases;
    let (status, error, detail) = match &exchange.answer {
        Answer::Status { status, .. } => (Some(*status), None, None),
        Answer::Unreachable(unreachable) => (None, Some(unreachable.coarse().to_owned()), Some(unreachable.to_string())),
    };
    let mut room = HEADERS_KEPT_MAX;
    let headers = exchange.headers.iter().map_while(|(name, value)| {
        let value = shown(name, value);
        room = room.checked_sub(name.as_str().len() + value.len())?;
        Some((name.as_str().to_owned(), value))
    });
    let body = exchange.body.get(..exchange.body.len().min(BODY_KEPT_MAX)).unwrap_or_default();
    Record {
        at: time::millis(*began).to_string(),
        topic_id: event.topic.clone().into_owned(),
        outcome: if verdict.decision == Decision::Delivered { "success" } else { "failure" }.to_owned(),
        status,
        error,
        detail,
        why: verdict.why.clone(),
        url: endpoint.url.to_string(),
        sends: *sends,
        reused: exchange.reused,
        ip: exchange.peer.map(|peer| peer.to_string()),
        phases: ShownPhases {
            resolve: millis(phases.resolve),
            connect: millis(phases.connect),
            tls: millis(phases.tls),
            first_byte: millis(phases.first_byte),
            body: millis(phases.body),
        },
        headers: headers.collect(),
        body: String::from_utf8_lossy(body).into_owned(),
    }
}

/// A share of the jitter, 0 to 1, that differs from delivery to delivery.
fn share(event: i64, sends: u32) -> f64 {
    let hash = Item::key_of(&format!("{event} {sends}"));
    f64::from(u32::try_from(hash >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
