//! Frequent requests have a reader of their own: what it answers is what the HTTP library's way answers.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use server::config::Rate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::*;

fn request(headers: &[(&str, &str)], body: &str) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST /notifications HTTP/1.1\r\nhost: x\r\n{lines}content-length: {}\r\n\r\n{body}", body.len())
}

fn usual(body: &str) -> String {
    let token = format!("Bearer {}", application_token());
    request(&[("authorization", &token), ("reapit-customer", "SBOX"), ("content-type", "application/json")], body)
}

/// The same, of a call.
fn usual_of(call: &str) -> String {
    usual(&event("incomingCall", &["ADV"]).to_string().replace("ax2uyio8p", call))
}

/// The same with one more line in its head.
fn with(line: &str, text: &str) -> String {
    text.replace("host: x\r\n", &format!("host: x\r\n{line}\r\n"))
}

async fn send(stream: &mut TcpStream, text: &str) -> (String, String) {
    stream.write_all(text.as_bytes()).await.unwrap();
    one_answer(stream).await
}

/// A connection that was left to the library, for asking something else first.
async fn left_to_the_library(node: &TestNode) -> TcpStream {
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    let (head, _) = send(&mut stream, "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(status(&head), "HTTP/1.1 200 OK");
    stream
}

fn status(head: &str) -> &str {
    head.lines().next().unwrap()
}

/// What does not differ from answer to answer.
fn lasting((head, body): (String, String)) -> (Vec<String>, String) {
    let mut body: Value = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() };
    for changes in ["id", "dateTime"] {
        let _changed = body.get_mut(changes).map(Value::take);
    }
    (lasting_lines(&head, &["x-request-id: 0", "date: "]), body.to_string())
}

/// The lines of a head, but for those that change.
fn lasting_lines(head: &str, changes: &[&str]) -> Vec<String> {
    assert!(head.contains("\r\ndate: "));
    let lasting = head.trim_end().lines().filter(|line| !changes.iter().any(|begin| line.starts_with(begin)));
    let mut lasting: Vec<_> = lasting.map(str::to_owned).collect();
    lasting.sort_unstable();
    lasting
}

#[tokio::test]
async fn both_ways_answer_alike() {
    let node = TestNode::start().await;
    let (good, of_another) =
        (format!("Bearer {}", application_token()), format!("Bearer {}", person("SBOX", "ADV", "AgencyCloud")));
    let (event, nobody) = (event("incomingCall", &["ADV"]).to_string(), event("incomingCall", &[]).to_string());
    let authorized = ("authorization", good.as_str());
    let (of_sbox, json) = (("reapit-customer", "SBOX"), ("content-type", "application/json"));
    let long = "x".repeat(65);
    for (headers, body) in [
        (vec![authorized, of_sbox, json], &event),
        (vec![authorized, of_sbox, json, ("prefer", "return=representation")], &event),
        (vec![authorized, of_sbox, json, ("x-request-id", "own-1")], &event),
        (vec![authorized, of_sbox, json, ("x-request-id", &long)], &event),
        (vec![authorized, of_sbox, json, ("accept", "*/*"), ("connection", "keep-alive")], &event),
        (vec![authorized, of_sbox, json], &nobody),
        (vec![authorized, of_sbox, json], &"{".to_owned()),
        (vec![authorized, of_sbox, json], &String::new()),
        (vec![authorized, of_sbox, ("content-type", "text/plain")], &event),
        (vec![authorized, of_sbox], &event),
        (vec![authorized, json], &event),
        (vec![authorized, of_sbox, of_sbox, json], &event),
        (vec![authorized, of_sbox, json, ("api-version", "1999-01-01")], &event),
        (vec![authorized, of_sbox, json, ("idempotency-key", "")], &event),
        (vec![authorized, ("reapit-customer", "S\u{e9}")], &event),
        (vec![("authorization", "Bearer nonsense"), of_sbox, json], &event),
        (vec![("authorization", &of_another), of_sbox, json], &event),
        (vec![of_sbox, json], &event),
    ] {
        let text = request(&headers, body);
        let mut own_way = TcpStream::connect(&node.api).await.unwrap();
        let first = lasting(send(&mut own_way, &text).await);
        assert_eq!(first, lasting(send(&mut left_to_the_library(&node).await, &text).await), "{text}");
        assert_eq!(first, lasting(send(&mut own_way, &text).await), "and again");
    }
}

#[tokio::test]
async fn a_key_answers_both_ways_with_what_was_said_first() {
    let node = TestNode::start().await;
    let text = with("idempotency-key: k\r\nprefer: return=representation", &usual_of("ax2uyio8p"));
    let mut own_way = TcpStream::connect(&node.api).await.unwrap();
    let (_, first) = send(&mut own_way, &text).await;
    let (head, second) = send(&mut left_to_the_library(&node).await, &text).await;
    let (own_head, third) = send(&mut own_way, &text).await;
    assert_eq!((&first, &first), (&second, &third));
    assert!([head, own_head].iter().all(|head| head.contains("\r\nidempotent-replayed: true\r\n")));
    assert!((node.metrics().await.value("bellwire_events_total{sub_type=\"incomingCall\"}") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn requests_come_in_pieces_and_several_at_once() {
    let node = TestNode::start().await;
    let text = usual(&event("incomingCall", &["ADV"]).to_string());
    let head_bytes = text.find("\r\n\r\n").unwrap() + 4;
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for place in [1, 10, 40, head_bytes - 1, head_bytes, head_bytes + 1, text.len() - 1] {
        stream.write_all(&text.as_bytes()[..place]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let (head, _) = send(&mut stream, &text[place..]).await;
        assert_eq!(status(&head), "HTTP/1.1 202 Accepted", "in two pieces, the first of {place} bytes");
    }
    let half = text.len() / 2;
    stream.write_all(format!("{text}{text}{}", &text[..half]).as_bytes()).await.unwrap();
    stream.write_all(format!("{}GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n{text}", &text[half..]).as_bytes()).await.unwrap();
    for expected in ["202 Accepted", "202 Accepted", "202 Accepted", "200 OK", "202 Accepted"] {
        assert_eq!(status(&one_answer(&mut stream).await.0), format!("HTTP/1.1 {expected}"));
    }
    // In more pieces than a usual one has.
    let mut dripping = TcpStream::connect(&node.api).await.unwrap();
    dripping.set_nodelay(true).unwrap();
    for piece in text.as_bytes().chunks(text.len() / 20 + 1) {
        dripping.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(status(&one_answer(&mut dripping).await.0), "HTTP/1.1 202 Accepted");
    // Longer than the rest of a usual request is waited for.
    let mut slow = TcpStream::connect(&node.api).await.unwrap();
    slow.write_all(&text.as_bytes()[..half]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(status(&send(&mut slow, &text[half..]).await.0), "HTTP/1.1 202 Accepted");
    let events = node.metrics().await.value("bellwire_events_total{sub_type=\"incomingCall\"}");
    assert!((events - 13.0).abs() < f64::EPSILON, "{events}: each once");
}

#[tokio::test]
async fn who_does_not_wait_for_answers_gets_them_in_order() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    let numbered = |number: usize| {
        // One is wrong, and one waits for the disk.
        let text = match number {
            20 => usual("{"),
            30 => usual(&event("missedCall", &["ADV"]).to_string()),
            _ => usual_of(&format!("call-{number}")),
        };
        with(&format!("x-request-id: own-{number}"), &text)
    };
    // More than fit a buffer, and in the middle of one it stops for a while.
    let requests: String = (0..60).map(numbered).collect();
    let (first, second) = requests.as_bytes().split_at(requests.len() / 2);
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    stream.write_all(first).await.unwrap();
    for number in 0..60 {
        if number == 25 {
            stream.write_all(second).await.unwrap();
        }
        let (head, _) = one_answer(&mut stream).await;
        assert!(head.contains(&format!("\r\nx-request-id: own-{number}\r\n")), "{number}: {head}");
        let expected = if number == 20 { "HTTP/1.1 400 Bad Request" } else { "HTTP/1.1 202 Accepted" };
        assert_eq!(status(&head), expected, "{number}");
    }
    for number in (0..60).filter(|number| ![20, 30].contains(number)) {
        assert_eq!(next_event(&mut session).await["callId"], format!("call-{number}"));
    }
}

#[tokio::test]
async fn many_at_once_are_each_taken_once() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    let numbered = |number: usize| with("prefer: return=representation", &usual_of(&format!("call-{number}")));
    // Each with the head of the one before, more than a session's queue has room for, and behind them a session.
    let behind = hand_shake("", &person("SBOX", "BDV", "AgencyCloud"), "");
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    stream.write_all(((0..200).map(numbered).collect::<String>() + &behind).as_bytes()).await.unwrap();
    for number in 0..200 {
        let (head, body) = one_answer(&mut stream).await;
        assert_eq!(status(&head), "HTTP/1.1 202 Accepted", "{number}");
        let shown = next_event(&mut session).await;
        assert_eq!(shown["callId"], format!("call-{number}"));
        let receipt: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&receipt["id"], &receipt["targets"][0]["sessions"]), (&shown["id"], &1.into()));
    }
    assert_eq!(status(&answer_head(&mut stream).await), "HTTP/1.1 101 Switching Protocols");
    // Requests of which many fit a buffer.
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    stream.write_all("POST /notifications HTTP/1.1\r\ncontent-length:0\r\n\r\n".repeat(500).as_bytes()).await.unwrap();
    for number in 0..500 {
        assert_eq!(status(&one_answer(&mut stream).await.0), "HTTP/1.1 401 Unauthorized", "{number}");
    }
}

#[tokio::test]
async fn what_ends_early_or_is_no_http_ends_the_connection() {
    let node = TestNode::start().await;
    let text = usual(&event("incomingCall", &["ADV"]).to_string());
    let mut half = TcpStream::connect(&node.api).await.unwrap();
    half.write_all(&text.as_bytes()[..text.len() - 1]).await.unwrap();
    half.shutdown().await.unwrap();
    let ended = read_to_end(&mut half).await;
    assert!(!ended.starts_with("HTTP/1.1 2"), "{ended}");
    let broken = text.replace("host: x", "ho st: x");
    assert!(raw(&node.api, broken.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    assert!((node.metrics().await.value("bellwire_events_total{sub_type=\"incomingCall\"}")).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_connection_that_waits_is_ended_when_the_node_stops() {
    let node = TestNode::start().await;
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    let (head, _) = send(&mut stream, &usual(&event("incomingCall", &["ADV"]).to_string())).await;
    assert_eq!(status(&head), "HTTP/1.1 202 Accepted");
    let stopping = tokio::time::Instant::now();
    node.stop().await;
    assert_eq!(read_to_end(&mut stream).await, "");
    assert!(stopping.elapsed() < PATIENCE / 2, "it holds no shutdown up");
}

fn hand_shake(query: &str, token: &str, more: &str) -> String {
    format!(
        "GET /session{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// The head of an answer, without what differs from answer to answer.
async fn head_of(stream: &mut TcpStream, request: &str) -> Vec<String> {
    stream.write_all(request.as_bytes()).await.unwrap();
    lasting_lines(&answer_head(stream).await, &["x-request-id: 0", "date: ", "content-length: "])
}

#[tokio::test]
async fn both_ways_open_sessions_alike() {
    let node = TestNode::start().await;
    let person = person("SBOX", "ADV", "AgencyCloud");
    for (request, status) in [
        (hand_shake("", &person, ""), 101),
        (hand_shake("?device=d&resume=nothing", &person, ""), 101),
        (hand_shake("", &person, "sec-websocket-protocol: bellwire.v1\r\n"), 101),
        (hand_shake("", &person, "reapit-customer: SBOX\r\nx-request-id: own-1\r\n"), 101),
        (hand_shake("", &person, "reapit-customer: OTHER\r\n"), 403),
        (hand_shake("?nothing=1", &person, ""), 400),
        (hand_shake("", "nonsense", ""), 401),
        (hand_shake("", &application_token(), ""), 403),
        (hand_shake("", &person, "").replace("version: 13", "version: 8"), 426),
        (hand_shake("", &person, "").replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), 400),
    ] {
        let mut own_way = TcpStream::connect(&node.api).await.unwrap();
        let first = head_of(&mut own_way, &request).await;
        assert!(first[0].starts_with(&format!("HTTP/1.1 {status} ")), "{first:?} to {request}");
        assert_eq!(first, head_of(&mut left_to_the_library(&node).await, &request).await, "{request}");
    }
}

#[tokio::test]
async fn what_stands_behind_a_hand_shake_is_heard() {
    let node = TestNode::start().await;
    // A text frame, masked with zeros: {"type":"ping","ref":"r"}
    let ping = br#"{"type":"ping","ref":"r"}"#;
    let frame = [&[0x81, 0x80 | u8::try_from(ping.len()).unwrap(), 0, 0, 0, 0], ping.as_slice()].concat();
    for more in ["", "origin: https://crm.example\r\n"] {
        let request = hand_shake("", &person("SBOX", "ADV", "AgencyCloud"), more);
        let mut stream = TcpStream::connect(&node.api).await.unwrap();
        stream.write_all(&[request.as_bytes(), &frame].concat()).await.unwrap();
        let mut came = Vec::new();
        let until_pong = async {
            while !String::from_utf8_lossy(&came).contains(r#"{"type":"pong","ref":"r"}"#) {
                assert!(stream.read_buf(&mut came).await.unwrap() > 0, "{}", String::from_utf8_lossy(&came));
            }
        };
        timeout(PATIENCE, until_pong).await.expect("an answer in time");
    }
}

#[tokio::test]
async fn the_same_head_again_says_no_more_than_is_so_by_then() {
    let node = TestNode::start_with(strict).await;
    let mut operator = Caller { api: client::api::Api::new(&node.ops), token: String::new(), customer: None };
    let scopes = serde_json::json!({"scopes": ["notifications.telephony.write"]}).to_string();
    let json = [("content-type", "application/json")];
    let installed = "/applications/app/customers/SBOX";
    assert_eq!(operator.send(Method::PUT, "/applications/app", scopes, &json).await.status, 204);
    assert_eq!(operator.send(Method::PUT, installed, "", &[]).await.status, 204);

    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    for call in ["a", "longer", "b"] {
        assert_eq!(status(&send(&mut stream, &usual_of(call)).await.0), "HTTP/1.1 202 Accepted", "{call}");
    }
    let (first, second) = (send(&mut stream, &usual_of("c")).await.0, send(&mut stream, &usual_of("d")).await.0);
    let id = |head: &str| head.lines().find(|line| line.starts_with("x-request-id: ")).unwrap().to_owned();
    assert_ne!(id(&first), id(&second), "each request has an id of its own");
    let unknown = event("incomingCall", &["ADV"]).to_string().replace("AgencyCloud", "Other");
    let (_, refused) = send(&mut stream, &usual(&unknown)).await;
    assert!(refused.contains("must be one of"), "{refused}");
    let foreign = usual_of("e").replace("reapit-customer: SBOX", "reapit-customer: OTHR");
    assert_eq!(status(&send(&mut stream, &foreign).await.0), "HTTP/1.1 403 Forbidden");
    assert_eq!(status(&send(&mut stream, &usual_of("f")).await.0), "HTTP/1.1 202 Accepted");

    assert_eq!(operator.send(Method::DELETE, installed, "", &[]).await.status, 204);
    assert_eq!(status(&send(&mut stream, &usual_of("g")).await.0), "HTTP/1.1 403 Forbidden", "not installed any more");
    assert_eq!(operator.send(Method::PUT, installed, "", &[]).await.status, 204);
    assert_eq!(status(&send(&mut stream, &usual_of("h")).await.0), "HTTP/1.1 202 Accepted");
    node.clock.advance(Duration::from_secs(3600 + 61));
    assert_eq!(status(&send(&mut stream, &usual_of("i")).await.0), "HTTP/1.1 401 Unauthorized", "the token has ended");
}

#[tokio::test]
async fn the_same_head_of_a_page_is_answered_for_that_page_each_time() {
    let node = TestNode::start_with(|config| config.cors_origins = vec!["https://crm.example".to_owned()]).await;
    let text = with("origin: https://crm.example", &usual_of("a"));
    for mut stream in [TcpStream::connect(&node.api).await.unwrap(), left_to_the_library(&node).await] {
        for time in 0..3 {
            let (head, _) = send(&mut stream, &text).await;
            assert!(head.contains("\r\naccess-control-allow-origin: https://crm.example\r\n"), "{time}: {head}");
        }
    }
}

#[tokio::test]
async fn the_same_head_with_too_long_a_body_is_refused_before_the_body() {
    let node = TestNode::start().await;
    let text = usual(&event("incomingCall", &["ADV"]).to_string());
    let (head, _body) = text.split_once("\r\n\r\n").unwrap();
    let too_long = format!("{}: {}\r\n\r\n", head.rsplit_once(": ").unwrap().0, 64 * 1024 + 1);
    for mut stream in [TcpStream::connect(&node.api).await.unwrap(), left_to_the_library(&node).await] {
        assert_eq!(status(&send(&mut stream, &text).await.0), "HTTP/1.1 202 Accepted");
        let (head, body) = send(&mut stream, &too_long).await;
        assert_eq!(status(&head), "HTTP/1.1 413 Payload Too Large", "{body}");
    }
}

#[tokio::test]
async fn rates_count_the_same_head_each_time() {
    let node = TestNode::start_with(|config| config.limits.requests = Rate { per_second: 1, burst: 3 }).await;
    let text = usual(&event("incomingCall", &["ADV"]).to_string());
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    for expected in ["202 Accepted", "202 Accepted", "202 Accepted", "429 Too Many Requests"] {
        assert_eq!(status(&send(&mut stream, &text).await.0), format!("HTTP/1.1 {expected}"));
    }
}
