//! What holds for all profiles: nothing is lost, nobody waits for another, replays, what bellwire itself tells.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use client::session::Session;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::*;
use crate::program::{FaultyDisk, Program};
use crate::receiver::Reply;
use crate::support::{assert_silent, event, message, next_event, person};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn x01_what_is_queued_for_a_subscription_that_is_taken_away_is_cancelled() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    let permits = Arc::new(Semaphore::new(0));
    scene.receiver.script("/a", [Reply::Status(500), Reply::When(permits.clone(), 500)]);
    scene.contact("waits").await;
    scene.attempts(&subscription, 1).await;
    scene.contact("on its way").await;
    scene.contact("behind it").await;
    scene.receiver.wait_for("/a", 2).await;
    assert_eq!(bare(&mut scene.app, Method::DELETE, &at(&subscription, "")).await.status, 204);
    for path in [at(&subscription, ""), at(&subscription, "/attempts"), "/webhooks/deliveries/1-1".to_owned()] {
        assert_eq!(scene.app.get(&path, &[]).await.status, 404, "{path}");
    }
    permits.add_permits(1);
    settle(&scene).await;
    scene.pass(4000).await;
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 2);
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_queued"), 0.0);
    let mut scene = scene.restart(|_| ()).await;
    assert_eq!(body(&scene.operator().get("/webhooks", &[]).await), json!([]));
    scene.standard("/b").await;
    scene.contact("another's").await;
    scene.receiver.wait_for("/b", 1).await;
    settle(&scene).await;
    scene.leap(HOUR);
    settle(&scene).await;
    assert_eq!((scene.receiver.received("/a").len(), scene.receiver.received("/b").len()), (2, 1));
}

#[tokio::test]
async fn x02_a_retry_goes_to_the_url_that_stands_now() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/old").await;
    scene.receiver.usually("/old", Reply::Status(500));
    scene.contact("C1").await;
    scene.attempts(&subscription, 1).await;
    let change = json!({"url": scene.receiver.url("/new")});
    let changed = send(&mut scene.app, Method::PUT, &at(&subscription, ""), &change).await;
    assert_eq!((changed.status.as_u16(), &body(&changed)["topicIds"]), (200, &subscription["topicIds"]));
    scene.leap(Duration::from_secs(60));
    let received = scene.receiver.wait_for("/new", 1).await;
    assert_eq!((&received[0].json()["SendAttempts"], scene.receiver.received("/old").len()), (&json!(2), 1));
    let attempts = scene.attempts(&subscription, 2).await;
    assert_eq!((&attempts[0]["url"], &attempts[1]["url"]), (&change["url"], &subscription["url"]), "the log says where");
}

/// Waits until all of these entities have come to a path.
async fn arrive(receiver: &Receiver, path: &str, ids: &BTreeSet<String>) {
    let mut count = 0;
    loop {
        let received = receiver.wait_for(path, count).await;
        let there: BTreeSet<_> = entities(&received).into_iter().collect();
        if ids.is_subset(&there) {
            return;
        }
        count = received.len() + 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x03_x04_what_was_taken_arrives_after_kill_9_and_what_was_settled_is_not_repeated() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path().join("data");
    let program = Program::start(&folder);
    let mut app = application(&program.api, "app");
    let well = subscribe(&mut app, standard(&receiver.url("/well"))).await;
    for (path, reply) in [("/hangs", Reply::Hang), ("/fails", Reply::Status(500))] {
        receiver.usually(path, reply);
        subscribe(&mut app, standard(&receiver.url(path))).await;
    }
    let settled: BTreeSet<_> = (0..20).map(|number| format!("settled-{number}")).collect();
    let queued: BTreeSet<_> = (0..20).map(|number| format!("queued-{number}")).collect();
    for id in &settled {
        assert_eq!(report(&mut app, &contact("ABC", id)).await.status, 202);
    }
    on_disk(&mut app, &well, 20).await;
    receiver.usually("/well", Reply::Hang);
    for id in &queued {
        assert_eq!(report(&mut app, &contact("ABC", id)).await.status, 202);
    }
    for (path, count) in [("/well", 21), ("/hangs", 1), ("/fails", 1)] {
        receiver.wait_for(path, count).await;
    }
    program.kill();
    for path in ["/well", "/hangs", "/fails"] {
        receiver.usually(path, Reply::Status(200));
    }
    let _program = Program::start(&folder);
    let all = settled.union(&queued).cloned().collect();
    for path in ["/well", "/hangs", "/fails"] {
        arrive(&receiver, path, &all).await;
    }
    let came = entities(&receiver.received("/well"));
    for id in &settled {
        assert_eq!(came.iter().filter(|other| *other == id).count(), 1, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x03_what_was_taken_arrives_whenever_the_node_is_killed() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path().join("data");
    let (mut taken, count) = (BTreeSet::new(), Cell::new(0));
    for round in 0..4_u64 {
        let program = Program::start(&folder);
        let mut app = application(&program.api, "app");
        if round == 0 {
            subscribe(&mut app, standard(&receiver.url("/a"))).await;
        }
        let posting = async {
            for number in 0.. {
                let id = format!("{round}-{number}");
                let text = contact("ABC", &id).to_string();
                let request = hyper::Request::post("/events").header("authorization", format!("Bearer {}", app.token));
                let request = request.header(JSON.0, JSON.1).body(http_body_util::Full::from(text)).unwrap();
                match app.api.send(request).await {
                    Ok(answer) if answer.status == 202 => count.set(count.get() + u64::from(taken.insert(id))),
                    Ok(answer) => panic!("{answer:?}"),
                    Err(_) => break,
                }
            }
        };
        let killing = async {
            // At another moment each time, in the midst of the posts.
            while count.get() < 10 * (round + 1) {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(23 * round)).await;
            program.kill();
        };
        tokio::join!(posting, killing);
    }
    let _program = Program::start(&folder);
    arrive(&receiver, "/a", &taken).await;
}

/// A place to which connections neither come about nor are refused: its queue is full.
struct FullListener {
    port: u16,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl FullListener {
    async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(connected.unwrap());
        }
        Self { port: address.port(), _listener: listener, _queued: queued }
    }
}

#[tokio::test]
async fn x05_who_hangs_at_whatever_point_holds_nobody_else_up() {
    let mut scene = Scene::start().await;
    let (full, silent) = (FullListener::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    scene.receiver.usually("/head", Reply::Hang);
    scene.receiver.usually("/half", Reply::Begin(head[..20].to_vec()));
    scene.receiver.usually("/body", Reply::Begin(head.to_vec()));
    let urls = [
        format!("http://127.0.0.1:{}/connect", full.port),
        format!("https://127.0.0.1:{}/tls", silent.local_addr().unwrap().port()),
        scene.receiver.url("/head"),
        scene.receiver.url("/half"),
        scene.receiver.url("/body"),
    ];
    let mut hanging = Vec::new();
    for url in urls.iter().flat_map(|url| std::iter::repeat_n(url, 4)) {
        hanging.push(scene.subscribe(standard(url)).await);
    }
    scene.standard("/well").await;
    // Time stands still: none of those that hang is given up.
    for number in 0..20 {
        scene.contact(&number.to_string()).await;
    }
    let received = scene.receiver.wait_for("/well", 20).await;
    assert_eq!(received.len(), 20);
    in_flight(&scene, 20.0).await;
    scene.pass(20).await;
    let errors = ["no connection came about", "no TLS came about", "the answer took too long", "the answer took too long"];
    for (place, subscription) in hanging.iter().enumerate() {
        let first = scene.attempts(subscription, 1).await.pop().unwrap();
        match errors.get(place / 4) {
            Some(error) => assert_eq!((&first["outcome"], &first["error"]), (&json!("failure"), &json!(error)), "{first}"),
            None => assert_eq!((&first["outcome"], &first["body"]), (&json!("success"), &json!("half")), "the status counts"),
        }
    }
}

#[tokio::test]
async fn x06_a_body_of_a_byte_now_and_then_is_left_at_the_deadline_and_the_status_counts() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec();
    scene.receiver.script("/a", [Reply::Drip(head, Duration::from_millis(1))]);
    scene.contact("C1").await;
    scene.contact("C2").await;
    let dripping = async {
        while scene.receiver.taken() < 10 {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("bytes are taken");
    scene.leap(Duration::from_millis(1999));
    in_flight(&scene, 1.0).await;
    scene.leap(Duration::from_millis(1));
    let received = scene.receiver.wait_for("/a", 2).await;
    assert_ne!(received[0].connection, received[1].connection, "what is not read to its end is not used again");
    let attempts = scene.attempts(&subscription, 2).await;
    assert_eq!((&attempts[1]["outcome"], &attempts[1]["status"]), (&json!("success"), &json!(200)));
    let body = attempts[1]["body"].as_str().unwrap();
    assert!(!body.is_empty() && body.bytes().all(|byte| byte == b'x'), "{body}");
}

#[tokio::test]
async fn x07_of_a_large_body_a_little_is_read_and_less_is_shown() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let known = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let to_the_end = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let more = vec![b'x'; 64 * 1024];
    let chunk = [b"10000\r\n".as_slice(), &more, b"\r\n"].concat();
    scene.receiver.script(
        "/a",
        [Reply::Endless(known, more.clone()), Reply::Endless(chunked, chunk), Reply::Endless(to_the_end, more.clone())],
    );
    for count in 1..=3 {
        scene.contact(&count.to_string()).await;
        // Time stands still: not the deadline ends it, but the bound.
        let attempt = scene.attempts(&subscription, count).await.remove(0);
        assert_eq!((&attempt["outcome"], attempt["body"].as_str().unwrap().len()), (&json!("success"), 4096));
    }
    // What the sockets' buffers hold was written, but not read.
    assert!(scene.receiver.taken() < 3 * 16 * 1024 * 1024, "{}", scene.receiver.taken());
    assert_eq!(scene.receiver.connections(), 3);
}

#[tokio::test]
async fn x07_what_is_compressed_is_not_asked_for_and_not_unpacked() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03<script>\xff";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    scene.receiver.script("/a", [Reply::Raw([head.as_bytes(), packed].concat())]);
    scene.contact("C1").await;
    let attempt = scene.attempts(&subscription, 1).await.remove(0);
    assert_eq!(attempt["body"], String::from_utf8_lossy(packed).as_ref());
    assert!(!scene.receiver.received("/a")[0].head.to_lowercase().contains("accept-encoding"));
}

#[tokio::test]
async fn x08_a_report_under_the_same_key_is_one_event_also_after_a_restart() {
    let mut scene = Scene::start().await;
    scene.standard("/a").await;
    let headers = [JSON, ("idempotency-key", "k1")];
    let post = async |app: &mut Caller, event: &Value| app.send(Method::POST, "/events", event.to_string(), &headers).await;
    let first = post(&mut scene.app, &contact("ABC", "C1")).await;
    let second = post(&mut scene.app, &contact("ABC", "C1")).await;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (202, None));
    assert_eq!((second.status.as_u16(), second.header("idempotent-replayed")), (202, Some("true")));
    assert_eq!((&body(&first)["events"], &first.body), (&json!(1), &second.body));
    assert_eq!(post(&mut scene.app, &contact("ABC", "C2")).await.status, 409);
    let mut other = application(&scene.node.api, "other");
    assert_eq!(post(&mut other, &contact("ABC", "C3")).await.header("idempotent-replayed"), None, "another's key is another");
    scene.receiver.wait_for("/a", 2).await;
    let mut scene = scene.restart(|_| ()).await;
    let third = post(&mut scene.app, &contact("ABC", "C1")).await;
    assert_eq!((third.status.as_u16(), third.header("idempotent-replayed")), (202, Some("true")));
    assert_eq!(post(&mut scene.app, &contact("ABC", "C2")).await.status, 409);
    scene.leap(Duration::from_secs(601));
    assert_eq!(post(&mut scene.app, &contact("ABC", "C4")).await.status, 202, "a key is remembered for ten minutes");
    scene.receiver.wait_for("/a", 3).await;
    settle(&scene).await;
    assert_eq!(entities(&scene.receiver.received("/a")), ["C1", "C3", "C4"]);
}

#[tokio::test]
async fn x08_of_two_reports_at_once_under_the_same_key_one_is_taken() {
    let mut scene = Scene::start().await;
    scene.standard("/a").await;
    let mut second = application(&scene.node.api, "app");
    for number in 0..10 {
        let key = format!("k{number}");
        let headers = [JSON, ("idempotency-key", key.as_str())];
        let text = contact("ABC", &number.to_string()).to_string();
        let (one, other) = tokio::join!(
            scene.app.send(Method::POST, "/events", text.clone(), &headers),
            second.send(Method::POST, "/events", text, &headers)
        );
        for answer in [&one, &other] {
            assert!(matches!(answer.status.as_u16(), 202 | 409), "{answer:?}");
        }
        assert!(one.status == 202 || other.status == 202);
    }
    scene.receiver.wait_for("/a", 10).await;
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 10);
}

/// An event of a call, as a provider posts it.
fn call(sub_type: &str, id: &str) -> String {
    let mut call = event(sub_type, &["ADV"]);
    call["payload"]["id"] = json!(id);
    call.to_string()
}

const CALLS: [&str; 4] = ["telephony.incomingCall", "telephony.answeredCall", "telephony.endedCall", "telephony.missedCall"];

/// Topic and call of each request, in the order in which they came.
fn calls(received: &[Received]) -> Vec<(String, String)> {
    let bodies = received.iter().map(Received::json);
    bodies
        .map(|body| (body["type"].as_str().unwrap().to_owned(), body["data"]["entityId"].as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn x09_the_events_of_a_call_come_in_order_and_hold_neither_another_call_up_nor_wait_for_a_retry() {
    let mut scene = Scene::start().await;
    let wish = json!({"url": scene.receiver.url("/a"), "topicIds": CALLS, "customerIds": ["SBOX"]});
    let subscription = scene.subscribe(wish).await;
    let mut provider = Caller::application(&scene.node.api);
    let mut post = async |sub_type, id| assert_eq!(provider.post(call(sub_type, id), &[]).await.status, 202);
    // An endpoint that has never answered gets one request at a time.
    post("incomingCall", "first").await;
    scene.attempts(&subscription, 1).await;
    let permits = Arc::new(Semaphore::new(0));
    scene.receiver.script("/a", [Reply::When(permits.clone(), 500)]);
    for (sub_type, id) in
        [("incomingCall", "K"), ("answeredCall", "K"), ("endedCall", "K"), ("incomingCall", "L"), ("answeredCall", "L")]
    {
        post(sub_type, id).await;
    }
    let received = scene.receiver.wait_for("/a", 4).await;
    let told = |sub_type: &str, id: &str| (format!("telephony.{sub_type}"), id.to_owned());
    let begin = [told("incomingCall", "first"), told("incomingCall", "K"), told("incomingCall", "L"), told("answeredCall", "L")];
    assert_eq!(calls(&received), begin);
    scene.attempts(&subscription, 3).await;
    assert_eq!(scene.receiver.received("/a").len(), 4, "K's next waits for the first attempt");
    permits.add_permits(1);
    let received = scene.receiver.wait_for("/a", 6).await;
    assert_eq!(calls(&received)[4..], [told("answeredCall", "K"), told("endedCall", "K")], "but for no retry");
    scene.attempts(&subscription, 6).await;
    scene.leap(Duration::from_secs(6));
    assert_eq!(calls(&scene.receiver.wait_for("/a", 7).await)[6], told("incomingCall", "K"));
}

#[tokio::test]
async fn x09_the_order_of_a_call_holds_for_what_is_read_from_disk() {
    let mut scene = Scene::start().await;
    let wish = json!({"url": scene.receiver.url("/a"), "topicIds": CALLS, "customerIds": ["SBOX"], "active": false});
    let subscription = scene.subscribe(wish).await;
    let mut provider = Caller::application(&scene.node.api);
    for id in 0..20 {
        for sub_type in ["incomingCall", "answeredCall", "endedCall"] {
            assert_eq!(provider.post(call(sub_type, &id.to_string()), &[]).await.status, 202);
        }
    }
    scene.leap(Duration::from_secs(1));
    scene.post(&at(&subscription, "/activate"), &json!({})).await;
    scene.post(&at(&subscription, "/replay"), &json!({"since": "2020-01-01T00:00:00Z"})).await;
    let told = calls(&scene.receiver.wait_for("/a", 60).await);
    for id in 0..20 {
        let of_call: Vec<_> = told.iter().filter(|(_, call)| *call == id.to_string()).map(|(topic, _)| topic.as_str()).collect();
        assert_eq!(of_call, CALLS[..3], "{id}");
    }
}

/// The program in a folder of this disk.
fn program_on(disk: &FaultyDisk) -> Program {
    Program::start_with(&disk.file("data"), |command| disk.under(command))
}

/// Waits until so many attempts of a subscription are on disk.
async fn on_disk(app: &mut Caller, subscription: &Value, count: usize) {
    let path = at(subscription, "/attempts?pageSize=100");
    let there = async { while get(app, &path).await["_embedded"].as_array().unwrap().len() < count {} };
    tokio::time::timeout(PATIENCE, there).await.expect("so many attempts");
}

#[tokio::test]
async fn x10_a_full_disk_refuses_reports_and_takes_them_again_when_there_is_room() {
    let (receiver, disk) = (Receiver::start().await, FaultyDisk::new());
    let program = program_on(&disk);
    let mut app = application(&program.api, "app");
    let subscription = subscribe(&mut app, standard(&receiver.url("/a"))).await;
    let permits = Arc::new(Semaphore::new(0));
    receiver.script("/a", [Reply::When(permits.clone(), 200)]);
    assert_eq!(report(&mut app, &contact("ABC", "before")).await.status, 202);
    receiver.wait_for("/a", 1).await;
    disk.order("full");
    let headers = [JSON, ("idempotency-key", "k1")];
    let during = contact("ABC", "during").to_string();
    // What becomes of the request that is on its way cannot be written either, until there is room.
    permits.add_permits(1);
    for _ in 0..2 {
        let refused = app.send(Method::POST, "/events", during.clone(), &headers).await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("5")));
    }
    assert_eq!(send(&mut app, Method::POST, "/webhooks/subscriptions", &standard(&receiver.url("/b"))).await.status, 503);
    disk.revoke("full");
    assert_eq!(app.send(Method::POST, "/events", during, &headers).await.status, 202, "by itself, and the key is free");
    on_disk(&mut app, &subscription, 2).await;
    assert_eq!(entities(&receiver.received("/a")), ["before", "during"]);
}

#[tokio::test]
async fn x10_a_call_is_shown_once_though_what_subscribers_are_told_does_not_fit_on_the_disk() {
    let (receiver, disk) = (Receiver::start().await, FaultyDisk::new());
    let program = program_on(&disk);
    let mut app = application(&program.api, "app");
    subscribe(&mut app, json!({"url": receiver.url("/a"), "topicIds": CALLS, "customerIds": ["SBOX"]})).await;
    let mut session = Session::open(&program.api, &person("SBOX", "ADV", "AgencyCloud"), "").await.unwrap();
    // Before it was welcomed it is not there for an event.
    assert_eq!(message(&mut session).await["type"], "welcome");
    let mut provider = Caller::application(&program.api);
    let key = [("idempotency-key", "k1")];
    disk.order("full");
    for _ in 0..2 {
        let refused = provider.post(call("incomingCall", "K"), &key).await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("5")));
    }
    assert_eq!(next_event(&mut session).await["notification"]["subType"], "incomingCall");
    assert_silent(&mut session).await;
    disk.revoke("full");
    assert_eq!(provider.post(call("incomingCall", "K"), &key).await.status, 202);
    assert_silent(&mut session).await;
    assert_eq!(calls(&receiver.wait_for("/a", 1).await), [("telephony.incomingCall".to_owned(), "K".to_owned())]);
}

#[tokio::test]
async fn one_connection_carries_one_request_after_the_other() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    for number in 1..=10 {
        scene.contact(&number.to_string()).await;
        scene.attempts(&subscription, number).await;
    }
    assert_eq!(scene.receiver.connections(), 1);
    let attempts = scene.attempts(&subscription, 10).await;
    assert_eq!(attempts.iter().filter(|attempt| attempt["reused"] == true).count(), 9);
    assert!(attempts[9]["phases"]["connect"].as_f64().unwrap() > 0.0 && attempts[0]["phases"].get("connect").is_none());
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_connections_reused_total"), 9.0);
    // Longer than a connection may be idle.
    scene.leap(Duration::from_secs(91));
    scene.contact("11").await;
    scene.attempts(&subscription, 11).await;
    assert_eq!(scene.receiver.connections(), 2);
}

#[tokio::test]
async fn metrics_say_what_came_of_requests() {
    let mut scene = Scene::start().await;
    let (well, other) = (scene.standard("/a").await, scene.reapit("/b").await);
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.receiver.script("/b", [Reply::Status(404)]);
    scene.contact("C1").await;
    scene.attempts(&other, 1).await;
    scene.leap_to_next(&well, 1).await;
    scene.attempts(&well, 2).await;
    settle(&scene).await;
    let metrics = scene.node.metrics().await;
    for (name, value) in [
        ("attempts_total{profile=\"standard\",outcome=\"delivered\"}", 1.0),
        ("attempts_total{profile=\"standard\",outcome=\"retried\"}", 1.0),
        ("attempts_total{profile=\"reapit\",outcome=\"dead\"}", 1.0),
        ("deliveries_dead_total", 1.0),
        ("deliveries_queued", 0.0),
        ("taken_to_attempted_seconds_count", 2.0),
        ("attempt_duration_seconds_count", 3.0),
    ] {
        assert_eq!(metrics.value(&format!("bellwire_webhook_{name}")), value, "{name}\n{}", metrics.0);
    }
}

#[tokio::test]
async fn a_connection_that_the_receiver_ended_costs_nothing() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let last = Reply::Raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec());
    scene.receiver.script("/a", [Reply::Status(200), last, Reply::Status(200), Reply::Close]);
    for number in 1..=4 {
        scene.contact(&number.to_string()).await;
        scene.attempts(&subscription, number).await;
    }
    assert_eq!(scene.receiver.received("/a").iter().map(|received| received.connection).collect::<Vec<_>>(), [1, 1, 2, 2]);
    let attempts = scene.attempts(&subscription, 4).await;
    assert_eq!(attempts[0]["error"], "the connection ended before an answer was there", "a request that was sent is an attempt");
    assert!(attempts[1..].iter().all(|attempt| attempt["outcome"] == "success"));
}

#[tokio::test]
async fn what_is_queued_at_a_shutdown_is_sent_after_the_next_start() {
    let mut scene = Scene::start_with(|config| config.shutdown_grace = Duration::from_millis(400)).await;
    let subscription = scene.standard("/a").await;
    let permits = Arc::new(Semaphore::new(0));
    scene.receiver.script("/a", [Reply::When(permits.clone(), 200)]);
    for number in 0..100 {
        scene.contact(&number.to_string()).await;
    }
    scene.receiver.wait_for("/a", 1).await;
    let Scene { node, receiver, .. } = scene;
    let clock = node.clock.clone();
    let folder = node.stop().await;
    // The request that was not waited for ends, as it would with the process.
    permits.add_permits(1);
    let lock = File::open(folder.path().join("lock")).unwrap();
    let free = async {
        while lock.try_lock().is_err() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("the folder is free");
    drop(lock);
    let node = TestNode::start_in(folder, clock, |_| ()).await;
    let app = application(&node.api, "app");
    let mut scene = Scene { node, receiver, app, trusted: None };
    let received = scene.receiver.wait_for("/a", 101).await;
    let ids: BTreeSet<_> = entities(&received[1..]).into_iter().collect();
    assert_eq!((received.len(), ids.len()), (101, 100), "the one that was on its way was cut off, and comes again");
    settle(&scene).await;
    assert_eq!(scene.shown(&subscription).await["queued"], 0);
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_on_its_way_and_notes_what_became_of_it() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let permits = Arc::new(Semaphore::new(0));
    scene.receiver.usually("/a", Reply::When(permits.clone(), 200));
    scene.contact("C1").await;
    scene.receiver.wait_for("/a", 1).await;
    let ops = scene.node.ops.clone();
    let answering = async {
        // Nothing is accepted any more: the node has begun to stop.
        while TcpStream::connect(&ops).await.is_ok() {
            tokio::task::yield_now().await;
        }
        permits.add_permits(1);
    };
    let (mut scene, ()) = tokio::join!(scene.restart(|_| ()), answering);
    let delivery = scene.delivery(&subscription, 1).await;
    assert_eq!((&delivery["state"], &delivery["sends"]), (&json!("delivered"), &json!(1)));
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 1);
}

/// Begins a replay of what was taken within the last hour, and waits until it is done. Returns it as it is then.
async fn replay(scene: &mut Scene, subscription: &Value, status: &str) -> Value {
    let since = (scene.node.clock.now() - HOUR).to_string();
    let replay = scene.post(&at(subscription, "/replay"), &json!({"since": since, "status": status})).await;
    let path = format!("/webhooks/replays/{}", replay["id"].as_str().unwrap());
    let mut now = replay;
    let running = async {
        while now["state"] == "running" {
            now = get(&mut scene.app, &path).await;
        }
    };
    tokio::time::timeout(PATIENCE, running).await.expect("a replay that ends");
    now
}

#[tokio::test]
async fn a_replay_brings_what_failed_what_is_missing_or_all() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(404), Reply::Status(404), Reply::Status(200)]);
    for (count, event) in [contact("ABC", "dead-1"), contact("SBOX", "dead-2"), contact("ABC", "delivered")].iter().enumerate() {
        scene.take(event).await;
        scene.attempts(&subscription, count + 1).await;
    }
    scene.take(&contact("DEF", "another's")).await;
    scene.leap(Duration::from_secs(1));
    let done = replay(&mut scene, &subscription, "failed").await;
    assert_eq!((&done["state"], &done["queued"]), (&json!("done"), &json!(2)), "{done:#}");
    let mut told = entities(&scene.receiver.wait_for("/a", 5).await[3..]);
    told.sort_unstable();
    assert_eq!(told, ["dead-1", "dead-2"]);
    settle(&scene).await;
    assert_eq!(replay(&mut scene, &subscription, "failed").await["queued"], 0, "they are delivered now");
    assert_eq!(replay(&mut scene, &subscription, "missing").await["queued"], 0);
    let later = scene.standard("/later").await;
    assert_eq!(replay(&mut scene, &later, "missing").await["queued"], 3);
    let mut told = entities(&scene.receiver.wait_for("/later", 3).await);
    told.sort_unstable();
    assert_eq!(told, ["dead-1", "dead-2", "delivered"], "what it would have been told");
    settle(&scene).await;
    assert_eq!(replay(&mut scene, &later, "all").await["queued"], 3);
    scene.receiver.wait_for("/later", 6).await;
    settle(&scene).await;
    assert_eq!((scene.receiver.received("/a").len(), scene.receiver.received("/later").len()), (5, 6));
}

#[tokio::test]
async fn a_replay_goes_from_one_time_to_another() {
    let mut scene = Scene::start().await;
    scene.standard("/a").await;
    let begin = scene.node.clock.now();
    for number in 0..5 {
        scene.contact(&number.to_string()).await;
        scene.leap(Duration::from_secs(1));
    }
    scene.receiver.wait_for("/a", 5).await;
    settle(&scene).await;
    let subscription = scene.standard("/b").await;
    let at_second = |second: u64| (begin + Duration::from_secs(second)).to_string();
    let range = json!({"since": at_second(1), "until": at_second(3), "status": "missing"});
    let answer = send(&mut scene.app, Method::POST, &at(&subscription, "/replay"), &range).await;
    let replay = body(&answer);
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("location"), Some(format!("/webhooks/replays/{}", replay["id"].as_str().unwrap()).as_str()));
    scene.receiver.wait_for("/b", 2).await;
    settle(&scene).await;
    assert_eq!(entities(&scene.receiver.received("/b")), ["1", "2"], "the begin is part of it, the end is not");
}

#[tokio::test]
async fn a_replay_waits_for_its_subscription_survives_a_restart_and_can_be_stopped() {
    let mut scene = Scene::start().await;
    scene.contact("C1").await;
    scene.leap(Duration::from_secs(1));
    let inactive = scene.subscribe(with(standard(&scene.receiver.url("/a")), json!({"active": false}))).await;
    let other = scene.subscribe(with(standard(&scene.receiver.url("/b")), json!({"active": false}))).await;
    let since = json!({"since": (scene.node.clock.now() - HOUR).to_string(), "status": "missing"});
    let mut replays = Vec::new();
    for subscription in [&inactive, &other] {
        let replay = scene.post(&at(subscription, "/replay"), &since).await;
        assert_eq!((&replay["state"], &replay["queued"]), (&json!("running"), &json!(0)));
        replays.push(format!("/webhooks/replays/{}", replay["id"].as_str().unwrap()));
    }
    let second = send(&mut scene.app, Method::POST, &at(&inactive, "/replay"), &since).await;
    assert_eq!(second.status, 409, "one at a time");
    let stopped = bare(&mut scene.app, Method::DELETE, &replays[1]).await;
    assert_eq!((stopped.status.as_u16(), &body(&stopped)["state"]), (200, &json!("stopped")));

    let mut scene = scene.restart(|_| ()).await;
    assert_eq!(scene.get(&replays[0]).await["state"], "running");
    assert_eq!(scene.get(&replays[1]).await["state"], "stopped");
    for subscription in [&inactive, &other] {
        scene.post(&at(subscription, "/activate"), &json!({})).await;
    }
    scene.receiver.wait_for("/a", 1).await;
    let ended = async { while get(&mut scene.app, &replays[0]).await["state"] != "done" {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("it is done");
    settle(&scene).await;
    assert!(scene.receiver.received("/b").is_empty());
}

#[tokio::test]
async fn a_replay_of_many_goes_step_by_step() {
    let mut scene = Scene::start().await;
    for batch in 0..3 {
        let events: Vec<_> = (0..400).map(|number| contact("ABC", &format!("{batch}-{number}"))).collect();
        scene.take(&json!(events)).await;
    }
    scene.leap(Duration::from_secs(1));
    let subscription = scene.standard("/a").await;
    let done = replay(&mut scene, &subscription, "missing").await;
    assert_eq!(done["queued"], 1200);
    assert!(done["reached"].is_string(), "{done:#}");
    let ids: BTreeSet<_> = entities(&scene.receiver.wait_for("/a", 1200).await).into_iter().collect();
    settle(&scene).await;
    assert_eq!((ids.len(), scene.receiver.received("/a").len()), (1200, 1200));
    assert_eq!(scene.shown(&subscription).await["queued"], 0);
}

#[tokio::test]
async fn a_delivery_is_sent_once_more_by_hand_whether_it_is_dead_or_waits() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(404), Reply::Status(500), Reply::Status(500)]);
    scene.contact("dead").await;
    let dead = scene.delivery(&subscription, 1).await;
    scene.contact("waits").await;
    let waits = scene.delivery(&subscription, 2).await;
    assert_eq!((&dead["state"], &waits["state"]), (&json!("dead"), &json!("queued")));
    let retry = |delivery: &Value| format!("/webhooks/deliveries/{}/retry", delivery["id"].as_str().unwrap());
    assert_eq!(bare(&mut scene.app, Method::POST, &retry(&dead)).await.status, 202);
    let again = scene.delivery(&subscription, 3).await;
    assert_eq!((&again["id"], &again["state"], &again["sends"]), (&dead["id"], &json!("queued"), &json!(2)));
    let wait = until(&again["nextAttemptAt"], scene.node.clock.now());
    assert_eq!(wait.as_secs(), 60, "its schedule begins anew");
    assert_eq!(bare(&mut scene.app, Method::POST, &retry(&waits)).await.status, 202);
    let received = scene.receiver.wait_for("/a", 4).await;
    assert_eq!(entities(&received), ["dead", "waits", "dead", "waits"], "at once");
    scene.attempts(&subscription, 4).await;
    settle(&scene).await;
    scene.leap(Duration::from_secs(60));
    scene.receiver.wait_for("/a", 5).await;
    settle(&scene).await;
    assert_eq!(entities(&scene.receiver.received("/a")[4..]), ["dead"]);
    assert_eq!(scene.shown(&subscription).await["queued"], 0);
}

#[tokio::test]
async fn a_delivery_of_a_subscription_that_takes_nothing_is_not_sent_once_more() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(404)]);
    scene.contact("C1").await;
    scene.attempts(&subscription, 1).await;
    scene.post(&at(&subscription, "/deactivate"), &json!({})).await;
    assert_eq!(bare(&mut scene.app, Method::POST, "/webhooks/deliveries/1-1/retry").await.status, 409);
    settle(&scene).await;
    assert_eq!((scene.receiver.received("/a").len(), &scene.shown(&subscription).await["queued"]), (1, &json!(0)));
    scene.post(&at(&subscription, "/activate"), &json!({})).await;
    assert_eq!(bare(&mut scene.app, Method::POST, "/webhooks/deliveries/1-1/retry").await.status, 202);
    scene.receiver.wait_for("/a", 2).await;
}

#[tokio::test]
async fn how_a_request_ends_counts_though_its_queue_was_ended_meanwhile() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    for (event, (status, state)) in [(200, "delivered"), (404, "dead"), (500, "suppressed")].into_iter().enumerate() {
        let permits = Arc::new(Semaphore::new(0));
        scene.receiver.script("/a", [Reply::When(permits.clone(), status)]);
        scene.contact("C1").await;
        scene.receiver.wait_for("/a", event + 1).await;
        scene.post(&at(&subscription, "/deactivate"), &json!({})).await;
        let path = format!("/webhooks/deliveries/{}-1", event + 1);
        let ended = async { while get(&mut scene.app, &path).await["state"] != "suppressed" {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("the queue is ended");
        permits.add_permits(1);
        settle(&scene).await;
        assert_eq!(scene.get(&path).await["state"], state, "{status}");
        assert_eq!(scene.shown(&subscription).await["queued"], 0, "{status}");
        scene.post(&at(&subscription, "/activate"), &json!({})).await;
    }
    scene.leap(HOUR);
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 3);
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_queued"), 0.0);
}

#[tokio::test]
async fn calls_are_told_of_as_they_are_posted_and_shown_as_ever() {
    let mut scene = Scene::start().await;
    let wish = json!({"url": scene.receiver.url("/a"), "topicIds": CALLS, "customerIds": ["SBOX"]});
    let subscription = scene.subscribe(wish).await;
    let mut session = scene.node.session("SBOX", "ADV", "").await;
    let mut provider = Caller::application(&scene.node.api);
    for (count, sub_type) in ["incomingCall", "answeredCall", "endedCall", "missedCall"].into_iter().enumerate() {
        let answer = provider.post(call(sub_type, "K"), &[("prefer", "return=representation")]).await;
        assert_eq!(answer.status, 202);
        scene.attempts(&subscription, count + 1).await;
        let body = scene.receiver.received("/a")[count].json();
        let data = &body["data"];
        assert_eq!((&body["type"], &data["customerId"]), (&json!(format!("telephony.{sub_type}")), &json!("SBOX")));
        assert_eq!(
            (&data["entityId"], &data["subType"], &data["targets"]),
            (&json!("K"), &json!(sub_type), &json!({"negotiatorId": ["ADV"]}))
        );
        assert_eq!(data["payload"]["callerId"], "07123 456789");
        let (told, posted) = (data["eventId"].as_str().unwrap().replace('-', ""), crate::support::body(&answer));
        assert_eq!(posted["id"], told.as_str(), "the receipt's id");
        if sub_type != "missedCall" {
            assert_eq!(next_event(&mut session).await["notification"]["subType"], sub_type);
        }
    }
    let mut adv = Caller::person(&scene.node.api, "SBOX", "ADV");
    assert_eq!(body(&adv.get("/notifications", &[]).await)["_embedded"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_missed_call_is_enqueued_in_the_commit_that_keeps_it() {
    let mut scene = Scene::start().await;
    let wish = json!({"url": scene.receiver.url("/a"), "topicIds": ["telephony.missedCall"], "customerIds": ["SBOX"]});
    scene.subscribe(wish).await;
    let mut provider = Caller::application(&scene.node.api);
    let key = [("idempotency-key", "k1")];
    for _ in 0..2 {
        assert_eq!(provider.post(call("missedCall", "K"), &key).await.status, 202);
    }
    scene.receiver.wait_for("/a", 1).await;
    let mut scene = scene.restart(|_| ()).await;
    let mut provider = Caller::application(&scene.node.api);
    assert_eq!(provider.post(call("missedCall", "K"), &key).await.status, 202);
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 1, "a repeat is told of as little as it is kept");
    assert_eq!(scene.get("/webhooks/deliveries/1-1").await["state"], "delivered");
    assert_eq!(scene.app.get("/webhooks/deliveries/2-1", &[]).await.status, 404);
}

#[tokio::test]
async fn sessions_that_open_and_close_are_told_of_in_order() {
    let mut scene = Scene::start().await;
    let wish =
        json!({"url": scene.receiver.url("/a"), "topicIds": ["session.opened", "session.closed"], "customerIds": ["SBOX"]});
    scene.subscribe(wish).await;
    let (token, mut count) = (person("SBOX", "ADV", "AgencyCloud"), 0);
    for device in ["desk", "laptop"] {
        let session = Session::open(&scene.node.api, &token, &format!("?device={device}")).await.unwrap();
        count += 1;
        scene.receiver.wait_for("/a", count).await;
        session.close().await;
        count += 1;
        scene.receiver.wait_for("/a", count).await;
    }
    let bodies: Vec<_> = scene.receiver.received("/a").iter().map(Received::json).collect();
    let told: Vec<_> =
        bodies.iter().map(|body| (body["type"].as_str().unwrap(), body["data"]["device"].as_str().unwrap())).collect();
    let (opened, closed) = ("session.opened", "session.closed");
    assert_eq!(told, [(opened, "desk"), (closed, "desk"), (opened, "laptop"), (closed, "laptop")]);
    for (body, sessions) in bodies.iter().zip([1, 0, 1, 0]) {
        let data = &body["data"];
        assert_eq!(
            (&data["negotiatorId"], &data["product"], &data["sessions"]),
            (&json!("ADV"), &json!("AgencyCloud"), &json!(sessions))
        );
        assert_eq!((&data["entityId"], &data["customerId"]), (&json!("ADV"), &json!("SBOX")));
    }
}

#[tokio::test]
async fn a_call_of_which_nobody_is_to_be_told_never_touches_the_store() {
    let mut scene = Scene::start().await;
    let wish = json!({"url": scene.receiver.url("/a"), "topicIds": CALLS, "customerIds": ["ABC"]});
    scene.subscribe(wish).await;
    let mut provider = Caller::application(&scene.node.api);
    let mut untouched = false;
    // Housekeeping writes as well, once every half minute.
    for _ in 0..3 {
        let before = scene.node.metrics().await.value("bellwire_store_commit_duration_seconds_count");
        for sub_type in ["incomingCall", "answeredCall", "endedCall"] {
            assert_eq!(provider.post(call(sub_type, "K"), &[]).await.status, 202);
        }
        untouched |= scene.node.metrics().await.value("bellwire_store_commit_duration_seconds_count") == before;
    }
    assert!(untouched);
    let answer = provider.post(call("incomingCall", "L"), &[("reapit-customer", "ABC")]).await;
    assert_eq!(answer.status, 202);
    let received = scene.receiver.wait_for("/a", 1).await;
    assert_eq!(calls(&received), [("telephony.incomingCall".to_owned(), "L".to_owned())]);
}

#[tokio::test]
async fn a_batch_does_not_overrun_a_queue() {
    let mut scene = Scene::start_with(|config| config.webhooks.queue_max = 2).await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.usually("/a", Reply::Hang);
    let events: Vec<_> = (0..50).map(|number| contact("ABC", &number.to_string())).collect();
    scene.take(&json!(events)).await;
    assert_eq!(scene.shown(&subscription).await["queued"], 2);
}

#[tokio::test]
async fn what_comes_after_a_subscription_was_set_active_again_is_sent_though_its_old_queue_is_still_being_ended() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Hang]);
    for batch in 0..20 {
        let events: Vec<_> = (0..500).map(|number| contact("ABC", &format!("{batch}-{number}"))).collect();
        scene.take(&json!(events)).await;
    }
    in_flight(&scene, 1.0).await;
    scene.post(&at(&subscription, "/deactivate"), &json!({})).await;
    scene.post(&at(&subscription, "/activate"), &json!({})).await;
    scene.contact("new").await;
    // What hangs holds the one request that such a receiver gets.
    scene.leap(Duration::from_secs(10));
    let sent = async { while scene.get("/webhooks/deliveries/10001-1").await["state"] != "delivered" {} };
    tokio::time::timeout(PATIENCE, sent).await.expect("the new one is sent");
}
