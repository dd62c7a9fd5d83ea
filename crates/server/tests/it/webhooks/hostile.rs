//! Receivers that mean harm, and owners of subscriptions that do: one test for each thing that is kept from them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpSocket, UdpSocket};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::program::{PROGRAM, Program};
use crate::receiver::Reply;

const NAME: &str = "hooks.example.com";

/// By name the answers that are still to be given; the last one is given again and again.
type Names = HashMap<&'static str, Vec<Vec<[u8; 4]>>>;

/// A name server that says what it is told to, and that each answer is to be forgotten at once.
struct NameServer {
    address: SocketAddr,
    _answering: AbortOnDropHandle<()>,
}

impl NameServer {
    async fn start(names: Names) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let names = Arc::new(Mutex::new(names));
        #[expect(clippy::disallowed_methods, reason = "ended when the name server is dropped")]
        let _answering = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                let answer = answer(&query[..length], &mut names.lock().unwrap());
                socket.send_to(&answer, from).await.unwrap();
            }
        }));
        Self { address, _answering }
    }
}

/// Answers one query (RFC 1035 §4.1) with addresses of version 4.
fn answer(query: &[u8], names: &mut Names) -> Vec<u8> {
    let (mut name, mut place) = (Vec::new(), 12);
    while query[place] != 0 {
        let end = place + 1 + usize::from(query[place]);
        name.push(String::from_utf8(query[place + 1..end].to_vec()).unwrap().to_lowercase());
        place = end;
    }
    let is_a = query[place + 1..place + 3] == [0, 1];
    let addresses = match names.get_mut(name.join(".").as_str()) {
        Some(answers) if is_a && answers.len() > 1 => answers.remove(0),
        Some(answers) if is_a => answers[0].clone(),
        Some(_) | None => Vec::new(),
    };
    let count = u8::try_from(addresses.len()).unwrap();
    let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0], &query[12..place + 5]].concat();
    for address in addresses {
        answer.extend([[0xc0, 12].as_slice(), &[0, 1, 0, 1, 0, 0, 0, 0, 0, 4], &address].concat());
    }
    answer
}

/// A node that asks this name server, and may send to these networks alone, which are not public.
async fn resolving(names: Names, allowed: &[&str]) -> (Scene, NameServer) {
    let server = NameServer::start(names).await;
    let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
    let scene = Scene::start_strict_with(|config| {
        config.webhooks.sender.name_servers = vec![server.address];
        config.webhooks.egress_allow = allowed;
    })
    .await;
    (scene, server)
}

/// Attempts of a subscription as operators see them, when there are so many.
async fn seen_by_operators(scene: &mut Scene, subscription: &Value, count: usize) -> Vec<Value> {
    scene.attempts(subscription, count).await;
    let path = format!("/webhooks/{}", subscription["id"].as_str().unwrap());
    get(&mut scene.operator(), &path).await["attempts"].as_array().unwrap().clone()
}

/// A place that refuses connections, for as long as it is held.
fn closed() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_public() {
    let mut scene = Scene::start_strict_with(|config| {
        config.webhooks.egress_allow = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]
    })
    .await;
    let port = scene.receiver.port;
    let hosts =
        ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "10.0.0.1", "169.254.169.254", "192.168.0.1", "[fd00::1]"];
    let mut subscriptions = Vec::new();
    for host in hosts {
        subscriptions.push(scene.subscribe(standard(&format!("https://{host}:{port}/"))).await);
    }
    // What was allowed when they were made is not allowed any more.
    let mut scene = scene.restart(|config| config.webhooks.egress_allow.clear()).await;
    scene.contact("C1").await;
    for (subscription, host) in subscriptions.iter().zip(hosts) {
        let attempt = seen_by_operators(&mut scene, subscription, 1).await.remove(0);
        let detail = attempt["detail"].as_str().unwrap();
        assert!(detail.starts_with("nothing is sent there: "), "{host}: {detail}");
        let pinged = scene.post(&at(subscription, "/ping"), &json!({"topicId": "contacts.created"})).await;
        assert_eq!((&pinged["success"], &pinged["error"]), (&json!(false), &json!("no connection came about")), "{host}");
    }
    assert_eq!(scene.receiver.connections(), 0);
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_addresses_refused_total"), 8.0);
}

#[tokio::test]
async fn a_name_is_judged_by_its_address() {
    let (mut scene, _server) = resolving(HashMap::from([(NAME, vec![vec![[127, 0, 0, 1]]])]), &[]).await;
    let subscription = scene.subscribe(standard(&scene.receiver.url_at(NAME, "/a"))).await;
    scene.contact("C1").await;
    let attempt = seen_by_operators(&mut scene, &subscription, 1).await.remove(0);
    assert_eq!(attempt["detail"], "nothing is sent there: 127.0.0.1 is a loopback address (RFC 1122)");
    assert_eq!(scene.receiver.connections(), 0);
}

#[tokio::test]
async fn what_an_operator_allows_is_sent_to() {
    let (mut scene, _server) = resolving(HashMap::from([(NAME, vec![vec![[127, 0, 0, 1]]])]), &["127.0.0.1/32"]).await;
    scene.subscribe(standard(&scene.receiver.url_at(NAME, "/a"))).await;
    scene.contact("C1").await;
    let received = scene.receiver.wait_for("/a", 1).await;
    assert_eq!(received[0].header("Host"), Some(format!("{NAME}:{}", scene.receiver.port).as_str()));
    let first = received[0].head.lines().nth(1).unwrap();
    assert!(first.starts_with("Host: "), "receivers exist that look for it there: {first}");
}

#[tokio::test]
async fn a_name_with_one_address_that_is_refused_is_refused_whole() {
    for second in [[10, 0, 0, 1], [169, 254, 169, 254]] {
        let names = HashMap::from([(NAME, vec![vec![[127, 0, 0, 1], second]])]);
        let (mut scene, _server) = resolving(names, &["127.0.0.1/32"]).await;
        let subscription = scene.subscribe(standard(&scene.receiver.url_at(NAME, "/a"))).await;
        scene.contact("C1").await;
        let attempt = seen_by_operators(&mut scene, &subscription, 1).await.remove(0);
        let detail = attempt["detail"].as_str().unwrap();
        assert!(detail.contains(&Ipv4Addr::from(second).to_string()), "{detail}");
        assert_eq!(scene.receiver.connections(), 0);
    }
}

#[tokio::test]
async fn a_name_that_is_bent_between_two_attempts_is_judged_at_each() {
    // The first address stands for a public one: it is allowed, and nobody answers there.
    let names = HashMap::from([(NAME, vec![vec![[203, 0, 113, 7]], vec![[127, 0, 0, 1]]])]);
    let (mut scene, _server) = resolving(names, &["203.0.113.7/32"]).await;
    let subscription = scene.subscribe(standard(&scene.receiver.url_at(NAME, "/a"))).await;
    scene.contact("C1").await;
    // Whether that address is unreachable or silent is the network's choice: time passes until both attempts have ended.
    let trying = async {
        while scene.attempts(&subscription, 0).await.len() < 2 {
            scene.pass(1).await;
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("two attempts that end");
    let attempts = seen_by_operators(&mut scene, &subscription, 2).await;
    let details: Vec<_> = attempts.iter().rev().map(|attempt| attempt["detail"].as_str().unwrap()).collect();
    assert!(!details[0].starts_with("nothing is sent"), "{details:?}");
    assert_eq!(details[1], "nothing is sent there: 127.0.0.1 is a loopback address (RFC 1122)");
    assert_eq!(scene.receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_is_resolved_anew_when_its_connection_has_ended() {
    let names = HashMap::from([(NAME, vec![vec![[127, 0, 0, 1]], vec![[127, 0, 0, 2]]])]);
    let (mut scene, _server) = resolving(names, &["127.0.0.1/32"]).await;
    let subscription = scene.subscribe(standard(&scene.receiver.url_at(NAME, "/a"))).await;
    for count in 1..=2 {
        scene.contact(&count.to_string()).await;
        assert_eq!(scene.attempts(&subscription, count).await[0]["outcome"], "success", "a kept connection leads where it led");
    }
    scene.leap(Duration::from_secs(91));
    scene.contact("3").await;
    let attempt = seen_by_operators(&mut scene, &subscription, 3).await.remove(0);
    assert!(attempt["detail"].as_str().unwrap().contains("127.0.0.2 is a loopback address"), "{attempt}");
    assert_eq!(scene.receiver.connections(), 1);
}

#[tokio::test]
async fn a_name_server_that_never_answers_holds_nobody_else_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = silent.local_addr().unwrap();
    let mut scene = Scene::start_strict_with(|config| config.webhooks.sender.name_servers = vec![server]).await;
    let mut lost = Vec::new();
    for number in 0..5 {
        let url = scene.receiver.url_at(&format!("n{number}.example.com"), "/lost");
        lost.push(scene.subscribe(standard(&url)).await);
    }
    scene.standard("/well").await;
    for number in 0..10 {
        scene.contact(&number.to_string()).await;
    }
    scene.receiver.wait_for("/well", 10).await;
    scene.leap(Duration::from_secs(2));
    for subscription in &lost {
        let first = seen_by_operators(&mut scene, subscription, 1).await.pop().unwrap();
        assert!(first["detail"].as_str().unwrap().contains("resolv"), "{first}");
        assert!(first["why"].as_str().unwrap().starts_with("retried in"), "{first}");
    }
}

#[tokio::test]
async fn a_redirect_is_never_followed_and_is_shown() {
    let mut scene = Scene::start().await;
    let (closed, port) = closed();
    for (status, to) in
        [(301, "/elsewhere".to_owned()), (307, scene.receiver.url("/elsewhere")), (308, format!("http://127.0.0.1:{port}/"))]
    {
        let path = format!("/{status}");
        let answer = format!("HTTP/1.1 {status} X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        scene.receiver.usually(&path, Reply::Raw(answer.into()));
        let subscription = scene.reapit(&path).await;
        scene.contact("C1").await;
        let attempt = scene.attempts(&subscription, 1).await.remove(0);
        assert_eq!((&attempt["status"], &attempt["outcome"]), (&json!(status), &json!("failure")));
        assert_eq!(attempt["headers"][0], json!(["location", to]));
        bare(&mut scene.app, Method::DELETE, &at(&subscription, "")).await;
    }
    assert!(scene.receiver.received("/elsewhere").is_empty());
    drop(closed);
}

#[tokio::test]
async fn nothing_that_an_owner_or_a_producer_writes_becomes_a_line_of_a_request() {
    let mut scene = Scene::start().await;
    for bent in ["/a\r\nx-injected: 1", "/a HTTP/1.1\r\nx-injected: 1", "/a\n", "/a\t", "/a\u{0}", "/a\u{2028}"] {
        let answer = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &standard(&scene.receiver.url(bent))).await;
        assert_eq!((answer.status.as_u16(), faults(&answer)[0].0.as_str()), (422, "url"), "{bent:?}");
    }
    let mut app = application(&scene.node.api, "app\"<x>:\u{7e}");
    let path = "/a%0d%0ax-injected:%201?b=%0d%0ax-injected:%201";
    let description = "\r\nx-injected: 1";
    for wish in [standard(&scene.receiver.url(path)), reapit(&scene.receiver.url(path))] {
        subscribe(&mut app, with(wish, json!({"description": description}))).await;
    }
    scene.take(&with(contact("ABC", "C 1: ü"), json!({"new": {"id": "C1", "surname": "\r\nx-injected: 1\r\n\r\nPOST /"}}))).await;
    let received = scene.receiver.wait_for(path, 2).await;
    for received in &received {
        assert_eq!(received.head.lines().next(), Some(format!("POST {path} HTTP/1.1").as_str()));
        let names: Vec<_> = received.head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
        assert!(!received.head.contains("\nx-injected") && names.len() <= 7, "{}", received.head);
        let known = [
            "Host",
            "Content-Type",
            "User-Agent",
            "Webhook-Id",
            "Webhook-Timestamp",
            "Webhook-Signature",
            "Content-Length",
            "Reapit-Webhook-Signature",
            "X-Signature",
        ];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }
}

#[tokio::test]
async fn an_answer_with_too_large_a_head_is_a_failure() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let (large, many) = (format!("x-large: {}\r\n", "x".repeat(17 * 1024)), "x-many: 1\r\n".repeat(101));
    for (count, headers) in [large, many].iter().enumerate() {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 0\r\n\r\n");
        scene.receiver.script("/a", [Reply::Raw(head.into())]);
        scene.contact(&count.to_string()).await;
        let attempt = scene.attempts(&subscription, count + 1).await.remove(0);
        assert_eq!((&attempt["outcome"], attempt.get("status")), (&json!("failure"), None), "{attempt}");
    }
    let head = format!("HTTP/1.1 200 OK\r\nx-large: {}\r\n{}content-length: 0\r\n\r\n", "x".repeat(4096), "x: 1\r\n".repeat(90));
    scene.receiver.script("/a", [Reply::Raw(head.into())]);
    scene.contact("fits").await;
    let attempt = scene.attempts(&subscription, 3).await.remove(0);
    assert_eq!(attempt["outcome"], "success");
    assert!(attempt["headers"].to_string().len() < 4096, "of which little is kept");
    assert_eq!(scene.receiver.connections(), 3, "a connection that failed is not used again");
}

#[tokio::test]
async fn a_head_that_never_ends_is_left_when_it_is_too_large_or_too_late() {
    let mut scene = Scene::start().await;
    let (fast, slow, idle) = (scene.standard("/fast").await, scene.standard("/slow").await, scene.standard("/idle").await);
    let begin = b"HTTP/1.1 200 OK\r\nx-endless: ".to_vec();
    scene.receiver.script("/fast", [Reply::Endless(begin.clone(), vec![b'x'; 64 * 1024])]);
    scene.receiver.script("/slow", [Reply::Drip(begin, Duration::from_millis(5))]);
    scene.receiver.script("/idle", [Reply::Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())]);
    scene.contact("C1").await;
    // Time stands still: the bound ends it.
    assert_eq!(scene.attempts(&fast, 1).await[0]["outcome"], "failure");
    in_flight(&scene, 2.0).await;
    scene.leap(Duration::from_secs(20));
    for subscription in [&slow, &idle] {
        assert_eq!(scene.attempts(subscription, 1).await[0]["error"], "the answer took too long");
    }
    assert!(scene.receiver.taken() < 64 * 1024 * 1024, "{}", scene.receiver.taken());
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_not_taken_for_the_next() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let two = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    scene.receiver.script("/a", [Reply::Raw(two), Reply::Status(500)]);
    for (count, status) in [(1, 200), (2, 500)] {
        scene.contact(&count.to_string()).await;
        assert_eq!(scene.attempts(&subscription, count).await[0]["status"], status);
    }
    let received = scene.receiver.received("/a");
    assert_ne!(received[0].connection, received[1].connection);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let mut scene = Scene::start_strict_with(|config| config.webhooks.sender.ca_file = None).await;
    let subscription = scene.standard("/a").await;
    scene.contact("C1").await;
    let attempt = seen_by_operators(&mut scene, &subscription, 1).await.remove(0);
    assert_eq!(attempt["error"], "no TLS came about");
    assert!(attempt["detail"].as_str().unwrap().contains("UnknownIssuer"), "{attempt}");
    assert!(scene.receiver.received("/a").is_empty());
    let mut scene = scene.restart(|_| ()).await;
    scene.leap(Duration::from_secs(6));
    scene.receiver.wait_for("/a", 1).await;
    assert_eq!(scene.attempts(&subscription, 2).await[0]["outcome"], "success", "the file of the operator vouches for it");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let names = HashMap::from([("other.example.com", vec![vec![[127, 0, 0, 1]]])]);
    let (mut scene, _server) = resolving(names, &["127.0.0.1/32"]).await;
    let subscription = scene.subscribe(standard(&scene.receiver.url_at("other.example.com", "/a"))).await;
    scene.contact("C1").await;
    let attempt = seen_by_operators(&mut scene, &subscription, 1).await.remove(0);
    assert_eq!(attempt["error"], "no TLS came about");
    assert!(attempt["detail"].as_str().unwrap().contains("not valid for name"), "{attempt}");
    assert!(scene.receiver.received("/a").is_empty());
}

#[tokio::test]
async fn whoever_chooses_a_url_cannot_look_around_by_it() {
    let address = |last: u8| vec![vec![[127, 0, 0, last]]];
    let names = HashMap::from([("refuses.example.com", address(1)), ("private.example.com", address(2))]);
    let (mut scene, _server) = resolving(names, &["127.0.0.1/32"]).await;
    let (_closed, port) = closed();
    let mut told = Vec::new();
    for name in ["refuses.example.com", "private.example.com"] {
        let subscription = scene.subscribe(reapit(&format!("https://{name}:{port}/"))).await;
        let mut pinged = scene.post(&at(&subscription, "/ping"), &json!({"topicId": "contacts.created"})).await;
        scene.contact("C1").await;
        let by_operators = seen_by_operators(&mut scene, &subscription, 1).await.remove(0);
        let mut logged = scene.attempts(&subscription, 1).await.remove(0);
        assert!(by_operators["detail"].is_string(), "{by_operators}");
        bare(&mut scene.app, Method::DELETE, &at(&subscription, "")).await;
        for shown in [&mut pinged, &mut logged] {
            assert!(shown.get("ip").is_none() && shown.get("detail").is_none(), "{shown}");
            let text = shown.to_string();
            assert!(!text.contains("refused") && !text.contains("loopback") && !text.contains("os error"), "{text}");
            ["at", "id", "deliveryId", "url"].iter().for_each(|name| drop(shown.as_object_mut().unwrap().remove(*name)));
        }
        told.push((pinged, logged));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn what_was_sent_for_one_application_is_never_that_of_another() {
    let mut scene = Scene::start().await;
    let before = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(404)]);
    scene.contact("dead").await;
    scene.attempts(&before, 1).await;
    for restart in [false, true] {
        bare(&mut scene.app, Method::DELETE, &at(&before, "")).await;
        let mut operator = scene.operator();
        settle(&scene).await;
        if restart {
            scene = scene.restart(|_| ()).await;
            operator = scene.operator();
        }
        scene.leap(Duration::from_secs(1));
        let mut other = application(&scene.node.api, "other");
        let wish = with(standard(&scene.receiver.url("/b")), json!({"topicIds": ["applicants.created"]}));
        let after = subscribe(&mut other, wish).await;
        for endpoint in 1..=3 {
            assert_eq!(other.get(&format!("/webhooks/deliveries/1-{endpoint}"), &[]).await.status, 404);
        }
        assert!(get(&mut other, &at(&after, "/attempts")).await["_embedded"].as_array().unwrap().is_empty());
        for status in ["failed", "missing", "all"] {
            let since = json!({"since": "2020-01-01T00:00:00Z", "status": status});
            let replay = body(&send(&mut other, Method::POST, &at(&after, "/replay"), &since).await);
            let path = format!("/webhooks/replays/{}", replay["id"].as_str().unwrap());
            let ended = async { while get(&mut operator, &path).await["state"] == "running" {} };
            tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
        }
        settle(&scene).await;
        assert!(scene.receiver.received("/b").is_empty());
        bare(&mut other, Method::DELETE, &at(&after, "")).await;
    }
}

#[tokio::test]
async fn of_an_installation_only_the_application_itself_is_told_by_a_replay_as_well() {
    let mut scene = Scene::start().await;
    let install = |id: &str| {
        with(
            contact("ABC", "x"),
            json!({"topic": "application.install", "entityId": null, "new": {"applicationId": id, "customerId": "ABC"}}),
        )
    };
    for id in ["app", "other"] {
        scene.take(&install(id)).await;
    }
    scene.leap(Duration::from_secs(1));
    let wish = json!({"url": scene.receiver.url("/a"), "topicIds": ["application.install"], "customerIds": ["ABC"]});
    let subscription = scene.subscribe(wish).await;
    for id in ["app", "other"] {
        scene.take(&install(id)).await;
    }
    scene.receiver.wait_for("/a", 1).await;
    scene.post(&at(&subscription, "/replay"), &json!({"since": "2020-01-01T00:00:00Z", "status": "missing"})).await;
    scene.receiver.wait_for("/a", 2).await;
    settle(&scene).await;
    for received in scene.receiver.received("/a") {
        assert_eq!(received.json()["data"]["new"]["applicationId"], "app");
    }
    assert_eq!(scene.receiver.received("/a").len(), 2);
}

#[tokio::test]
async fn one_applications_receiver_does_not_disable_that_of_another_at_the_same_url() {
    let mut scene = Scene::start().await;
    let own = scene.standard("/a").await;
    let mut other = application(&scene.node.api, "other");
    let theirs = subscribe(&mut other, standard(&scene.receiver.url("/a"))).await;
    scene.receiver.script("/a", [Reply::Status(410)]);
    scene.contact("C1").await;
    scene.receiver.wait_for("/a", 2).await;
    settle(&scene).await;
    let own = scene.shown(&own).await["health"]["state"].clone();
    let theirs = get(&mut other, &at(&theirs, "")).await["health"]["state"].clone();
    let mut states = [own.as_str().unwrap(), theirs.as_str().unwrap()];
    states.sort_unstable();
    assert_eq!(states, ["disabled", "healthy"]);
}

#[tokio::test]
async fn a_secret_stands_neither_in_the_log_nor_in_the_folder() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path().join("data");
    let program = Program::start_with(&folder, |command| {
        // A proxy that the environment names is not asked: nobody listens there.
        command
            .env("BELLWIRE_LOG__FILTER", "trace")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9");
    });
    let mut app = application(&program.api, "app");
    let given = [b'?'; 48];
    let wish = json!({"secret": format!("whsec_{}", STANDARD.encode(given)), "asymmetric": true});
    let made = subscribe(&mut app, with(standard(&receiver.url("/a?token=t0psecret")), wish)).await;
    let answer = send(&mut app, Method::POST, &at(&made, "/secret/rotate"), &json!({})).await;
    let own = STANDARD.decode(body(&answer)["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap()).unwrap();
    receiver.script("/a?token=t0psecret", [Reply::Status(500), Reply::Close]);
    for id in ["C1", "C2", "C3"] {
        assert_eq!(report(&mut app, &contact("ABC", id)).await.status, 202);
    }
    let there = async { while get(&mut app, &at(&made, "/attempts")).await["_embedded"].as_array().unwrap().len() < 3 {} };
    tokio::time::timeout(PATIENCE, there).await.expect("three attempts");
    let log = program.kill();
    assert!(log.contains("webhook attempted") && log.contains("subscribed"), "{log}");
    for shown in ["t0psecret", "whsec_", "Smith", &app.token] {
        assert!(!log.contains(shown), "{shown} in {log}");
    }
    let mut kept = vec![("the log".to_owned(), log.into_bytes())];
    for file in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
        kept.push((file.path().display().to_string(), std::fs::read(file.path()).unwrap()));
    }
    assert!(kept.iter().any(|(name, bytes)| name.contains(".sqlite") && bytes.len() > 4096));
    for secret in [given.as_slice(), &own] {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [secret, STANDARD.encode(secret).as_bytes(), URL_SAFE_NO_PAD.encode(secret).as_bytes(), hex.as_bytes()] {
            for (name, bytes) in &kept {
                assert!(!bytes.windows(form.len()).any(|window| window == form), "a secret stands in {name}");
            }
        }
    }
}

#[tokio::test]
async fn without_the_key_that_secrets_were_sealed_with_the_program_does_not_start() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path().join("data");
    let program = Program::start(&folder);
    subscribe(&mut application(&program.api, "app"), standard(&receiver.url("/a"))).await;
    program.kill();
    let key = folder.join("webhooks.key");
    let kept = std::fs::read(&key).unwrap();
    let start = || {
        let arguments = ["serve", "--dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"];
        Command::new(PROGRAM).args(arguments).arg(&folder).output().unwrap()
    };
    for other in [Some(STANDARD.encode([1; 32])), Some("nonsense".to_owned()), None] {
        match &other {
            Some(other) => std::fs::write(&key, other).unwrap(),
            None => std::fs::remove_file(&key).unwrap(),
        }
        let refused = start();
        let told = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains("key file") || told.contains("the one that they were sealed with"), "{told}");
    }
    std::fs::write(&key, kept).unwrap();
    let program = Program::start(&folder);
    assert_eq!(report(&mut application(&program.api, "app"), &contact("ABC", "C1")).await.status, 202);
    receiver.wait_for("/a", 1).await;
}

#[tokio::test]
async fn a_name_server_that_does_not_answer_is_told_as_such() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = silent.local_addr().unwrap();
    let mut scene = Scene::start_strict_with(|config| config.webhooks.sender.name_servers = vec![server]).await;
    let wish = standard(&scene.receiver.url_at("n.example.com", "/lost"));
    let subscription = scene.subscribe(wish).await;
    scene.contact("C1").await;
    in_flight(&scene, 1.0).await;
    scene.leap(Duration::from_secs(2));
    assert_eq!(scene.attempts(&subscription, 1).await[0]["error"], "the host's name could not be resolved");
}

#[tokio::test]
async fn nothing_is_sent_to_a_port_that_is_allowed_no_more() {
    let mut scene = Scene::start_strict().await;
    let subscription = scene.standard("/a").await;
    let mut scene = scene.restart(|config| config.webhooks.ports = vec![443]).await;
    scene.contact("C1").await;
    let attempt = scene.attempts(&subscription, 1).await[0].clone();
    assert_eq!(attempt["error"], "no connection came about");
    assert!(scene.receiver.received("/a").is_empty());
    let shown = scene.operator().get(&format!("/webhooks/{}", subscription["id"].as_str().unwrap()), &[]).await;
    let text = String::from_utf8(shown.body.to_vec()).unwrap();
    assert!(text.contains("is not allowed; allowed: 443"), "{text}");
}
