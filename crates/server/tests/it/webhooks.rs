//! Subscriptions and deliveries, over real sockets, with time stepped.

mod reapit; // Reapit's webhooks, statement by statement
mod standard; // Standard Webhooks, statement by statement
mod apirtc; // ApiRTC's webhooks, statement by statement
mod avaya; // Avaya's, statement by statement
mod enreach; // Enreach's, statement by statement
mod engine; // what holds for all profiles
mod lanes; // those that hang beside those that do not
mod purge; // what is kept goes
mod api; // subscriptions, log, replays; what is refused
mod hostile; // receivers that mean harm, and owners that do

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use client::api::{Api, CallAnswer};
use hyper::Method;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde_json::{Value, json};
use server::config::Config;

use crate::receiver::{Received, Receiver};
use crate::support::{Caller, PATIENCE, TestNode, body, strict, token};

const JSON: (&str, &str) = ("content-type", "application/json");
const SCOPES: &str = "contacts.read applicants.read landlords.read vendors.read appointments.read properties.read \
                      notifications.telephony.read notifications.telephony.write events.reapit.write events.apirtc.read \
                      events.apirtc.write events.avaya.read events.avaya.write events.enreach.write";

/// A node, a receiver, and the application "app", which may everything that is used here.
pub(crate) struct Scene {
    pub(crate) node: TestNode,
    pub(crate) receiver: Receiver,
    pub(crate) app: Caller,
    /// Where the node is no development node: the folder with the certificate that it trusts.
    trusted: Option<tempfile::TempDir>,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let node = TestNode::start_with(change).await;
        let app = application(&node.api, "app");
        Self { node, receiver: Receiver::start().await, app, trusted: None }
    }

    /// A node that is no development node: the receiver speaks TLS, and "app" may what an operator has granted it. ABC and SBOX have
    /// installed it.
    pub(crate) async fn start_strict() -> Self {
        Self::start_strict_with(|_| ()).await
    }

    pub(crate) async fn start_strict_with(change: impl FnOnce(&mut Config)) -> Self {
        let (receiver, certificate) = Receiver::start_tls(&["127.0.0.1", "hooks.example.com"]).await;
        let trusted = tempfile::tempdir().unwrap();
        let file = certificate_in(&trusted);
        std::fs::write(&file, certificate).unwrap();
        let node = TestNode::start_with(|config| {
            strictly(config, file);
            change(config);
        })
        .await;
        let app = application(&node.api, "app");
        let scene = Self { node, receiver, app, trusted: Some(trusted) };
        scene.grant("app", SCOPES).await;
        for customer in ["ABC", "SBOX"] {
            scene.install("app", customer).await;
        }
        scene
    }

    pub(crate) fn operator(&self) -> Caller {
        Caller { api: Api::new(&self.node.ops), token: String::new(), customer: None }
    }

    /// Sets the scopes of an application.
    pub(crate) async fn grant(&self, client_id: &str, scopes: &str) {
        let scopes: Vec<_> = scopes.split_ascii_whitespace().collect();
        let put = json!({"scopes": scopes});
        assert_eq!(send(&mut self.operator(), Method::PUT, &format!("/applications/{client_id}"), &put).await.status, 204);
    }

    pub(crate) async fn install(&self, client_id: &str, customer: &str) {
        let path = format!("/applications/{client_id}/customers/{customer}");
        assert_eq!(self.operator().send(Method::PUT, &path, "", &[]).await.status, 204);
    }

    /// Makes a subscription and returns it as it was answered, with its secret.
    pub(crate) async fn subscribe(&mut self, wish: Value) -> Value {
        subscribe(&mut self.app, wish).await
    }

    /// A subscription of the profile `reapit` for all contacts' topics in the sandbox and of customer ABC, to this path.
    pub(crate) async fn reapit(&mut self, path: &str) -> Value {
        let wish = reapit(&self.receiver.url(path));
        self.subscribe(wish).await
    }

    /// The same of the profile `standard`.
    pub(crate) async fn standard(&mut self, path: &str) -> Value {
        let wish = standard(&self.receiver.url(path));
        self.subscribe(wish).await
    }

    pub(crate) async fn report(&mut self, event: &Value) -> CallAnswer {
        report(&mut self.app, event).await
    }

    /// Reports a new contact of ABC.
    pub(crate) async fn contact(&mut self, id: &str) {
        self.take(&contact("ABC", id)).await;
    }

    /// Reports what is to be taken.
    pub(crate) async fn take(&mut self, event: &Value) {
        let answer = self.report(event).await;
        assert_eq!(answer.status, 202, "{:?}", answer.body);
    }

    /// Asks for what must be there.
    pub(crate) async fn get(&mut self, path: &str) -> Value {
        get(&mut self.app, path).await
    }

    /// Asks for a change that must be made, and returns what is answered.
    pub(crate) async fn post(&mut self, path: &str, value: &Value) -> Value {
        let answer = send(&mut self.app, Method::POST, path, value).await;
        assert!(answer.status.is_success(), "{path}: {} {:?}", answer.status, answer.body);
        if answer.body.is_empty() { Value::Null } else { body(&answer) }
    }

    /// A subscription as it is now.
    pub(crate) async fn shown(&mut self, subscription: &Value) -> Value {
        self.get(&at(subscription, "")).await
    }

    /// Lets time pass, a step after the other, so that what falls due in between is done in its time.
    pub(crate) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.node.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass at once.
    pub(crate) fn leap(&self, time: Duration) {
        self.node.clock.advance(time);
    }

    /// Waits until all that was attempted is on disk: the attempts of the subscription are so many. The newest is the first.
    pub(crate) async fn attempts(&mut self, subscription: &Value, count: usize) -> Vec<Value> {
        let path = at(subscription, "/attempts");
        let mut attempts = Vec::new();
        let there = async {
            loop {
                let page = get(&mut self.app, &path).await;
                attempts = page["_embedded"].as_array().unwrap().clone();
                if attempts.len() >= count {
                    return;
                }
            }
        };
        assert!(tokio::time::timeout(PATIENCE, there).await.is_ok(), "{count} attempts of {path}, not {attempts:#?}");
        attempts
    }

    /// The delivery of the newest attempt of a subscription, when so many attempts are on disk.
    pub(crate) async fn delivery(&mut self, subscription: &Value, attempts: usize) -> Value {
        let id = self.attempts(subscription, attempts).await[0]["deliveryId"].as_str().unwrap().to_owned();
        self.get(&format!("/webhooks/deliveries/{id}")).await
    }

    /// Waits until so many attempts are on disk, then lets the time pass until the next. Returns how much that was.
    pub(crate) async fn leap_to_next(&mut self, subscription: &Value, attempts: usize) -> Duration {
        let delivery = self.delivery(subscription, attempts).await;
        let wait = until(&delivery["nextAttemptAt"], self.node.clock.now());
        self.leap(wait);
        wait
    }

    /// Waits until a subscription is shown as it must come to be.
    pub(crate) async fn becomes(&mut self, subscription: &Value, is: impl Fn(&Value) -> bool) -> Value {
        let path = at(subscription, "");
        let mut shown = Value::Null;
        let becoming = async {
            while !is(&shown) {
                shown = get(&mut self.app, &path).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, becoming).await.is_ok(), "{path} stays {shown:#}");
        shown
    }

    /// Stops the node and starts it again in the same folder, at the same time of the same clock.
    pub(crate) async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { node, receiver, trusted, .. } = self;
        let clock = node.clock.clone();
        let file = trusted.as_ref().map(certificate_in);
        let node = TestNode::start_in(node.stop().await, clock, |config| {
            if let Some(file) = file {
                strictly(config, file);
            }
            change(config);
        })
        .await;
        let app = application(&node.api, "app");
        Self { node, receiver, app, trusted }
    }
}

fn certificate_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("ca.pem")
}

/// No development node, but one that reaches receivers on this machine: their network is allowed, and their certificate trusted.
fn strictly(config: &mut Config, ca_file: PathBuf) {
    strict(config);
    config.webhooks.dev = false;
    config.webhooks.ports = Vec::new();
    config.webhooks.egress_allow = vec!["127.0.0.0/8".parse().unwrap()];
    config.webhooks.sender.ca_file = Some(ca_file);
}

/// An application that speaks for all customers.
pub(crate) fn application(api: &str, client_id: &str) -> Caller {
    application_with(api, client_id, SCOPES)
}

/// An application whose token has these scopes and lasts for as long as time is stepped.
pub(crate) fn application_with(api: &str, client_id: &str, scopes: &str) -> Caller {
    let token = token(&json!({"client_id": client_id, "scope": scopes, "exp": 4_000_000_000_i64}));
    Caller { api: Api::new(api), token, customer: None }
}

/// Where something below a subscription is.
pub(crate) fn at(subscription: &Value, below: &str) -> String {
    format!("/webhooks/subscriptions/{}{below}", subscription["id"].as_str().unwrap())
}

pub(crate) async fn get(app: &mut Caller, path: &str) -> Value {
    let answer = app.get(path, &[]).await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    body(&answer)
}

pub(crate) async fn subscribe(app: &mut Caller, wish: Value) -> Value {
    let answer = send(app, Method::POST, "/webhooks/subscriptions", &wish).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    body(&answer)
}

pub(crate) async fn report(app: &mut Caller, event: &Value) -> CallAnswer {
    send(app, Method::POST, "/events", event).await
}

pub(crate) async fn send(app: &mut Caller, method: Method, path: &str, value: &Value) -> CallAnswer {
    app.send(method, path, value.to_string(), &[JSON]).await
}

/// Sends a request without a body.
pub(crate) async fn bare(app: &mut Caller, method: Method, path: &str) -> CallAnswer {
    app.send(method, path, Bytes::new(), &[]).await
}

pub(crate) fn reapit(url: &str) -> Value {
    json!({"url": url, "profile": "reapit", "topicIds": ["contacts.created", "contacts.modified"], "customerIds": ["ABC", "SBOX"]})
}

pub(crate) fn standard(url: &str) -> Value {
    json!({"url": url, "topicIds": ["contacts.created", "contacts.modified"], "customerIds": ["ABC", "SBOX"]})
}

/// A wish with some members in place of others.
pub(crate) fn with(mut wish: Value, others: Value) -> Value {
    let Value::Object(others) = others else { panic!("{others} is no object") };
    wish.as_object_mut().unwrap().extend(others);
    wish
}

/// A report of a new contact.
pub(crate) fn contact(customer: &str, id: &str) -> Value {
    json!({
        "catalogue": "reapit", "topic": "contacts.created", "customerId": customer, "entityId": id,
        "occurredAt": "2020-05-13T09:33:16.8811358Z", "new": {"id": id, "surname": "Smith"},
    })
}

/// A report of a contact whose surname changed.
pub(crate) fn renamed(customer: &str, id: &str) -> Value {
    json!({
        "catalogue": "reapit", "topic": "contacts.modified", "customerId": customer, "entityId": id,
        "occurredAt": "2020-05-13T09:33:16.8811358Z",
        "old": {"id": id, "surname": "Smith", "_eTag": "\"1\""}, "new": {"id": id, "surname": "Jones", "_eTag": "\"2\""},
    })
}

/// The ids of the entities that requests are about, in the order in which they came. Of both profiles.
pub(crate) fn entities(received: &[Received]) -> Vec<String> {
    let entity = |body: Value| body.get("entityId").unwrap_or(&body["data"]["entityId"]).as_str().unwrap().to_owned();
    received.iter().map(|received| entity(received.json())).collect()
}

/// How long it is until a time.
pub(crate) fn until(at: &Value, now: Timestamp) -> Duration {
    let at: Timestamp = at.as_str().unwrap_or_else(|| panic!("{at} is no time")).parse().unwrap();
    Duration::try_from(at.duration_since(now)).unwrap()
}

/// What stands in the sets of faults of a refusal.
pub(crate) fn faults(answer: &CallAnswer) -> Vec<(String, String)> {
    let body = body(answer);
    let faults = body["errors"].as_array().unwrap_or_else(|| panic!("{body:#} names no faults"));
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    faults.iter().map(|fault| (text(fault, "field"), text(fault, "message"))).collect()
}

/// Asserts that a report is refused for a fault of this member.
pub(crate) async fn assert_refused(scene: &mut Scene, event: &Value, field: &str) {
    let answer = scene.report(event).await;
    assert_eq!(answer.status, 422, "{event}");
    let faults = faults(&answer);
    assert!(faults.iter().any(|(other, _)| other == field), "{event}: {faults:?}");
}

/// The texts of a member of the bodies that came, in their order.
pub(crate) fn told(received: &[Received], name: &str) -> Vec<String> {
    received.iter().map(|received| received.json()[name].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}

/// The signature of version 1 that a receiver with this secret expects.
pub(crate) fn expected_v1(secret: &str, received: &Received) -> String {
    let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signature = crypto::sign(&signed(received), &EncodingKey::from_secret(&secret), Algorithm::HS256).unwrap();
    format!("v1,{}", STANDARD.encode(URL_SAFE_NO_PAD.decode(signature).unwrap()))
}

/// Whether a signature, in base64url, is that of the key with the public half `x`, in base64url as well.
pub(crate) fn is_signed_by(x: &str, signature: &str, message: &[u8]) -> bool {
    crypto::verify(signature, message, &DecodingKey::from_ed_components(x).unwrap(), Algorithm::EdDSA).unwrap()
}

/// What the signatures of a request of Standard Webhooks cover.
pub(crate) fn signed(received: &Received) -> Vec<u8> {
    let (id, timestamp) = (received.header("Webhook-Id").unwrap(), received.header("Webhook-Timestamp").unwrap());
    [format!("{id}.{timestamp}.").as_bytes(), &received.body].concat()
}

/// Waits until nothing is on its way, and what became of it is on disk.
pub(crate) async fn settle(scene: &Scene) {
    let settling = async {
        let mut idle = 0;
        // Not at the first look: what has just fallen due is being read from disk.
        while idle < 4 {
            let metrics = scene.node.metrics().await;
            let on_its_way = metrics.value("bellwire_webhook_requests_in_flight");
            let is_idle = on_its_way == 0.0 && metrics.value("bellwire_webhook_outcomes_waiting") == 0.0;
            idle = if is_idle { idle + 1 } else { 0 };
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settling).await.expect("requests are still on their way");
}

/// The same for a node on which some requests never end: waits until so many are on their way.
pub(crate) async fn in_flight(scene: &Scene, count: f64) {
    let coming = async { while scene.node.metrics().await.value("bellwire_webhook_requests_in_flight") != count {} };
    tokio::time::timeout(PATIENCE, coming).await.expect("so many requests on their way");
}
