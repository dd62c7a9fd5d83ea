//! Enreach's webhooks, statement by statement: the configuration that operators load, and what is told.

use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use tokio::sync::Semaphore;

use super::*;
use crate::receiver::Reply;

const ORGANIZATION: &str = "fd434d24-f685-431d-8df5-386b5d5ffa73";
const QUEUE: &str = "6cb31d7d-9cd9-41dc-a096-62cf31fd0281";
const OTHER: &str = "7cb31d7d-9cd9-41dc-a096-62cf31fd0282";
const THIRD: &str = "8cb31d7d-9cd9-41dc-a096-62cf31fd0283";
const USER: &str = "b4df099e-70dc-4ff5-b4ea-c2c3547d97fb";
const LIST: &str = "e0072f3a-cc7c-42ee-b0ac-34cd7238150a";

const ARRIVED: &str = "QueueCallInArrived";
const DISCONNECTED: &str = "QueueCallInDisconnected";
const ALLOCATED: &str = "QueueCallInUserAllocated";
const COMMON: [&str; 7] = ["Id", "Timestamp", "RootEntityType", "RootEntityId", "EntityType", "EntityId", "EventType"];

/// The documented sample, as it stands.
const SAMPLE: &str = r#"{
"Webhook": {
"Endpoint": "https://my.integration.com/wehook/",
"InsecureSSL": true,
"Secret": "MySecretString"
},
"Subscriptions": [
{
"EventType":"QueueCallInConnected",
"AllEntities": true
},
{
"EventType":"QueueCallInAllocated",
"AllEntities":true
}
]
}"#;

/// All events of these types.
fn all(types: &[&str]) -> Value {
    types.iter().map(|name| json!({"EventType": name, "AllEntities": true})).collect()
}

/// The configuration of one endpoint.
fn document(url: &str, subscriptions: &Value) -> Value {
    json!({"Webhook": {"Endpoint": url, "InsecureSSL": false}, "Subscriptions": subscriptions})
}

fn insecure(mut document: Value) -> Value {
    document["Webhook"]["InsecureSSL"] = json!(true);
    document
}

fn secret(mut document: Value, secret: &Value) -> Value {
    document["Webhook"]["Secret"] = secret.clone();
    document
}

/// Loads a customer's configuration.
async fn load_for(scene: &Scene, customer: &str, configuration: String) -> CallAnswer {
    let path = format!("/enreach/webhooks?customerId={customer}");
    scene.operator().send(Method::PUT, &path, configuration, &[JSON]).await
}

async fn load(scene: &Scene, configuration: &Value) -> CallAnswer {
    load_for(scene, "ABC", configuration.to_string()).await
}

/// Loads what is to be taken, and returns what is answered.
async fn loaded(scene: &Scene, configuration: &Value) -> Value {
    let answer = load(scene, configuration).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    body(&answer)
}

/// Asserts that a configuration is refused for one reason, and returns what is said of it.
async fn assert_not_loaded(scene: &Scene, configuration: &Value, field: &str) -> String {
    let answer = load(scene, configuration).await;
    assert_eq!(answer.status, 422, "{configuration}");
    let mut faults = faults(&answer);
    assert_eq!((faults.len(), faults[0].0.as_str()), (1, field), "{configuration}: {faults:?}");
    faults.remove(0).1
}

/// The configuration as it is shown.
async fn shown(scene: &Scene) -> Value {
    get(&mut scene.operator(), "/enreach/webhooks?customerId=ABC").await
}

/// How many endpoints were made, changed, kept and removed.
fn counts(answer: &Value) -> [u64; 4] {
    ["made", "changed", "kept", "removed"].map(|name| answer[name].as_u64().unwrap())
}

/// Where operators find the subscription with a URL.
async fn path_of(scene: &Scene, url: &str) -> String {
    let listed = get(&mut scene.operator(), "/webhooks").await;
    let found = listed.as_array().unwrap().iter().find(|shown| shown["url"] == url);
    format!("/webhooks/{}", found.unwrap_or_else(|| panic!("{url} is not in {listed:#}"))["id"].as_str().unwrap())
}

/// Waits until so many attempts at a URL are on disk, and returns them as operators see them. The newest is the first.
async fn attempts(scene: &Scene, url: &str, count: usize) -> Vec<Value> {
    let (path, mut operator) = (path_of(scene, url).await, scene.operator());
    let mut attempts = Vec::new();
    let there = async {
        while attempts.len() < count {
            attempts = get(&mut operator, &path).await["attempts"].as_array().unwrap().clone();
        }
    };
    assert!(tokio::time::timeout(PATIENCE, there).await.is_ok(), "{count} attempts at {url}, not {attempts:#?}");
    attempts
}

/// A file of the catalogue.
fn file(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol/catalogues/enreach/");
    serde_json::from_str(&std::fs::read_to_string(format!("{folder}{name}.json")).unwrap()).unwrap()
}

/// An event of a type as the catalogue's example has it, of ABC and of this entity, with other data in place of some of its own.
fn event(topic: &str, entity: &str, others: Value) -> Value {
    let mut example = file(&format!("examples/{topic}"));
    (example["customerId"], example["entityId"]) = (json!("ABC"), json!(entity));
    example["data"] = with(example["data"].take(), others);
    example
}

/// A call that came to a queue.
fn arrived(queue: &str) -> Value {
    event(ARRIVED, queue, json!({"QueueId": queue}))
}

fn text(received: &Received) -> &str {
    std::str::from_utf8(&received.body).unwrap()
}

/// A receiver with a certificate that it has signed itself, for a host and until the begin of a year. Returns it in PEM as well.
async fn certified(name: &str, host: &str, until: i32) -> (Receiver, String) {
    let mut certificate = CertificateParams::new(vec![host.to_owned()]).unwrap();
    // A name of its own, so that none is taken for the issuer of another.
    certificate.distinguished_name = DistinguishedName::new();
    certificate.distinguished_name.push(DnType::CommonName, name);
    certificate.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    (Receiver::start_tls_with(certificate.der().clone(), key.serialize_der()).await, certificate.pem())
}

#[tokio::test]
async fn e01_an_endpoint_speaks_tls_on_port_443_and_no_other() {
    let scene = Scene::start_strict().await;
    for (url, said) in [
        ("http://h.example.com/", "must begin with https://"),
        ("http://h.example.com:443/", "must begin with https://"),
        ("https://h.example.com:8443/", "is not allowed; allowed: 443"),
        ("https://h.example.com:80/", "is not allowed; allowed: 443"),
        ("https://10.0.0.1/", "nothing is sent there"),
    ] {
        let refused = assert_not_loaded(&scene, &document(url, &all(&[ARRIVED])), "Webhook.Endpoint").await;
        assert!(refused.contains(said), "{url}: {refused}");
    }
    for url in ["https://h.example.com:443/", "https://h.example.com/"] {
        let answer = loaded(&scene, &document(url, &all(&[ARRIVED]))).await;
        assert_eq!(answer["configuration"][0]["Webhook"]["Endpoint"], url);
    }
}

#[tokio::test]
async fn e02_a_certificate_that_is_self_signed_expired_or_for_another_host_is_taken_only_with_insecure_ssl() {
    let host = "127.0.0.1";
    let (vouched, vouched_pem) = certified("vouched for", host, 4096).await;
    let (own, _) = certified("self-signed", host, 4096).await;
    let (expired, expired_pem) = certified("expired", host, 2000).await;
    let (other, other_pem) = certified("of another host", "other.example.com", 4096).await;
    let folder = tempfile::tempdir().unwrap();
    let trusted = certificate_in(&folder);
    std::fs::write(&trusted, [vouched_pem, expired_pem, other_pem].concat()).unwrap();
    let mut scene = Scene::start_with(|config| config.webhooks.sender.ca_file = Some(trusted)).await;
    let bad = [(&own, "UnknownIssuer"), (&expired, "certificate expired"), (&other, "not valid for name")];
    let documents = [&vouched, &own, &expired, &other].map(|receiver| document(&receiver.url("/"), &all(&[ARRIVED])));
    loaded(&scene, &json!(documents)).await;
    scene.take(&arrived(QUEUE)).await;
    vouched.wait_for("/", 1).await;
    for (receiver, said) in bad {
        let attempt = attempts(&scene, &receiver.url("/"), 1).await.remove(0);
        assert_eq!((&attempt["outcome"], &attempt["error"]), (&json!("failure"), &json!("no TLS came about")), "{said}");
        assert!(attempt["detail"].as_str().unwrap().contains(said), "{said}: {attempt}");
        assert!(receiver.received("/").is_empty(), "{said}");
    }
    let answer = loaded(&scene, &json!(documents.map(insecure))).await;
    assert_eq!(counts(&answer), [0, 4, 0, 0]);
    scene.take(&arrived(OTHER)).await;
    vouched.wait_for("/", 2).await;
    for (receiver, _) in bad {
        assert_eq!(told(&receiver.wait_for("/", 1).await, "EntityId"), [OTHER]);
    }
}

#[tokio::test]
async fn e03_insecure_ssl_of_one_endpoint_is_not_that_of_another_on_the_same_host() {
    let (receiver, _) = certified("self-signed", "127.0.0.1", 4096).await;
    let mut scene = Scene::start().await;
    let (open, careful) = (receiver.url("/open"), receiver.url("/careful"));
    let documents = json!([insecure(document(&open, &all(&[ARRIVED]))), document(&careful, &all(&[ARRIVED]))]);
    loaded(&scene, &documents).await;
    for count in 1..=2 {
        scene.take(&arrived(QUEUE)).await;
        // A connection to the host is kept, then: it is not for those who want to see the certificate.
        let attempt = attempts(&scene, &open, count).await.remove(0);
        assert_eq!((&attempt["outcome"], &attempt["reused"]), (&json!("success"), &json!(count == 2)));
        let attempt = attempts(&scene, &careful, count).await.remove(0);
        assert_eq!((&attempt["outcome"], &attempt["error"]), (&json!("failure"), &json!("no TLS came about")));
    }
    assert_eq!((receiver.received("/open").len(), receiver.received("/careful").len()), (2, 0));
}

#[tokio::test]
async fn e04_the_secret_is_the_token_byte_for_byte_and_without_one_there_is_no_token() {
    let mut scene = Scene::start().await;
    let odd = r##"a: !"#$%&'()*+,-./09:;<=>?@AZ[\]^_`az{|}~ z"##;
    let endpoints = [("/set", json!("MySecretString")), ("/odd", json!(odd)), ("/empty", json!("")), ("/null", json!(null))];
    let of = |path: &str| document(&scene.receiver.url(path), &all(&[ARRIVED]));
    let mut documents: Vec<_> = endpoints.iter().map(|(path, given)| secret(of(path), given)).collect();
    documents.push(of("/unset"));
    let answer = loaded(&scene, &json!(documents)).await;
    scene.receiver.script("/set", [Reply::Status(500)]);
    scene.take(&arrived(QUEUE)).await;
    let url = scene.receiver.url("/set");
    attempts(&scene, &url, 1).await;
    scene.leap(Duration::from_secs(6));
    for (path, count, token) in [
        ("/set", 2, Some("MySecretString")),
        ("/odd", 1, Some(odd)),
        ("/empty", 1, None),
        ("/null", 1, None),
        ("/unset", 1, None),
    ] {
        for received in scene.receiver.wait_for(path, count).await {
            assert_eq!(received.header("X-Benemen-Token"), token, "{path}");
            assert_eq!(received.head.to_lowercase().contains("x-benemen-token"), token.is_some(), "{path}");
        }
    }
    for told in [answer, shown(&scene).await, get(&mut scene.operator(), "/webhooks").await] {
        assert!(!told.to_string().contains("MySecretString"), "{told:#}");
    }
    for bad in [json!("a\r\nx-injected: 1"), json!("a\u{0}"), json!("ü"), json!(" a"), json!(7)] {
        let document = document(&scene.receiver.url("/bad"), &all(&[ARRIVED]));
        assert_not_loaded(&scene, &secret(document, &bad), "Webhook.Secret").await;
    }
}

#[tokio::test]
async fn e05_the_type_of_the_event_stands_in_a_header_as_in_the_body() {
    let mut scene = Scene::start().await;
    let types = ["UserCallInArrived", ARRIVED, "CallbackListStatus"];
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&types))).await;
    scene.receiver.script("/a", [Reply::Status(404)]);
    for (count, name) in types.into_iter().enumerate() {
        scene.take(&event(name, QUEUE, json!({}))).await;
        attempts(&scene, &url, count + 1).await;
    }
    scene.leap(Duration::from_secs(6));
    let received = scene.receiver.wait_for("/a", 4).await;
    for received in &received {
        assert_eq!(received.header("X-Benemen-Event"), received.json()["EventType"].as_str());
    }
    assert_eq!(told(&received, "EventType"), [types[0], types[1], types[2], types[0]]);
}

#[tokio::test]
async fn e05_e06_the_documented_request_is_sent_byte_for_byte() {
    let mut scene = Scene::start().await;
    let document = document(&scene.receiver.url("/webhook/"), &all(&[ALLOCATED]));
    loaded(&scene, &secret(document, &json!("MySecretString"))).await;
    let members = concat!(
        r#""CallId":"9cae633f-68d0-4315-8b9a-b83c7673d8dc","QueueId":"6cb31d7d-9cd9-41dc-a096-62cf31fd0281","#,
        r#""OrganizationId":"fd434d24-f685-431d-8df5-386b5d5ffa73","QueueName":"Sample queue 1","QueueNumber":"+358101231234","#,
        r#""UserId":"b4df099e-70dc-4ff5-b4ea-c2c3547d97fb","Username":"sample.agent@customer.com","#,
        r#""CallerNumber":"+358501231234","TargetNumber":"+35810123""#,
    );
    let report = format!(
        concat!(
            r#"{{"catalogue":"enreach","topic":"{}","customerId":"ABC","entityId":"{}","#,
            r#""occurredAt":"2018-01-01T08:01:23.45Z","data":{{{}}}}}"#
        ),
        ALLOCATED, QUEUE, members
    );
    assert_eq!(scene.app.send(Method::POST, "/events", report, &[JSON]).await.status, 202);
    let received = &scene.receiver.wait_for("/webhook/", 1).await[0];
    let id = received.json()["Id"].as_str().unwrap().to_owned();
    let expected = format!(
        concat!(
            r#"{{"RootEntityType":"Organization","RootEntityId":"{}","EventType":"{}","EntityType":"Queue","EntityId":"{}","#,
            r#"{},"Id":"{}","Timestamp":"2018-01-01T08:01:23.45"}}"#
        ),
        ORGANIZATION, ALLOCATED, QUEUE, members, id
    );
    assert_eq!(text(received), expected);
    assert_eq!(received.head.lines().next(), Some("POST /webhook/ HTTP/1.1"));
    for (name, value) in [
        ("X-Benemen-Event", ALLOCATED),
        ("X-Benemen-Token", "MySecretString"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("Host", &format!("127.0.0.1:{}", scene.receiver.port)),
        ("Content-Length", &expected.len().to_string()),
    ] {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn e06_requests_have_a_length_no_chunks_and_share_a_connection() {
    let mut scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&[ARRIVED]))).await;
    for count in 1..=3 {
        scene.take(&arrived(QUEUE)).await;
        attempts(&scene, &url, count).await;
    }
    for received in scene.receiver.received("/a") {
        assert_eq!(received.header("Content-Type"), Some("application/json; charset=utf-8"));
        assert_eq!(received.header("Content-Length"), Some(received.body.len().to_string().as_str()));
        let head = received.head.to_lowercase();
        assert!(head.starts_with("post /a http/1.1\r\n") && !head.contains("transfer-encoding"), "{head}");
        assert!(!head.contains("connection: close") && !head.contains("expect:"), "{head}");
        assert_eq!(received.connection, 1, "kept alive");
    }
}

#[tokio::test]
async fn e07_200_is_success_whatever_the_body_and_little_of_it_is_read() {
    let mut scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&[ARRIVED]))).await;
    let with_body =
        |headers: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    let large = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
    scene.receiver.script(
        "/a",
        [
            Reply::Raw(with_body("content-type: application/json\r\n", r#"{"error": "not taken"}"#).into()),
            Reply::Raw(with_body("content-encoding: gzip\r\nretry-after: 60\r\n", "no gzip").into()),
            Reply::Endless(large, vec![b'x'; 64 * 1024]),
        ],
    );
    for count in 1..=3 {
        scene.take(&arrived(QUEUE)).await;
        // Time stands still: not the deadline ends what is endless, but the bound.
        let attempt = attempts(&scene, &url, count).await.remove(0);
        assert_eq!((&attempt["outcome"], &attempt["status"]), (&json!("success"), &json!(200)));
        assert!(attempt["body"].as_str().unwrap().len() <= 4096);
    }
    assert!(scene.receiver.taken() < 16 * 1024 * 1024, "{}", scene.receiver.taken());
    settle(&scene).await;
    scene.leap(Duration::from_secs(3600));
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 3);
}

#[tokio::test]
async fn e08_what_is_not_answered_with_200_is_sent_four_times_then_discarded_and_can_be_replayed() {
    let mut scene = Scene::start().await;
    let paths = [201, 204, 301, 400, 404, 500].map(|status| {
        let path = format!("/{status}");
        scene.receiver.usually(&path, Reply::Status(status));
        path
    });
    let urls = paths.clone().map(|path| scene.receiver.url(&path));
    let documents: Value = urls.iter().map(|url| document(url, &all(&[ARRIVED]))).collect();
    loaded(&scene, &documents).await;
    scene.take(&arrived(QUEUE)).await;
    for (count, seconds) in [(1, 5), (2, 30), (3, 120)] {
        for url in &urls {
            let why = attempts(&scene, url, count).await[0]["why"].as_str().unwrap().to_owned();
            assert!(why.starts_with("retried in "), "{url}: {why}");
        }
        settle(&scene).await;
        let (wait, moment) = (Duration::from_secs(seconds), Duration::from_millis(1));
        scene.leap(wait - moment);
        settle(&scene).await;
        for path in &paths {
            assert_eq!(scene.receiver.received(path).len(), count, "{path}: not before {seconds} s");
        }
        // Up to a tenth later.
        scene.leap(wait / 10 + moment);
    }
    for url in &urls {
        let why = attempts(&scene, url, 4).await[0]["why"].as_str().unwrap().to_owned();
        assert!(why.starts_with("not retried") && why.contains("attempt 4 of 4"), "{url}: {why}");
    }
    settle(&scene).await;
    scene.leap(Duration::from_secs(3600));
    settle(&scene).await;
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_dead_total"), 6.0);
    let failed = json!({"since": "2020-01-01T00:00:00Z", "status": "failed"});
    for (path, url) in paths.iter().zip(&urls) {
        assert_eq!(scene.receiver.received(path).len(), 4, "{path}");
        scene.receiver.usually(path, Reply::Status(200));
        let replay = format!("{}/replay", path_of(&scene, url).await);
        assert_eq!(send(&mut scene.operator(), Method::POST, &replay, &failed).await.status, 200);
        let ids = told(&scene.receiver.wait_for(path, 5).await, "Id");
        assert_eq!(ids[0], ids[4], "{path}: the same event");
    }
}

#[tokio::test]
async fn e08_what_is_not_answered_within_ten_seconds_is_sent_again() {
    let mut scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&[ARRIVED]))).await;
    scene.receiver.script("/a", [Reply::Hang]);
    scene.take(&arrived(QUEUE)).await;
    scene.receiver.wait_for("/a", 1).await;
    scene.leap(Duration::from_millis(9_999));
    in_flight(&scene, 1.0).await;
    scene.leap(Duration::from_millis(1));
    let attempt = attempts(&scene, &url, 1).await.remove(0);
    assert_eq!((&attempt["outcome"], &attempt["error"]), (&json!("failure"), &json!("the answer took too long")));
    assert!(attempt["why"].as_str().unwrap().starts_with("retried in 5 s"), "{attempt}");
    scene.leap(Duration::from_secs(6));
    scene.receiver.wait_for("/a", 2).await;
    assert_eq!(attempts(&scene, &url, 2).await[0]["outcome"], "success");
}

#[tokio::test]
async fn e09_the_id_is_the_same_when_an_event_is_sent_again_and_another_for_another_event() {
    let mut scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&[ARRIVED]))).await;
    scene.receiver.script("/a", [Reply::Status(500), Reply::Status(204)]);
    scene.take(&arrived(QUEUE)).await;
    for (count, seconds) in [(1, 6), (2, 34)] {
        attempts(&scene, &url, count).await;
        scene.leap(Duration::from_secs(seconds));
    }
    scene.receiver.wait_for("/a", 3).await;
    scene.take(&arrived(QUEUE)).await;
    let received = scene.receiver.wait_for("/a", 4).await;
    assert!(received[..3].iter().all(|again| again.body == received[0].body), "not a byte differs");
    let ids = told(&received, "Id");
    assert_ne!(ids[0], ids[3]);
    for id in ids {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id} is no Guid");
    }
}

#[tokio::test]
async fn e10_a_subscription_is_about_one_entity_or_about_all_and_must_say_which() {
    let mut scene = Scene::start().await;
    let one = |entity: &str| json!({"EventType": ARRIVED, "EntityId": entity});
    let endpoints = [
        ("/one", json!([{"EventType": ARRIVED, "EntityId": QUEUE, "AllEntities": false}]), vec![QUEUE]),
        ("/two", json!([one(QUEUE), one(OTHER)]), vec![QUEUE, OTHER]),
        ("/all", json!([{"EventType": ARRIVED, "EntityId": null, "AllEntities": true}]), vec![QUEUE, OTHER, THIRD]),
        ("/both", json!([one(QUEUE), {"EventType": DISCONNECTED, "AllEntities": true}]), vec![QUEUE, THIRD]),
    ];
    let documents: Value = endpoints.iter().map(|(path, wish, _)| document(&scene.receiver.url(path), wish)).collect();
    loaded(&scene, &documents).await;
    for queue in [QUEUE, OTHER, THIRD] {
        scene.take(&arrived(queue)).await;
    }
    scene.take(&event(DISCONNECTED, THIRD, json!({}))).await;
    for (path, _, entities) in &endpoints {
        scene.receiver.wait_for(path, entities.len()).await;
        settle(&scene).await;
        assert_eq!(sorted(told(&scene.receiver.received(path), "EntityId")), *entities, "{path}");
    }
    let before = shown(&scene).await;
    for wish in [
        json!({"EventType": ARRIVED}),
        json!({"EventType": ARRIVED, "AllEntities": false}),
        json!({"EventType": ARRIVED, "EntityId": null}),
        json!({"EventType": ARRIVED, "EntityId": QUEUE, "AllEntities": true}),
    ] {
        let wish = json!([one(QUEUE), wish]);
        assert_not_loaded(&scene, &document("https://h.example.com/", &wish), "Subscriptions[1]").await;
    }
    assert_not_loaded(&scene, &document("https://h.example.com/", &json!([])), "Subscriptions").await;
    assert_eq!(shown(&scene).await, before, "what is refused changes nothing");
}

#[tokio::test]
async fn e11_the_entity_is_the_entity_id_and_no_other_id_of_the_event() {
    let mut scene = Scene::start().await;
    let of = |entity: &str| json!([{"EventType": ALLOCATED, "EntityId": entity}]);
    let documents: Value = [("/queue", QUEUE), ("/user", USER), ("/organization", ORGANIZATION)]
        .iter()
        .map(|(path, entity)| document(&scene.receiver.url(path), &of(entity)))
        .collect();
    loaded(&scene, &documents).await;
    for (entity, queue) in [(OTHER, QUEUE), (QUEUE, OTHER)] {
        scene.take(&event(ALLOCATED, entity, json!({"QueueId": queue, "UserId": USER}))).await;
    }
    scene.receiver.wait_for("/queue", 1).await;
    settle(&scene).await;
    let received = scene.receiver.received("/queue");
    assert_eq!((told(&received, "EntityId"), told(&received, "QueueId")), (vec![QUEUE.to_owned()], vec![OTHER.to_owned()]));
    assert!(scene.receiver.received("/user").is_empty() && scene.receiver.received("/organization").is_empty());
}

#[tokio::test]
async fn e12_all_34_events_have_the_seven_common_properties_and_what_was_reported() {
    let mut scene = Scene::start().await;
    let catalogue = file("catalogue");
    let types: Vec<_> = catalogue["topics"].as_array().unwrap().iter().map(|topic| topic["id"].as_str().unwrap()).collect();
    assert_eq!(types.len(), 34);
    loaded(&scene, &document(&scene.receiver.url("/a"), &all(&types))).await;
    let reported: Vec<_> = types.iter().map(|name| event(name, LIST, json!({}))).collect();
    scene.take(&json!(reported)).await;
    let received = scene.receiver.wait_for("/a", 34).await;
    for reported in &reported {
        let name = reported["topic"].as_str().unwrap();
        let sent = received.iter().map(Received::json).find(|body| body["EventType"] == name);
        let sent = sent.unwrap_or_else(|| panic!("{name} did not come"));
        let begins = [("User", "User"), ("Queue", "Queue"), ("Callback", "CallList")];
        let (_, entity_type) = begins.into_iter().find(|(begin, _)| name.starts_with(begin)).unwrap();
        let common = json!({
            "Id": sent["Id"], "Timestamp": "2018-01-01T08:01:23.45", "RootEntityType": "Organization",
            "RootEntityId": ORGANIZATION, "EntityType": entity_type, "EntityId": LIST, "EventType": name,
        });
        assert_eq!(sent, with(common, reported["data"].clone()), "{name}: these, and nothing else");
        assert_eq!(sent["Id"].as_str().unwrap().len(), 36, "{name}");
    }
    for name in COMMON {
        assert_refused(&mut scene, &event(ARRIVED, QUEUE, json!({name: "x"})), &format!("data.{name}")).await;
    }
    let mut without = arrived(QUEUE);
    without["data"].as_object_mut().unwrap().remove("OrganizationId");
    assert_refused(&mut scene, &without, "data").await;
    for id in ["", "7", "6cb31d7d9cd941dca09662cf31fd0281", "6cb31d7d-9cd9-41dc-a096-62cf31fd028x"] {
        assert_refused(&mut scene, &with(arrived(QUEUE), json!({"entityId": id})), "entityId").await;
    }
}

#[tokio::test]
async fn e13_what_is_not_known_is_refused_and_not_told_as_something_else() {
    let mut scene = Scene::start().await;
    loaded(&scene, &document(&scene.receiver.url("/a"), &all(&[ARRIVED, "UserAvailability", "QueueStatus"]))).await;
    for topic in ["DeviceStatus", "queuecallinarrived", "Undefined", "", "contacts.created"] {
        assert_refused(&mut scene, &with(arrived(QUEUE), json!({"topic": topic})), "topic").await;
        let refused = document("https://h.example.com/", &all(&[topic]));
        assert_not_loaded(&scene, &refused, "Subscriptions[0].EventType").await;
    }
    for (topic, data, field) in [
        (ARRIVED, json!({"EntityType": "Device"}), "data.EntityType"),
        (ARRIVED, json!({"RootEntityType": "Undefined"}), "data.RootEntityType"),
        ("UserAvailability", json!({"Availability": "Lunch"}), "data.Availability"),
        ("QueueStatus", json!({"OpenStatus": 7}), "data.OpenStatus"),
        ("CallbackChanged", json!({"TypeId": 4}), "data.TypeId"),
    ] {
        assert_refused(&mut scene, &event(topic, QUEUE, data), field).await;
    }
    settle(&scene).await;
    assert!(scene.receiver.received("/a").is_empty());
}

#[tokio::test]
async fn e14_the_two_names_of_the_sample_are_taken_for_the_events_that_are_meant() {
    let mut scene = Scene::start().await;
    let wish = json!([
        {"EventType": "QueueCallInConnected", "AllEntities": true},
        {"EventType": "QueueCallInAllocated", "EntityId": QUEUE},
        {"EventType": "QueueCallInUserConnected", "EntityId": QUEUE},
    ]);
    let answer = loaded(&scene, &document(&scene.receiver.url("/a"), &wish)).await;
    let meant = json!([
        {"EventType": "QueueCallInUserConnected", "AllEntities": true},
        {"EventType": "QueueCallInUserAllocated", "EntityId": QUEUE},
    ]);
    assert_eq!(answer["configuration"][0]["Subscriptions"], meant);
    let warnings = answer["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2);
    for (warning, (name, meant)) in warnings
        .iter()
        .zip([("QueueCallInConnected", "QueueCallInUserConnected"), ("QueueCallInAllocated", "QueueCallInUserAllocated")])
    {
        assert!(warning.as_str().unwrap().contains(name) && warning.as_str().unwrap().contains(meant), "{warning}");
        assert_refused(&mut scene, &with(arrived(QUEUE), json!({"topic": name})), "topic").await;
    }
    for (topic, entity) in [("QueueCallInUserConnected", OTHER), ("QueueCallInUserAllocated", QUEUE), (ALLOCATED, OTHER)] {
        scene.take(&event(topic, entity, json!({}))).await;
    }
    scene.receiver.wait_for("/a", 2).await;
    settle(&scene).await;
    let received = scene.receiver.received("/a");
    assert_eq!(sorted(told(&received, "EventType")), ["QueueCallInUserAllocated", "QueueCallInUserConnected"], "once each");
}

#[tokio::test]
async fn e15_an_availability_without_an_end_ends_in_the_last_moment_of_9999() {
    let mut scene = Scene::start().await;
    loaded(&scene, &document(&scene.receiver.url("/a"), &all(&["UserAvailability"]))).await;
    let until = |end: &str| event("UserAvailability", USER, json!({"EndTime": end}));
    for bad in ["9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.99999999", "9999-12-31", ""] {
        assert_refused(&mut scene, &until(bad), "data.EndTime").await;
    }
    scene.take(&until("9999-12-31T23:59:59.9999999")).await;
    let received = scene.receiver.wait_for("/a", 1).await;
    assert!(text(&received[0]).contains(r#""EndTime":"9999-12-31T23:59:59.9999999""#), "{}", text(&received[0]));
}

#[tokio::test]
async fn e16_the_status_of_a_list_is_told_as_often_as_it_is_reported_and_as_it_is() {
    let mut scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&["CallbackListStatus"]))).await;
    let reports = [3, 4, 4].map(|open| event("CallbackListStatus", LIST, json!({"TotalOpenRequests": open})));
    for (count, report) in reports.iter().enumerate() {
        scene.take(report).await;
        attempts(&scene, &url, count + 1).await;
    }
    settle(&scene).await;
    scene.pass(60).await;
    settle(&scene).await;
    let received = scene.receiver.received("/a");
    assert_eq!(received.len(), 3, "whoever reports looks every 15 seconds, and whether something changed");
    for (received, report) in received.iter().zip(&reports) {
        for (name, value) in report["data"].as_object().unwrap() {
            assert_eq!(&received.json()[name], value, "{name}");
        }
    }
    let ids = sorted(told(&received, "Id"));
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
}

const WRAP_UP: [&str; 3] = ["UserWrapUpEnabled", "UserWrapUpStarted", "UserWrapUpTerminated"];

fn wrap_up(step: usize, call: &str) -> Value {
    event(WRAP_UP[step], USER, json!({"CallId": call}))
}

/// Type and call of each request, in the order in which they came.
fn steps(received: &[Received]) -> Vec<(String, String)> {
    told(received, "EventType").into_iter().zip(told(received, "CallId")).collect()
}

fn step(step: usize, call: &str) -> (String, String) {
    (WRAP_UP[step].to_owned(), call.to_owned())
}

#[tokio::test]
async fn e17_the_events_of_a_call_come_in_order_and_hold_neither_another_call_up_nor_wait_for_a_retry() {
    let mut scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&WRAP_UP))).await;
    // An endpoint that has never answered gets one request at a time.
    scene.take(&wrap_up(0, THIRD)).await;
    attempts(&scene, &url, 1).await;
    let permits = Arc::new(Semaphore::new(0));
    scene.receiver.script("/a", [Reply::When(permits.clone(), 500)]);
    for (place, call) in [(0, QUEUE), (1, QUEUE), (2, QUEUE), (0, OTHER), (1, OTHER)] {
        scene.take(&wrap_up(place, call)).await;
    }
    let received = scene.receiver.wait_for("/a", 4).await;
    assert_eq!(steps(&received), [step(0, THIRD), step(0, QUEUE), step(0, OTHER), step(1, OTHER)]);
    attempts(&scene, &url, 3).await;
    assert_eq!(scene.receiver.received("/a").len(), 4, "the next of the call waits for the first attempt");
    permits.add_permits(1);
    let received = scene.receiver.wait_for("/a", 6).await;
    assert_eq!(steps(&received)[4..], [step(1, QUEUE), step(2, QUEUE)], "but for no retry");
    attempts(&scene, &url, 6).await;
    scene.leap(Duration::from_secs(6));
    assert_eq!(steps(&scene.receiver.wait_for("/a", 7).await)[6], step(0, QUEUE));
}

#[tokio::test]
async fn e18_what_can_be_null_is_there_as_null() {
    let mut scene = Scene::start().await;
    let types = ["CallbackChanged", "UserStatus", "UserSupervisionStatus"];
    loaded(&scene, &document(&scene.receiver.url("/a"), &all(&types))).await;
    for (count, name) in types.into_iter().enumerate() {
        let required = file(&format!("schemas/{name}"))["required"].take();
        let nullable: Vec<_> =
            required.as_array().unwrap().iter().filter_map(Value::as_str).filter(|name| *name != "OrganizationId").collect();
        assert!(!nullable.is_empty());
        let nulls: serde_json::Map<_, _> = nullable.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        scene.take(&event(name, LIST, json!(nulls))).await;
        let body = scene.receiver.wait_for("/a", count + 1).await[count].json();
        for member in nullable {
            assert_eq!(body.get(member), Some(&Value::Null), "{name}.{member}");
            let mut without = event(name, LIST, json!({}));
            without["data"].as_object_mut().unwrap().remove(member);
            assert_refused(&mut scene, &without, "data").await;
        }
    }
}

#[tokio::test]
async fn e19_an_endpoint_has_one_url() {
    let scene = Scene::start().await;
    for (endpoint, said) in [
        (json!(["https://a.example.com/", "https://b.example.com/"]), "got a list"),
        (json!(["https://a.example.com/"]), "got a list"),
        (json!("https://a.example.com/ https://b.example.com/"), "U+0020"),
        (json!({"Primary": "https://a.example.com/"}), "must be a string"),
        (json!(null), "is required"),
    ] {
        let mut wish = document("", &all(&[ARRIVED]));
        wish["Webhook"]["Endpoint"] = endpoint.clone();
        let refused = assert_not_loaded(&scene, &wish, "Webhook.Endpoint").await;
        assert!(refused.contains(said), "{endpoint}: {refused}");
    }
    let twice = document("https://a.example.com/", &all(&[ARRIVED]));
    assert_not_loaded(&scene, &json!([twice, twice]), "[1].Webhook.Endpoint").await;
    assert_eq!(shown(&scene).await, json!([]));
}

#[tokio::test]
async fn e20_nobody_but_operators_sees_or_changes_the_configuration() {
    let scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    let before = loaded(&scene, &document(&url, &all(&[ARRIVED]))).await["configuration"].clone();
    let native = path_of(&scene, &url).await.replace("/webhooks/", "/webhooks/subscriptions/");
    let ping = json!({"topicId": ARRIVED});
    // The second has the very name that operators' subscriptions are kept under.
    for (client_id, customer) in [("app", None), ("operator", None), ("operator", Some("ABC"))] {
        let mut app = application(&scene.node.api, client_id);
        app.customer = customer.map(str::to_owned);
        for (method, below) in [
            (Method::GET, ""),
            (Method::PUT, ""),
            (Method::DELETE, ""),
            (Method::POST, "/activate"),
            (Method::POST, "/deactivate"),
            (Method::POST, "/ping"),
            (Method::GET, "/attempts"),
        ] {
            let answer = send(&mut app, method.clone(), &format!("{native}{below}"), &ping).await;
            assert_eq!(answer.status, 404, "{client_id}: {method} {below}");
        }
        assert_eq!(get(&mut app, "/webhooks/subscriptions").await["totalCount"], 0);
        let own = json!({"url": url, "profile": "enreach", "topicIds": [ARRIVED]});
        let refused = send(&mut app, Method::POST, "/webhooks/subscriptions", &own).await;
        assert_eq!(refused.status, 422);
        assert!(faults(&refused).iter().any(|(field, said)| field == "profile" && said.contains("operators")));
        let answer = send(&mut app, Method::PUT, "/enreach/webhooks?customerId=ABC", &json!([])).await;
        assert_eq!(answer.status, 404, "not on the listener of applications");
    }
    let page = [JSON, ("origin", "https://evil.example")];
    let answer = scene.operator().send(Method::PUT, "/enreach/webhooks?customerId=ABC", "[]", &page).await;
    assert_eq!(answer.status, 403, "nor from a web page");
    assert_eq!(shown(&scene).await, before);
}

#[tokio::test]
async fn e21_the_sample_is_taken_as_it_stands_and_once() {
    let scene = Scene::start_strict().await;
    let first = load_for(&scene, "ABC", SAMPLE.to_owned()).await;
    assert_eq!(first.status, 200, "{:?}", first.body);
    assert_eq!(counts(&body(&first)), [1, 0, 0, 0]);
    let expected = json!([{
        "Webhook": {"Endpoint": "https://my.integration.com/wehook/", "InsecureSSL": true, "Secret": "***"},
        "Subscriptions": all(&["QueueCallInUserConnected", "QueueCallInUserAllocated"]),
    }]);
    assert_eq!(shown(&scene).await, expected);
    let path = path_of(&scene, "https://my.integration.com/wehook/").await;
    let made = get(&mut scene.operator(), &path).await;
    let scene = scene.restart(|_| ()).await;
    scene.leap(Duration::from_secs(1));
    let second = load_for(&scene, "ABC", SAMPLE.to_owned()).await;
    assert_eq!(counts(&body(&second)), [0, 0, 1, 0]);
    assert_eq!(get(&mut scene.operator(), &path).await, made, "not even its time of change");
    assert_eq!(get(&mut scene.operator(), "/enreach/webhooks?customerId=SBOX").await, json!([]), "another organization's");
}

#[tokio::test]
async fn e21_what_is_loaded_is_the_whole_of_a_customers_configuration() {
    let mut scene = Scene::start().await;
    let [a, b, c] = ["/a", "/b", "/c"].map(|path| document(&scene.receiver.url(path), &all(&[ARRIVED])));
    assert_eq!(counts(&loaded(&scene, &json!([a, b])).await), [2, 0, 0, 0]);
    let answer = load_for(&scene, "DEF", a.to_string()).await;
    assert_eq!(counts(&body(&answer)), [1, 0, 0, 0], "another customer's is another");
    let changed = secret(a.clone(), &json!("one"));
    assert_eq!(counts(&loaded(&scene, &json!([changed, c])).await), [1, 1, 0, 1]);
    let changed = secret(a.clone(), &json!("other"));
    assert_eq!(counts(&loaded(&scene, &json!([changed, c])).await), [0, 1, 1, 0], "another secret is a change");
    scene.take(&arrived(QUEUE)).await;
    scene.receiver.wait_for("/c", 1).await;
    scene.receiver.wait_for("/a", 1).await;
    settle(&scene).await;
    assert!(scene.receiver.received("/b").is_empty());
    let received = scene.receiver.received("/a");
    assert_eq!((received.len(), received[0].header("X-Benemen-Token")), (1, Some("other")), "ABC's event is not DEF's");
    assert_eq!(counts(&loaded(&scene, &json!([])).await), [0, 0, 0, 2]);
    scene.take(&arrived(QUEUE)).await;
    scene.take(&with(arrived(QUEUE), json!({"customerId": "DEF"}))).await;
    scene.receiver.wait_for("/a", 2).await;
    settle(&scene).await;
    assert_eq!((scene.receiver.received("/a").len(), scene.receiver.received("/c").len()), (2, 1));
}

#[tokio::test]
async fn e22_the_timestamp_is_that_of_the_event_in_utc_without_a_zone() {
    let mut scene = Scene::start().await;
    let url = scene.receiver.url("/a");
    loaded(&scene, &document(&url, &all(&[ARRIVED]))).await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.take(&arrived(QUEUE)).await;
    attempts(&scene, &url, 1).await;
    scene.leap(Duration::from_secs(6));
    let received = scene.receiver.wait_for("/a", 2).await;
    assert_eq!(told(&received, "Timestamp"), ["2018-01-01T08:01:23.45"; 2]);
    for (count, (at, shown)) in [
        ("2018-01-01T10:01:23.45+02:00", "2018-01-01T08:01:23.45"),
        ("2018-01-01T08:01:23Z", "2018-01-01T08:01:23"),
        ("2018-01-01T08:01:20.000Z", "2018-01-01T08:01:20"),
        ("2018-01-01T08:00:00Z", "2018-01-01T08:00:00"),
        ("2018-01-01T08:01:23.4500000Z", "2018-01-01T08:01:23.45"),
        ("2018-01-01T08:01:23.1234567Z", "2018-01-01T08:01:23.1234567"),
        ("2018-01-01T08:01:23.123456789Z", "2018-01-01T08:01:23.1234567"),
    ]
    .into_iter()
    .enumerate()
    {
        scene.take(&with(arrived(QUEUE), json!({"occurredAt": at}))).await;
        let received = scene.receiver.wait_for("/a", count + 3).await;
        assert_eq!(received[count + 2].json()["Timestamp"], shown, "{at}");
    }
}

#[tokio::test]
async fn what_operators_have_set_up_is_sent_though_no_application_was_granted_anything() {
    let mut scene = Scene::start_strict().await;
    // Nobody answers there: what counts is that it is tried.
    let url = "https://127.0.0.77/";
    loaded(&scene, &document(url, &all(&[ARRIVED]))).await;
    scene.take(&arrived(QUEUE)).await;
    let attempt = attempts(&scene, url, 1).await.remove(0);
    assert_eq!(attempt["error"], "no connection came about", "{attempt}");
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_suppressed_total"), 0.0);
}
