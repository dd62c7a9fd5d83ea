//! A desktop and the close codes: it comes back, or it does not, as the published table says. The node here is a listener that
//! says what no real node can be brought to say in a second.
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use client::desktop::{Desktop, News};
use client::session::{Heard, Session};
use futures::{SinkExt, StreamExt};
use protocol::close::CloseCode;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    listener: TcpListener,
}

struct Accepted {
    socket: WebSocketStream<TcpStream>,
    query: String,
    token: String,
}

impl Node {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        (Self { listener }, authority)
    }

    async fn accept(&self) -> Accepted {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("a client in time").unwrap();
        let (mut query, mut token) = (String::new(), String::new());
        #[expect(clippy::result_large_err, reason = "the library's own signature")]
        let read = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            query = request.uri().query().unwrap_or_default().to_owned();
            token = request.headers()["authorization"].to_str().unwrap().to_owned();
            Ok(response)
        };
        let socket = accept_hdr_async(stream, read).await.unwrap();
        Accepted { socket, query, token }
    }
}

impl Accepted {
    async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn welcome(&mut self, cursor: &str, life_seconds: i64) {
        let now = jiff::Timestamp::now();
        let expires = now + jiff::SignedDuration::from_secs(life_seconds);
        let welcome = json!({
            "type": "welcome", "sessionId": "s", "cursor": cursor, "resume": "new", "calls": [], "pingSeconds": 25,
            "resumeSeconds": 180, "tokenExpires": expires.to_string(), "now": now.to_string(),
            "reconnect": {"firstMs": 5, "baseMs": 5, "capMs": 10},
        });
        self.say(welcome).await;
    }

    async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static("") };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    async fn heard(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A desktop whose tokens are counted: token-1, token-2, …
fn desktop(authority: String) -> Desktop {
    let mut number = 0;
    Desktop::new(
        authority,
        Some("desk".to_owned()),
        Box::new(move || {
            number += 1;
            let token = format!("token-{number}");
            Box::pin(async move { Ok(token) })
        }),
    )
}

async fn next(desktop: &mut Desktop) -> News {
    timeout(PATIENCE, desktop.next()).await.expect("news in time")
}

/// Lets a desktop in. Returns the session as the node has it, and the news of it.
async fn log_in(node: &Node, desktop: &mut Desktop, cursor: &str, life_seconds: i64) -> (Accepted, News) {
    let welcome = async {
        let mut accepted = node.accept().await;
        accepted.welcome(cursor, life_seconds).await;
        accepted
    };
    tokio::join!(welcome, next(desktop))
}

#[tokio::test]
async fn after_each_close_code_it_comes_back_or_does_not_as_the_table_says() {
    let comes_back = |code: u16| !matches!(code, 1000 | 4002..=4099);
    for code in CloseCode::ALL.map(|code| code.on_the_wire().0).into_iter().chain([1001, 4204]) {
        let (node, authority) = Node::start().await;
        let mut desktop = desktop(authority);
        let (mut first, welcome) = log_in(&node, &mut desktop, "c1", 3600).await;
        assert!(matches!(welcome, News::Welcome(_)));
        assert_eq!((first.query.as_str(), first.token.as_str()), ("device=desk", "Bearer token-1"));
        first.say(json!({"type": "event", "id": "e1", "callId": "c"})).await;
        assert!(matches!(next(&mut desktop).await, News::Event(_)));
        let end = async {
            let heard = first.heard().await;
            first.close(code).await;
            heard
        };
        let (heard, ended) = tokio::join!(end, next(&mut desktop));
        assert_eq!(heard, json!({"type": "ack", "id": "e1"}));
        if !comes_back(code) {
            assert_eq!((ended, next(&mut desktop).await), (News::Stopped(code), News::Stopped(code)));
            continue;
        }
        assert_eq!(ended, News::Away(code));
        let (again, _) = log_in(&node, &mut desktop, "c2", 3600).await;
        assert_eq!(again.query, "device=desk&resume=e1", "{code}: with its place");
        let token = if matches!(code, 4001 | 4203) { "Bearer token-2" } else { "Bearer token-1" };
        assert_eq!(again.token, token, "{code}");
    }
}

#[tokio::test]
async fn repeats_are_dropped_and_a_slot_is_kept() {
    let (node, authority) = Node::start().await;
    let mut desktop = desktop(authority);
    let (mut first, _) = log_in(&node, &mut desktop, "c1", 3600).await;
    for id in ["e1", "e2", "e1"] {
        first.say(json!({"type": "event", "id": id, "callId": "c"})).await;
    }
    first.say(json!({"type": "sync", "callId": "c", "action": "expired"})).await;
    let mut ids = Vec::new();
    while let News::Event(event) = next(&mut desktop).await {
        ids.push(event["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids, ["e1", "e2"]);
    first.say(json!({"type": "goaway", "reason": "restarting", "reconnectInMs": 300, "deadlineMs": 300})).await;
    let told = std::time::Instant::now();
    let ((), ended) = tokio::join!(first.close(1012), next(&mut desktop));
    assert_eq!(ended, News::Away(1012));
    let (_again, _) = log_in(&node, &mut desktop, "c2", 3600).await;
    assert!(told.elapsed() >= Duration::from_millis(300), "not before its slot");
}

#[tokio::test]
async fn a_token_is_renewed_at_four_fifths_of_its_life() {
    let (node, authority) = Node::start().await;
    let mut desktop = desktop(authority);
    let (mut accepted, _) = log_in(&node, &mut desktop, "c1", 1).await;
    let renewed = async {
        let heard = accepted.heard().await;
        accepted.say(json!({"type": "sync", "callId": "c", "action": "expired"})).await;
        heard
    };
    let (heard, _) = tokio::join!(renewed, next(&mut desktop));
    assert_eq!(heard, json!({"type": "refresh", "token": "token-2"}));
}

#[tokio::test]
async fn pings_alone_show_that_the_node_is_there() {
    let (node, authority) = Node::start().await;
    let (mut accepted, session) = tokio::join!(node.accept(), Session::open(&authority, "token", ""));
    let mut session = session.unwrap();
    let opened = session.heard_at();
    let answered = async {
        accepted.socket.send(Message::Ping(Vec::new().into())).await.unwrap();
        timeout(PATIENCE, accepted.socket.next()).await.expect("a pong in time")
    };
    tokio::select! {
        pong = answered => assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}"),
        heard = session.next() => panic!("a ping is no message: {heard:?}"),
    }
    assert!(session.heard_at() > opened);
    session.give_up_after(Duration::ZERO);
    let silent = Heard::Closed { code: 1006, reason: "silence".to_owned() };
    assert_eq!(session.next().await, silent);
}

#[tokio::test]
async fn a_call_that_may_not_pop_any_more_is_left_out() {
    let (node, authority) = Node::start().await;
    let mut desktop = desktop(authority);
    let (mut accepted, _) = log_in(&node, &mut desktop, "c1", 3600).await;
    let now = jiff::Timestamp::now();
    for (id, seconds) in [("old", -1), ("new", 45)] {
        let expires = now + jiff::SignedDuration::from_secs(seconds);
        accepted.say(json!({"type": "event", "id": id, "callId": id, "expires": expires.to_string()})).await;
    }
    assert!(matches!(next(&mut desktop).await, News::Expired(event) if event["id"] == "old"));
    assert!(matches!(next(&mut desktop).await, News::Event(event) if event["id"] == "new"));
    assert_eq!((desktop.cursor(), desktop.repeats()), (Some("new"), 0));
}

#[tokio::test]
async fn a_call_does_not_pop_late_because_its_welcome_was_read_late() {
    let (node, authority) = Node::start().await;
    let mut desktop = desktop(authority);
    let now = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(10);
    let expires = now + jiff::SignedDuration::from_millis(200);
    let (mut accepted, ()) = tokio::join!(node.accept(), async {
        // Polled until the session is asked for, then left alone as by a machine that sleeps.
        drop(timeout(Duration::from_millis(300), desktop.next()).await);
    });
    accepted.say(json!({"type": "welcome", "cursor": "c1", "resume": "full", "calls": [], "now": now.to_string()})).await;
    accepted.say(json!({"type": "event", "id": "e1", "callId": "c", "expires": expires.to_string()})).await;
    assert!(matches!(next(&mut desktop).await, News::Welcome(_)));
    assert!(matches!(next(&mut desktop).await, News::Expired(_)));
}

#[tokio::test]
async fn a_proxy_that_cannot_reach_the_node_is_no_reason_to_stay_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let proxy = async {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _read = tokio::io::AsyncReadExt::read(&mut stream, &mut head).await.unwrap();
            let answer = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        }
    };
    let mut desktop = desktop(authority);
    let told = async {
        for _ in 0..3 {
            assert_eq!(next(&mut desktop).await, News::Away(1011));
        }
    };
    tokio::join!(proxy, told);
}

#[tokio::test]
async fn many_events_in_a_second_are_not_answered_by_too_many_acknowledgements() {
    let (node, authority) = Node::start().await;
    let mut desktop = desktop(authority);
    let (mut accepted, _) = log_in(&node, &mut desktop, "c1", 3600).await;
    let node = async {
        for number in 0..60 {
            accepted.say(json!({"type": "event", "id": format!("e{number}"), "callId": "c"})).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut acknowledgements = 1;
        while accepted.heard().await["id"] != "e59" {
            acknowledgements += 1;
        }
        acknowledgements
    };
    let acknowledgements = tokio::select! {
        acknowledgements = node => acknowledgements,
        () = async { loop { next(&mut desktop).await; } } => 0,
    };
    assert!((1..=20).contains(&acknowledgements), "{acknowledgements}");
}

#[tokio::test]
async fn a_token_that_cannot_be_fetched_is_asked_for_again() {
    let (node, authority) = Node::start().await;
    let mut tries = 0;
    let fetch = Box::new(move || {
        tries += 1;
        let token = if tries == 1 { Err("the token service is down".into()) } else { Ok("token".to_owned()) };
        Box::pin(std::future::ready(token)) as client::desktop::Fetched
    });
    let mut desktop = Desktop::new(authority, None, fetch);
    assert_eq!(next(&mut desktop).await, News::Away(1006));
    let (accepted, _) = log_in(&node, &mut desktop, "c1", 3600).await;
    assert_eq!(accepted.token, "Bearer token");
}

#[tokio::test]
async fn a_place_that_was_kept_holds_over_a_restart_of_the_client() {
    let (node, authority) = Node::start().await;
    let mut desktop = desktop(authority).resuming(Some("kept".to_owned()));
    for expected in ["kept", "c1"] {
        let (accepted, _) = log_in(&node, &mut desktop, "c1", 3600).await;
        assert_eq!(accepted.query, format!("device=desk&resume={expected}"));
        desktop.line_broke();
    }
}
