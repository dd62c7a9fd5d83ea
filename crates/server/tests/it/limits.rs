//! What happens at each bound of the server.

use std::time::Duration;

use serde_json::json;
use server::config::Rate;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::*;

#[tokio::test]
async fn an_application_has_its_rate_for_each_customer() {
    let node = TestNode::start_with(|config| config.limits.requests = Rate { per_second: 20, burst: 100 }).await;
    let mut caller = Caller::application(&node.api);
    let text = event("endedCall", &["ADV"]).to_string();
    for _ in 0..100 {
        assert_eq!(caller.post(text.clone(), &[]).await.status, 202);
    }
    let answer = caller.post(text.clone(), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, Some("1")));
    assert_eq!(caller.post(text.clone(), &[("reapit-customer", "OTHER")]).await.status, 202);
    node.clock.advance(Duration::from_millis(50));
    assert_eq!(caller.post(text.clone(), &[]).await.status, 202);
    assert_eq!(caller.post(text, &[]).await.status, 429);
    assert_eq!(node.metrics().await.value("bellwire_refusals_total{reason=\"rate\"}"), 2.0);
}

#[tokio::test]
async fn a_person_has_a_rate_and_so_have_strangers() {
    let node = TestNode::start_with(|config| {
        config.limits.polls = Rate { per_second: 5, burst: 20 };
        config.limits.strangers = Rate { per_second: 20, burst: 20 };
    })
    .await;
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    for _ in 0..20 {
        assert_eq!(adv.get("/notifications", &[]).await.status, 200);
    }
    assert_eq!(adv.get("/notifications", &[]).await.status, 429);
    assert_eq!(Caller::person(&node.api, "SBOX", "TST").get("/notifications", &[]).await.status, 200);
    for _ in 0..10 {
        assert_eq!(ask(&node.api, "/notifications", &[]).await.status, 401);
        assert_eq!(ask(&node.api, "/nowhere", &[]).await.status, 404);
    }
    assert_eq!(ask(&node.api, "/notifications", &[]).await.status, 429);
    assert_eq!(Caller::application(&node.api).post(event("endedCall", &["ADV"]).to_string(), &[]).await.status, 202);
}

#[tokio::test]
async fn sessions_are_opened_at_a_bounded_rate_and_those_with_new_tokens_at_a_lower_one() {
    let node = TestNode::start_with(|config| {
        config.limits.sessions = Rate { per_second: 4, burst: 4 };
        config.limits.new_tokens = Rate { per_second: 2, burst: 2 };
    })
    .await;
    // Each has one token, whatever second it is.
    let [a1, a2, a3, a4] = ["A1", "A2", "A3", "A4"].map(|negotiator| person("SBOX", negotiator, "AgencyCloud"));
    let open = async |token: &str| match node.open(token, "").await {
        Ok(_) => 101,
        Err(client::session::SessionError::Refused { status, .. }) => status,
        Err(error) => panic!("{error}"),
    };
    assert_eq!([open(&a1).await, open(&a2).await, open(&a3).await], [101, 101, 503]);
    assert_eq!([open(&a1).await, open(&a1).await, open(&a1).await], [101, 101, 503], "tokens that were seen come back sooner");
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(open(&a4).await, 101);
}

#[tokio::test]
async fn a_head_that_never_ends_is_408() {
    let node = TestNode::start_with(|config| config.limits.head_timeout = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    stream.write_all(b"POST /notifications HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n") && answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("\"statusCode\":408") && answer.contains("x-request-id: "), "{answer}");
    let mut silent = TcpStream::connect(&node.api).await.unwrap();
    assert_eq!(read_to_end(&mut silent).await, "", "who said nothing is told nothing");
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_keep_a_head_alive() {
    let node = TestNode::start_with(|config| config.limits.head_timeout = Duration::from_millis(300)).await;
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    stream.write_all(b"GET /notifications HTTP/1.1\r\nhost: x\r\nx-drip: ").await.unwrap();
    let started = std::time::Instant::now();
    while stream.write_all(b"x").await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "the node never gave up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_body_that_stops_half_way_is_408_and_one_that_breaks_off_changes_nothing() {
    let node = TestNode::start_with(|config| config.limits.body_timeout = Duration::from_millis(200)).await;
    let head = format!(
        "POST /notifications HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nreapit-customer: SBOX\r\n\
         content-type: application/json\r\ncontent-length: 500\r\n\r\n{{\"type\":",
        application_token()
    );
    let answer = raw(&node.api, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"), "{answer}");
    let mut broken = TcpStream::connect(&node.api).await.unwrap();
    broken.write_all(head.as_bytes()).await.unwrap();
    drop(broken);
    assert_eq!(node.metrics().await.value("bellwire_events_total{sub_type=\"missedCall\"}"), 0.0);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_the_next_request_and_closed_after_its_time() {
    let node = TestNode::start_with(|config| {
        config.limits.head_timeout = Duration::from_millis(700);
        config.limits.idle_timeout = Duration::from_millis(4000);
    })
    .await;
    let mut stream = TcpStream::connect(&node.api).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        one_answer(&mut stream).await;
        // Longer than a head may take, shorter than a connection may be idle.
        tokio::time::sleep(Duration::from_millis(1000)).await;
    }
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_read_or_the_answer_says_that_it_is_not() {
    let node = TestNode::start().await;
    for authority in [&node.api, &node.ops] {
        for (framing, body, goes_on) in [
            ("content-length: 65536", "x".repeat(65_536), true),
            ("content-length: 65537", "x".repeat(65_537), false),
            ("transfer-encoding: chunked", format!("8000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x8000)), true),
            ("transfer-encoding: chunked", format!("10001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x1_0001)), false),
            ("content-length: 9\r\nexpect: 100-continue", String::new(), false),
        ] {
            let mut stream = TcpStream::connect(authority).await.unwrap();
            stream.write_all(format!("PUT /sessions HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n").as_bytes()).await.unwrap();
            // What comes behind the head comes when the refusal has long been decided.
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(body.as_bytes()).await.unwrap();
            let (head, _) = one_answer(&mut stream).await;
            assert_eq!(head.contains("connection: close"), !goes_on, "{authority} {framing}: {head}");
            if goes_on {
                stream.write_all(b"GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
                assert!(one_answer(&mut stream).await.0.starts_with("HTTP/1.1 404 "), "{framing}");
            } else {
                assert_eq!(read_to_end(&mut stream).await, "", "{framing}");
            }
        }
    }
}

#[tokio::test]
async fn of_the_connections_one_in_ten_is_kept_for_requests() {
    let node = TestNode::start_with(|config| config.limits.connections = Some(20)).await;
    let mut sessions = Vec::new();
    for number in 0..18 {
        sessions.push(node.session("SBOX", &format!("N{number}"), "").await);
    }
    match node.open(&person("SBOX", "ADV", "AgencyCloud"), "").await {
        Err(client::session::SessionError::Refused { status: 503, .. }) => {}
        other => panic!("{other:?}"),
    }
    let text = event("incomingCall", &["ADV"]).to_string();
    let mut provider = Caller::application(&node.api);
    assert_eq!(provider.post(text.clone(), &[]).await.status, 202, "a provider gets through");

    let holder = TcpStream::connect(&node.api).await.unwrap();
    let until_full = async {
        loop {
            // The connection that was refused a session may still be on its way out.
            let answer = raw(&node.api, b"").await;
            if !answer.is_empty() {
                break answer;
            }
        }
    };
    let full = timeout(PATIENCE, until_full).await.expect("full in time");
    assert_eq!(ask(&node.ops, "/livez", &[]).await.status, 200, "operators have connections of their own");
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("retry-after: 1"), "{full}");
    drop((holder, sessions));
    let mut another = Caller::application(&node.api);
    let has_room = async {
        loop {
            // Slots come back when their sessions have ended.
            match another.api.send(hyper::Request::get("/openapi.json").body(http_body_util::Full::default()).unwrap()).await {
                Ok(answer) if answer.status == 200 => break,
                Ok(_) | Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, has_room).await.expect("room in time");
    assert_eq!(json!(another.post(text, &[]).await.status.as_u16()), 202);
}
