//! The WebSocket: opening, what is said over it, and how it ends.

use std::time::Duration;

use client::session::{Heard, Session, SessionError};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::*;

const MASK: [u8; 4] = [1, 2, 3, 4];

/// A session written by hand, for what no client library sends.
struct RawSession {
    stream: TcpStream,
}

impl RawSession {
    async fn open(node: &TestNode) -> Self {
        let head = handshake(&[("authorization", &format!("Bearer {}", person("SBOX", "ADV", "AgencyCloud")))]);
        let mut session = Self { stream: TcpStream::connect(&node.api).await.unwrap() };
        session.stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(session.stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(session.frame().await.0, 1, "welcome");
        session
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Opcode and payload of the next frame.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let head = self.stream.read_u8().await.unwrap();
            let length = match self.stream.read_u8().await.unwrap() {
                126 => usize::from(self.stream.read_u16().await.unwrap()),
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.unwrap();
            (head & 0x0f, payload)
        };
        timeout(PATIENCE, read).await.expect("a frame in time")
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            let (opcode, payload) = self.frame().await;
            if opcode == 8 {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }
}

fn handshake(headers: &[(&str, &str)]) -> String {
    let extra: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "GET /session HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
    )
}

#[tokio::test]
async fn a_session_begins_with_a_welcome() {
    let node = TestNode::start().await;
    let expires = node.clock.now().as_second() + 3600;
    let claims = json!({"customerId": "SBOX", "negotiatorId": "ADV", "exp": expires});
    let mut session = node.open(&token(&claims), "").await.unwrap();
    let welcome = message(&mut session).await;
    let members: Vec<_> = welcome.as_object().unwrap().keys().map(String::as_str).collect();
    let published =
        ["calls", "cursor", "now", "pingSeconds", "reconnect", "resume", "resumeSeconds", "sessionId", "tokenExpires", "type"];
    assert_eq!(members, published);
    assert_eq!((&welcome["resume"], &welcome["calls"]), (&json!("new"), &json!([])));
    assert_eq!(welcome["reconnect"], json!({"firstMs": 5000, "baseMs": 1000, "capMs": 30000}));
    assert_eq!(welcome["now"], format!("{:.3}", node.clock.now()));
    assert!(welcome["tokenExpires"].as_str().unwrap().ends_with(".000Z"));

    for cursor in ["unknown", "", "%00", &"x".repeat(500)] {
        let mut again = node.open(&token(&claims), &format!("?resume={cursor}")).await.unwrap();
        assert_eq!(message(&mut again).await["resume"], "none", "never an error");
    }
}

#[tokio::test]
async fn an_incoming_call_says_until_when_it_may_pop() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    for sub_type in ["incomingCall", "answeredCall", "endedCall"] {
        node.post(event(sub_type, &["ADV"]).to_string(), &[]).await;
        let heard = message(&mut session).await;
        assert_eq!(heard["at"], format!("{:.3}", node.clock.now()));
        let expires = format!("{:.3}", node.clock.now() + jiff::SignedDuration::from_secs(45));
        assert_eq!(heard.get("expires").and_then(|at| at.as_str()), (sub_type == "incomingCall").then_some(expires.as_str()));
    }
}

#[tokio::test]
async fn acks_are_counted_pings_are_answered_and_faults_are_told() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    let id = message(&mut session).await["id"].clone();
    session.send(&json!({"type": "ack", "id": id})).await.unwrap();
    session.send(&json!({"type": "sing", "ref": "r1"})).await.unwrap();
    let error = message(&mut session).await;
    assert_eq!((&error["type"], &error["code"], &error["ref"]), (&json!("error"), &json!("unknown_type"), &json!("r1")));
    session.send(&json!({"type": "ack", "id": 5})).await.unwrap();
    assert_eq!(message(&mut session).await["code"], "bad_message");
    assert_silent(&mut session).await;
    assert_eq!(node.metrics().await.value("bellwire_deliveries_acknowledged_total"), 1.0);
}

#[tokio::test]
async fn frames_that_break_the_rules_close_the_session_with_their_code() {
    let node = TestNode::start().await;
    let cases: [(u8, Vec<u8>, u16); 6] = [
        (2, b"{}".to_vec(), 1003),
        (1, b"\xff\xfe".to_vec(), 1007),
        (1, b"{not json".to_vec(), 1007),
        (1, vec![b' '; 16 * 1024 + 1], 1009),
        (3, b"".to_vec(), 1002),
        (9, vec![0; 126], 1002),
    ];
    for (opcode, payload, code) in cases {
        let mut session = RawSession::open(&node).await;
        session.send(opcode, &payload).await;
        assert_eq!(session.close_code().await, code, "opcode {opcode}, {} bytes", payload.len());
    }
    let mut unmasked = RawSession::open(&node).await;
    unmasked.stream.write_all(b"\x81\x02{}").await.unwrap();
    assert_eq!(unmasked.close_code().await, 1002);
    let metrics = node.metrics().await;
    assert_eq!(metrics.value("bellwire_sessions_closed_total{code=\"1002\"}"), 3.0);
}

#[tokio::test]
async fn a_message_of_16_kib_is_read() {
    let node = TestNode::start().await;
    let mut session = RawSession::open(&node).await;
    let mut ping = br#"{"type":"ping"}"#.to_vec();
    ping.resize(16 * 1024, b' ');
    session.send(1, &ping).await;
    assert_eq!(session.frame().await, (1, br#"{"type":"pong"}"#.to_vec()));
    session.send(9, b"alive?").await;
    assert_eq!(session.frame().await, (10, b"alive?".to_vec()), "RFC 6455 pings are answered too");
}

#[tokio::test]
async fn twenty_messages_a_second_pass_and_one_more_closes_the_session() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    for _ in 0..20 {
        session.send(&json!({"type": "ping"})).await.unwrap();
        assert_eq!(message(&mut session).await["type"], "pong");
    }
    node.clock.advance(Duration::from_secs(1));
    for _ in 0..21 {
        session.send(&json!({"type": "ping"})).await.unwrap();
    }
    assert_eq!(close_code(&mut session).await, 4101);
}

#[tokio::test]
async fn a_session_needs_a_person_and_a_known_product() {
    let node = TestNode::start().await;
    let status = async |token: &str, query: &str| match node.open(token, query).await {
        Err(SessionError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    };
    let adv = person("SBOX", "ADV", "AgencyCloud");
    assert_eq!(status("", "").await, 401);
    assert_eq!(status("x.y.z", "").await, 401);
    assert_eq!(status(&application_token(), "").await, 403);
    assert_eq!(status(&person("SBOX", "ADV", "Unknown"), "").await, 403);
    assert_eq!(status(&adv, "?device=a.b").await, 400);
    assert_eq!(status(&adv, &format!("?device={}", "d".repeat(65))).await, 400);
    assert_eq!(status(&adv, "?token=in-the-url").await, 400);
    node.open(&adv, &format!("?device={}", "d".repeat(64))).await.unwrap();
}

#[tokio::test]
async fn what_is_no_websocket_handshake_is_told_what_is_asked_for() {
    let node = TestNode::start().await;
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    let answer = adv.get("/session", &[]).await;
    assert_eq!(answer.status, 426);
    assert_eq!((answer.header("upgrade"), answer.header("sec-websocket-version")), (Some("websocket"), Some("13")));
    let bearer = format!("Bearer {}", person("SBOX", "ADV", "AgencyCloud"));
    let good = handshake(&[("authorization", &bearer), ("connection", "close")]);
    for (good_part, bad_part, status) in [
        ("version: 13", "version: 8", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "!", 400),
    ] {
        let bad = good.replace(good_part, bad_part).replace("connection: Upgrade", "connection: upgrade, close");
        let answer = raw(&node.api, bad.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bad_part}: {answer}");
    }
}

#[tokio::test]
async fn a_browser_brings_its_token_as_a_subprotocol_and_is_refused_by_a_close() {
    let node = TestNode::start().await;
    let open = async |token: &str| {
        let offered = format!("bellwire.v1, bellwire.token.{token}");
        let mut session = RawSession { stream: TcpStream::connect(&node.api).await.unwrap() };
        session.stream.write_all(handshake(&[("sec-websocket-protocol", &offered)]).as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(session.stream.read_u8().await.unwrap());
        }
        (session, String::from_utf8(head).unwrap())
    };
    let (mut session, head) = open(&person("SBOX", "ADV", "AgencyCloud")).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("sec-websocket-protocol: bellwire.v1\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "the key of RFC 6455 §1.3");
    assert_eq!(session.frame().await.0, 1);
    for (token, code) in [("x.y.z".to_owned(), 4001), (person("SBOX", "ADV", "Unknown"), 4003), (application_token(), 4003)] {
        let (mut session, head) = open(&token).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(session.close_code().await, code);
    }
    assert_eq!(node.metrics().await.value("bellwire_sessions"), 1.0, "who is refused never was a session");
}

#[tokio::test]
async fn a_slow_session_is_closed_with_4202_and_delays_nobody() {
    let node = TestNode::start().await;
    let (slow, quick) = (node.session("SBOX", "ADV", "").await, node.session("SBOX", "ADV", "").await);
    overflow(Caller::application(&node.api), slow, quick).await;
    assert_eq!(node.metrics().await.value("bellwire_sessions_closed_total{code=\"4202\"}"), 1.0);
}

/// Posts until the session that reads nothing is closed; the other one gets all at once.
pub(crate) async fn overflow(mut provider: Caller, mut slow: Session, mut quick: Session) {
    let mut posted = 0;
    loop {
        let mut call = event("incomingCall", &["ADV"]);
        call["payload"]["id"] = json!(format!("{posted:0>128}"));
        let answer = provider.post(call.to_string(), &[("prefer", "return=representation")]).await;
        posted += 1;
        assert_eq!(message(&mut quick).await["id"], body(&answer)["id"]);
        match body(&answer)["targets"][0]["sessions"].as_u64() {
            Some(1) => break,
            sessions => assert_eq!(sessions, Some(2), "the queue overflows at last"),
        }
        assert!(posted < 100_000);
    }
    let mut received = 0;
    let end = loop {
        match timeout(PATIENCE, slow.next()).await.unwrap() {
            Heard::Message(_) => received += 1,
            Heard::Closed { code, .. } => break code,
        }
    };
    assert!(end == 4202 || end == 1006, "closed, or cut off if it was too slow even for that: {end}");
    assert!(received < posted);
}

#[tokio::test]
async fn an_incoming_call_that_ended_while_it_waited_is_not_sent() {
    // Who reads nothing is not to be taken for dead.
    let node = TestNode::start_with(|config| {
        let life = &mut config.sessions.life;
        (life.ping_interval, life.ack_timeout) = (Duration::from_hours(1), Duration::from_hours(1));
    })
    .await;
    let mut session = node.session("SBOX", "ADV", "").await;
    let waiting = async || node.metrics().await.value("bellwire_session_queue_events");
    // The session reads nothing until its socket is full; what waits in the queue then gets too old. Where the kernel has found
    // more room for the socket meanwhile, so that too little waits, there is more to fill.
    let mut provider = Caller::application(&node.api);
    let fill = async {
        let mut posted = 0;
        loop {
            let mut call = event("incomingCall", &["ADV"]);
            call["payload"]["id"] = json!("x".repeat(128));
            assert_eq!(provider.post(call.to_string(), &[]).await.status, 202);
            posted += 1;
            if waiting().await >= 10.0 {
                node.clock.advance(Duration::from_secs(46));
                if waiting().await >= 10.0 {
                    break posted;
                }
            }
        }
    };
    let posted = timeout(PATIENCE, fill).await.expect("the socket is full in time");
    node.post(event("endedCall", &["ADV"]).to_string(), &[]).await;
    let mut received = 0;
    loop {
        match message(&mut session).await["notification"]["subType"].as_str() {
            Some("incomingCall") => received += 1,
            Some("endedCall") => break,
            Some(_) | None => {}
        }
    }
    let expired = node.metrics().await.value("bellwire_deliveries_expired_total");
    assert!(expired > 0.0, "something waited behind what the socket had");
    assert_eq!(f64::from(received) + expired, f64::from(posted), "what has expired is not sent, all else is");
}

#[tokio::test]
async fn a_client_that_logs_out_is_answered_and_gets_nothing_more() {
    let node = TestNode::start().await;
    let mut session = RawSession::open(&node).await;
    session.send(8, &1000_u16.to_be_bytes()).await;
    assert_eq!(session.close_code().await, 1000);
    let gone = async {
        let represent = [("prefer", "return=representation")];
        let call = event("incomingCall", &["ADV"]).to_string();
        while body(&node.post(call.clone(), &represent).await)["targets"][0]["sessions"] != 0 {}
    };
    timeout(PATIENCE, gone).await.expect("the session is given up in time");
    assert_eq!(node.metrics().await.value("bellwire_sessions"), 0.0);
}

#[tokio::test]
async fn a_shutdown_closes_sessions_with_1012_after_what_they_have_queued() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    let stopped = node.stop();
    let ended = async {
        assert_eq!(message(&mut session).await["type"], "event");
        close_code(&mut session).await
    };
    let (_folder, code) = tokio::join!(stopped, ended);
    assert_eq!(code, 1012);
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed_and_the_live_calls() {
    let node = TestNode::start().await;
    let mut session = node.open(&person("SBOX", "ADV", "AgencyCloud"), "").await.unwrap();
    let cursor = message(&mut session).await["cursor"].as_str().unwrap().to_owned();
    drop(session);
    let mut rings = event("incomingCall", &["ADV"]);
    node.post(rings.to_string(), &[]).await;
    rings["payload"]["id"] = json!("another");
    node.post(rings.to_string(), &[]).await;
    node.post(event("endedCall", &["ADV"]).to_string(), &[]).await;

    let mut back = node.open(&person("SBOX", "ADV", "AgencyCloud"), &format!("?resume={cursor}")).await.unwrap();
    let welcome = message(&mut back).await;
    assert_eq!(welcome["resume"], "full");
    let mut heard = Vec::new();
    for _ in 0..3 {
        let event = message(&mut back).await;
        heard.push((event["callId"].clone(), event["notification"]["subType"].clone()));
    }
    let expected = [("ax2uyio8p", "incomingCall"), ("another", "incomingCall"), ("ax2uyio8p", "endedCall")];
    assert_eq!(heard, expected.map(|(id, what)| (json!(id), json!(what))));
    let live = welcome["calls"].as_array().unwrap();
    assert_eq!((live.len(), &live[0]["callId"], &live[0]["type"]), (1, &json!("another"), &json!("event")));
    assert_silent(&mut back).await;
}

#[tokio::test]
async fn a_graceful_restart_on_the_same_folder_looks_like_a_broken_line() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    let cursor = message(&mut session).await["id"].as_str().unwrap().to_owned();
    node.post(event("answeredCall", &["ADV"]).to_string(), &[]).await;
    let clock = node.clock.clone();
    let (folder, code) = tokio::join!(node.stop(), close_code(&mut session));
    assert_eq!(code, 1012);
    let node = TestNode::start_in(folder, clock, |_| ()).await;
    let mut back = node.open(&person("SBOX", "ADV", "AgencyCloud"), &format!("?resume={cursor}")).await.unwrap();
    let welcome = message(&mut back).await;
    assert_eq!((&welcome["resume"], &welcome["calls"][0]["notification"]["subType"]), (&json!("full"), &json!("answeredCall")));
    assert_eq!(message(&mut back).await["notification"]["subType"], "answeredCall");
    assert_silent(&mut back).await;
}

#[tokio::test]
async fn sessions_are_told_to_go_one_after_another_while_notifications_are_taken() {
    let node = TestNode::start().await;
    let mut sessions = Vec::new();
    for number in 0..4 {
        sessions.push(node.session("SBOX", &format!("N{number}"), "").await);
    }
    let mut provider = Caller::application(&node.api);
    let mut late = sessions.pop().unwrap();
    let api = node.api.clone();
    let told = async {
        let first = message(&mut late).await;
        let everyone: Vec<_> = (0..4).map(|number| format!("N{number}")).collect();
        let everyone: Vec<_> = everyone.iter().map(String::as_str).collect();
        let answer = provider.post(event("incomingCall", &everyone).to_string(), &[]).await;
        let mut adv = Caller::person(&api, "SBOX", "ADV");
        let refused = Session::open(&api, &adv.token, "").await;
        adv.token.clear();
        (first, answer.status.as_u16(), refused.is_err(), close_code(&mut late).await)
    };
    let others = futures::future::join_all(sessions.iter_mut().map(async |session| message(session).await));
    let (_folder, (goaway, status, refused, code), others) = tokio::join!(node.stop(), told, others);
    assert_eq!((status, refused, code), (202, true, 1012));
    let mut slots: Vec<_> = others.iter().chain([&goaway]).map(|goaway| goaway["reconnectInMs"].as_u64().unwrap()).collect();
    slots.sort_unstable();
    assert_eq!(slots, [0, 250, 500, 750]);
    assert_eq!((&goaway["type"], &goaway["reason"]), (&json!("goaway"), &json!("restarting")));
}

#[tokio::test]
async fn what_one_device_puts_aside_the_others_are_told() {
    let node = TestNode::start().await;
    let mut desk = node.session("SBOX", "ADV", "?device=desk").await;
    let mut laptop = node.session("SBOX", "ADV", "?device=laptop").await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    for device in [&mut desk, &mut laptop] {
        assert_eq!(message(device).await["callId"], "ax2uyio8p");
    }
    desk.send(&json!({"type": "shown", "callId": "ax2uyio8p"})).await.unwrap();
    desk.send(&json!({"type": "dismissed", "callId": "ax2uyio8p"})).await.unwrap();
    assert_eq!(message(&mut laptop).await, json!({"type": "sync", "callId": "ax2uyio8p", "action": "dismissed"}));
    desk.send(&json!({"type": "dismissed", "callId": "unknown", "ref": "r"})).await.unwrap();
    let error = message(&mut desk).await;
    assert_eq!((&error["code"], &error["ref"]), (&json!("unknown_call"), &json!("r")));
    node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
    for device in [&mut desk, &mut laptop] {
        assert_eq!(message(device).await, json!({"type": "sync", "callId": "ax2uyio8p", "action": "missed"}));
    }
}

#[tokio::test]
async fn a_call_of_which_nobody_says_that_it_stopped_ringing_expires() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    let id = message(&mut session).await["id"].clone();
    session.send(&json!({"type": "ack", "id": id})).await.unwrap();
    assert_silent(&mut session).await;
    node.clock.advance(Duration::from_secs(44));
    assert_silent(&mut session).await;
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(message(&mut session).await, json!({"type": "sync", "callId": "ax2uyio8p", "action": "expired"}));
}

#[tokio::test]
async fn a_late_event_is_counted_and_not_delivered() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    node.post(event("answeredCall", &["ADV"]).to_string(), &[]).await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    assert_eq!(message(&mut session).await["notification"]["subType"], "answeredCall");
    assert_silent(&mut session).await;
    assert_eq!(node.metrics().await.value("bellwire_deliveries_late_total"), 1.0);
}

#[tokio::test]
async fn a_device_replaces_itself_and_an_operator_logs_out() {
    let node = TestNode::start().await;
    let mut older = node.session("SBOX", "ADV", "?device=desk").await;
    let mut newer = node.session("SBOX", "ADV", "?device=desk").await;
    assert_eq!(close_code(&mut older).await, 4005);
    let mut operator = Caller { api: client::api::Api::new(&node.ops), token: String::new(), customer: None };
    let closed = operator.send(hyper::Method::DELETE, "/sessions/SBOX/ADV", "", &[]).await;
    assert_eq!(body(&closed), json!({"closed": 1}));
    assert_eq!(close_code(&mut newer).await, 4006);
    let nobody = operator.send(hyper::Method::DELETE, "/sessions/SBOX/TST", "", &[]).await;
    assert_eq!(body(&nobody), json!({"closed": 0}));
}

#[tokio::test]
async fn a_session_lives_as_long_as_its_token_and_half_a_minute_and_longer_with_a_new_one() {
    let node = TestNode::start().await;
    let expires = node.clock.now().as_second() + 60;
    let of = |negotiator: &str, expires: i64| token(&json!({"customerId": "SBOX", "negotiatorId": negotiator, "exp": expires}));
    let open = async || {
        let mut session = node.open(&of("ADV", expires), "").await.unwrap();
        assert_eq!(message(&mut session).await["type"], "welcome");
        session
    };
    let (mut expiring, mut refreshed) = (open().await, open().await);
    for bad in [of("TST", expires + 600), of("ADV", 1000), "x.y.z".to_owned()] {
        refreshed.send(&json!({"type": "refresh", "token": bad, "ref": "r"})).await.unwrap();
        let error = message(&mut refreshed).await;
        assert_eq!((&error["code"], &error["ref"]), (&json!("token_refused"), &json!("r")));
    }
    refreshed.send(&json!({"type": "refresh", "token": of("ADV", expires + 600)})).await.unwrap();
    let answer = message(&mut refreshed).await;
    let end = jiff::Timestamp::from_second(expires + 600).unwrap();
    assert_eq!(answer, json!({"type": "refreshed", "tokenExpires": format!("{end:.3}")}));
    // In steps of less than a ping's time-out, so that the pings that fall due are answered.
    for _ in 0..11 {
        node.clock.advance(Duration::from_secs(8));
        assert_silent(&mut expiring).await;
        assert_silent(&mut refreshed).await;
    }
    node.clock.advance(Duration::from_secs(1));
    assert_silent(&mut expiring).await;
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(close_code(&mut expiring).await, 4203);
    assert_silent(&mut refreshed).await;
}

#[tokio::test]
async fn a_peer_that_is_gone_is_found_by_its_silence() {
    let node = TestNode::start().await;
    let mut silent = RawSession::open(&node).await;
    node.clock.advance(Duration::from_secs(31));
    assert_eq!(silent.frame().await.0, 9, "a ping");
    node.clock.advance(Duration::from_secs(10));
    assert_eq!(silent.close_code().await, 4201);

    let mut called = RawSession::open(&node).await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    assert_eq!(called.frame().await.0, 1, "the event, which is not acknowledged");
    node.clock.advance(Duration::from_secs(4));
    assert_eq!(called.frame().await.0, 9, "a ping at once");
    node.clock.advance(Duration::from_secs(3));
    assert_eq!(called.close_code().await, 4201);
    assert_eq!(node.metrics().await.value("bellwire_sessions_closed_total{code=\"4201\"}"), 2.0);
}
