//! A node on free ports with a folder of its own, tokens for it, and clients.

use std::time::Duration;

use bytes::Bytes;
use client::api::{Api, CallAnswer};
use client::session::{Heard, Session, SessionError};
use clock::Clock;
use http_body_util::Full;
use hyper::{Method, Request};
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use server::app::App;
use server::config::{Config, ConfigSecret, Flags, Issuer, Keys};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) const SECRET: &str = "bellwire-development-secret";
/// No test waits longer than this for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct TestNode {
    pub(crate) api: String,
    pub(crate) ops: String,
    pub(crate) clock: Clock,
    pub(crate) folder: tempfile::TempDir,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl TestNode {
    /// A development node without rate limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        Self::start_in(tempfile::tempdir().unwrap(), Clock::stepped(now), change).await
    }

    pub(crate) async fn start_in(folder: tempfile::TempDir, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let anywhere = Some("127.0.0.1:0".to_owned());
        let data = Some(folder.path().to_owned());
        let flags = Flags { config: None, dev: true, listen: anywhere.clone(), ops_listen: anywhere, data };
        let mut config = Config::from_parts("", std::iter::empty(), &flags).unwrap();
        for rate in [&mut config.limits.requests, &mut config.limits.polls, &mut config.limits.strangers] {
            rate.per_second = 0;
        }
        config.limits.sessions.per_second = 0;
        config.limits.new_tokens.per_second = 0;
        change(&mut config);
        let app = App::bind(config, clock.clone()).await.unwrap();
        let (api, ops) = app.addresses().unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(app.run(stop.clone().cancelled_owned()));
        Self { api: api.to_string(), ops: ops.to_string(), clock, folder, stop, tasks }
    }

    /// Shuts the node down as SIGTERM would, and returns its folder.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait()).await.unwrap();
        self.folder
    }

    pub(crate) async fn post(&self, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> CallAnswer {
        Caller::application(&self.api).post(body, headers).await
    }

    pub(crate) async fn session(&self, customer: &str, negotiator: &str, query: &str) -> Session {
        let mut session = self.open(&person(customer, negotiator, "AgencyCloud"), query).await.unwrap();
        assert_eq!(message(&mut session).await["type"], "welcome");
        session
    }

    pub(crate) async fn open(&self, token: &str, query: &str) -> Result<Session, SessionError> {
        timeout(PATIENCE, Session::open(&self.api, token, query)).await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        let answer = ask(&self.ops, "/metrics", &[]).await;
        assert_eq!(answer.status, 200);
        Metrics(String::from_utf8(answer.body.to_vec()).unwrap())
    }
}

/// The text of `/metrics`.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The value of a line, such as `bellwire_events_total{sub_type="endedCall"}`; 0 where it is missing.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Somebody with a token and a connection that is kept.
pub(crate) struct Caller {
    pub(crate) api: Api,
    pub(crate) token: String,
    pub(crate) customer: Option<String>,
}

impl Caller {
    /// An application that speaks for SBOX.
    pub(crate) fn application(authority: &str) -> Self {
        Self { api: Api::new(authority), token: application_token(), customer: Some("SBOX".to_owned()) }
    }

    /// A logged-in person.
    pub(crate) fn person(authority: &str, customer: &str, negotiator: &str) -> Self {
        Self { api: Api::new(authority), token: person(customer, negotiator, "AgencyCloud"), customer: None }
    }

    pub(crate) async fn post(&mut self, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> CallAnswer {
        let json = [("content-type", "application/json")];
        self.send(Method::POST, "/notifications", body, &[&json, headers].concat()).await
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> CallAnswer {
        self.send(Method::GET, path, Bytes::new(), headers).await
    }

    pub(crate) async fn delete(&mut self, id: &str) -> CallAnswer {
        self.send(Method::DELETE, &format!("/notifications/{id}"), Bytes::new(), &[]).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> CallAnswer {
        let mut request = Request::builder().method(method).uri(path);
        let own = [("authorization", Some(format!("Bearer {}", self.token))), ("reapit-customer", self.customer.clone())];
        for (name, value) in own {
            if let Some(value) = value.filter(|value| value != "Bearer " && !headers.iter().any(|(other, _)| *other == name)) {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        timeout(PATIENCE, self.api.send(request.body(Full::from(body.into())).unwrap())).await.unwrap().unwrap()
    }
}

/// A GET without a token.
pub(crate) async fn ask(authority: &str, path: &str, headers: &[(&str, &str)]) -> CallAnswer {
    let mut caller = Caller { api: Api::new(authority), token: String::new(), customer: None };
    caller.get(path, headers).await
}

/// Sends bytes as they are and reads until the node closes.
pub(crate) async fn raw(authority: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(authority).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_to_end(&mut stream).await
}

/// Reads the head of one answer of a connection that goes on.
pub(crate) async fn answer_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Reads one answer of a connection that goes on: head and body.
pub(crate) async fn one_answer(stream: &mut TcpStream) -> (String, String) {
    let head = answer_head(stream).await;
    let length: usize = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut body)).await.expect("a body in time").unwrap();
    (head, String::from_utf8(body).unwrap())
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset behind the answer ends the reading as well.
    drop(timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the node closes in time"));
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) async fn message(session: &mut Session) -> Value {
    match timeout(PATIENCE, session.next()).await.expect("a message in time") {
        Heard::Message(message) => message,
        closed @ Heard::Closed { .. } => panic!("{closed:?}"),
    }
}

/// Reads on until an event comes.
pub(crate) async fn next_event(session: &mut Session) -> Value {
    loop {
        let message = message(session).await;
        if message["type"] == "event" {
            return message;
        }
    }
}

/// Reads on until the session is closed.
pub(crate) async fn close_code(session: &mut Session) -> u16 {
    loop {
        match timeout(PATIENCE, session.next()).await.expect("a close in time") {
            Heard::Message(_) => {}
            Heard::Closed { code, .. } => return code,
        }
    }
}

/// Asserts that nothing waits in a session: the next thing that it says is the answer to a ping.
pub(crate) async fn assert_silent(session: &mut Session) {
    session.send(&json!({"type": "ping", "ref": "silent"})).await.unwrap();
    assert_eq!(message(session).await, json!({"type": "pong", "ref": "silent"}));
}

pub(crate) fn token(claims: &Value) -> String {
    token_signed(claims, SECRET)
}

pub(crate) fn token_signed(claims: &Value, secret: &str) -> String {
    let mut all = json!({"iss": "dev", "exp": Timestamp::now().as_second() + 3600});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    encode(&Header::default(), &all, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

pub(crate) fn application_token() -> String {
    token(&json!({"client_id": "app", "scope": "agencyCloud/notifications.telephony.write notifications.telephony.read"}))
}

pub(crate) fn person(customer: &str, negotiator: &str, product: &str) -> String {
    token(&json!({"customerId": customer, "negotiatorId": negotiator, "product": product}))
}

/// Makes a node strict: applications count only as they are stored.
pub(crate) fn strict(config: &mut Config) {
    config.dev = false;
    config.issuers = vec![Issuer { name: "dev".to_owned(), audience: None, keys: Keys::Secret(ConfigSecret::from(SECRET)) }];
}

/// The documented body of a sub-type, to these negotiators.
pub(crate) fn event(sub_type: &str, targets: &[&str]) -> Value {
    json!({
        "type": "telephony",
        "subType": sub_type,
        "products": ["AgencyCloud"],
        "targets": {"negotiatorId": targets},
        "payload": {
            "id": "ax2uyio8p", "created": "2023-11-01T10:28:00", "callerId": "07123 456789", "destinationId": "01234 567890",
            "huntGroup": false,
        },
    })
}

pub(crate) fn body(answer: &CallAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{:?} is no JSON", answer.body))
}
