//! Where an issuer's keys come from: rotation, and providers that are down, slow or talk rubbish.

use std::sync::Arc;
use std::time::Duration;

use client::api::{Api, CallAnswer};
use client::session::SessionError;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::provider::{DISCOVERY, KEYS, Provider, SigningKey, key_set, ok, trusting};
use crate::receiver::Reply;
use crate::support::*;

/// A token with an unknown key has the keys fetched again after this time.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a reading can take.
const LIMIT: Duration = Duration::from_secs(5);

async fn ask_with(node: &TestNode, token: String) -> CallAnswer {
    Caller { api: Api::new(&node.api), token, customer: None }.get("/notifications", &[]).await
}

/// The status of a request with a token that `key` signed.
async fn status(node: &TestNode, provider: &Provider, key: &SigningKey) -> u16 {
    ask_with(node, key.token(&provider.issuer, &json!({}))).await.status.as_u16()
}

/// The value of a metric of the issuer's keys.
async fn measured(node: &TestNode, provider: &Provider, name: &str) -> f64 {
    node.metrics().await.value(&format!("bellwire_issuer_keys_{name}{{issuer=\"{}\"}}", provider.issuer))
}

#[tokio::test]
async fn several_issuers_have_keys_and_audiences_of_their_own() {
    let (key, other_key) = (SigningKey::new("k"), SigningKey::new("other"));
    let (secured, ca_file) = Provider::start_tls(&[&key]).await;
    let plain = Provider::start(&[&other_key]).await;
    let file = format!(
        "[auth]\nca_file = {:?}\n{}audience = \"api://bellwire\"\n{}audience = \"account\"\n",
        ca_file.path(),
        secured.by_discovery(),
        plain.by_url(),
    );
    let node = TestNode::start_with(trusting(&file)).await;
    let status = async |key: &SigningKey, issuer: &str, audience: Value| {
        ask_with(&node, key.token(issuer, &json!({"aud": audience}))).await.status.as_u16()
    };
    assert_eq!(status(&key, &secured.issuer, json!("api://bellwire")).await, 200);
    assert_eq!(status(&other_key, &plain.issuer, json!(["other", "account"])).await, 200);
    assert_eq!(status(&key, &secured.issuer, json!("account")).await, 401, "another issuer's audience");
    assert_eq!(status(&key, &plain.issuer, json!("account")).await, 401, "another issuer's key");
    assert_eq!(status(&other_key, &secured.issuer, json!("api://bellwire")).await, 401, "another issuer's key");
    assert_eq!(status(&key, "https://elsewhere.example", json!("account")).await, 401);
    let asked = &secured.receiver.received(DISCOVERY)[0];
    assert_eq!(asked.header("host"), Some(&*format!("localhost:{}", secured.receiver.port)));
}

#[tokio::test]
async fn the_first_token_with_a_new_key_is_good_and_unknown_keys_are_asked_for_every_30_s() {
    let [old, new, newer] = ["old", "new", "newer"].map(SigningKey::new);
    let provider = Provider::start(&[&old]).await;
    let node = TestNode::start_with(trusting(&provider.by_discovery())).await;
    assert_eq!((status(&node, &provider, &old).await, provider.readings()), (200, 1));

    provider.publish(&[&old, &new]);
    assert_eq!((status(&node, &provider, &new).await, provider.readings()), (401, 1), "the keys were read just now");
    node.clock.advance(AGAIN);
    assert_eq!((status(&node, &provider, &new).await, provider.readings()), (200, 2));
    provider.publish(&[&new, &newer]);
    node.clock.advance(AGAIN - Duration::from_millis(1));
    for _ in 0..3 {
        assert_eq!((status(&node, &provider, &newer).await, provider.readings()), (401, 2));
    }
    assert_eq!(status(&node, &provider, &old).await, 200, "its key is gone, which nobody knows yet");
    node.clock.advance(Duration::from_millis(1));
    assert_eq!((status(&node, &provider, &newer).await, provider.readings()), (200, 3));
    assert_eq!(status(&node, &provider, &old).await, 401, "remembered, but its key was withdrawn");
    assert_eq!(status(&node, &provider, &new).await, 200);
}

#[tokio::test]
async fn one_reading_serves_all_who_wait_for_it_and_known_keys_do_not_wait() {
    let [old, new] = ["old", "new"].map(SigningKey::new);
    let provider = Provider::start(&[&old]).await;
    let node = Arc::new(TestNode::start_with(trusting(&provider.by_discovery())).await);
    assert_eq!(status(&node, &provider, &old).await, 200);

    let permits = Arc::new(Semaphore::new(0));
    provider.receiver.script(KEYS, [Reply::RawWhen(permits.clone(), key_set(&[&old, &new]))]);
    node.clock.advance(AGAIN);
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (node, token) = (node.clone(), new.token(&provider.issuer, &json!({"jti": number})));
        waiting.spawn(async move { ask_with(&node, token).await.status.as_u16() });
    }
    provider.receiver.wait_for(KEYS, 2).await;
    assert_eq!(status(&node, &provider, &old).await, 200);
    assert_eq!(ask_with(&node, old.token(&provider.issuer, &json!({"jti": "not seen before"}))).await.status, 200);
    assert!(waiting.try_join_next().is_none(), "the others wait");
    permits.add_permits(1);
    assert_eq!(waiting.join_all().await, [200; 20]);
    assert_eq!(provider.readings(), 2);
}

#[tokio::test]
async fn without_a_provider_a_node_starts_and_its_tokens_are_for_later() {
    let key = SigningKey::new("k");
    let provider = Provider::start(&[&key]).await;
    provider.receiver.usually(DISCOVERY, Reply::Close);
    let node = TestNode::start_with(trusting(&provider.by_discovery())).await;
    assert_eq!(ask(&node.ops, "/readyz", &[]).await.status, 200);
    let refused = ask_with(&node, key.token(&provider.issuer, &json!({}))).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("5")));
    assert!(body(&refused)["description"].as_str().unwrap().contains("issuer cannot be read"), "{refused:?}");
    let session = node.open(&key.token(&provider.issuer, &json!({})), "").await;
    assert!(matches!(session, Err(SessionError::Refused { status: 503, .. })));
    assert_eq!(ask_with(&node, key.token("https://elsewhere.example", &json!({}))).await.status, 401);
    assert_eq!(measured(&node, &provider, "failures_total").await, 1.0);

    provider.tell_of_itself(&provider.issuer, &format!("{}{KEYS}", provider.issuer));
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&node, &provider, &key).await, 200, "tried again a second later");
    assert_eq!(measured(&node, &provider, "failures_total").await, 1.0);
}

#[tokio::test]
async fn a_provider_whose_certificate_nobody_trusts_is_not_listened_to() {
    let key = SigningKey::new("k");
    let (provider, _ca_file) = Provider::start_tls(&[&key]).await;
    let node = TestNode::start_with(trusting(&provider.by_discovery())).await;
    assert_eq!(status(&node, &provider, &key).await, 503);
    assert!(provider.receiver.received(DISCOVERY).is_empty());
}

#[tokio::test]
async fn whatever_a_provider_answers_the_last_good_keys_go_on() {
    let [old, new] = ["old", "new"].map(SigningKey::new);
    let provider = Provider::start(&[&old]).await;
    let node = TestNode::start_with(trusting(&provider.by_discovery())).await;
    assert_eq!(status(&node, &provider, &old).await, 200);

    let there = format!("{}{KEYS}", provider.issuer);
    let raw = |text: &str| Reply::Raw(text.as_bytes().to_vec());
    let redirect = |to: &str| raw(&format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    let document = |issuer: &str, keys: &str| Reply::Raw(ok(&json!({"issuer": issuer, "jwks_uri": keys}).to_string()));
    let keys = |json: &Value| Reply::Raw(ok(&json.to_string()));
    let many: Vec<_> = (0..101).map(|_| &new.jwk).collect();
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{", 2 * 1024 * 1024);
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(100_000));
    let faults = [
        (DISCOVERY, Reply::Close),
        (DISCOVERY, Reply::Status(500)),
        (DISCOVERY, Reply::Raw(ok("<html>"))),
        (DISCOVERY, document("https://elsewhere.example", &there)),
        (DISCOVERY, document(&format!("{}/", provider.issuer), &there)),
        (DISCOVERY, document(&provider.issuer, "http://keys.example/keys")),
        (DISCOVERY, document(&provider.issuer, "file:///etc/passwd")),
        (DISCOVERY, redirect(&there)),
        (KEYS, Reply::Status(404)),
        (KEYS, redirect(&format!("{there}/elsewhere"))),
        (KEYS, raw("SSH-2.0-OpenSSH_9.2\r\n")),
        (KEYS, raw(&long_head)),
        (KEYS, Reply::Raw(ok("{\"keys\": [}"))),
        (KEYS, keys(&json!([new.jwk]))),
        (KEYS, keys(&json!({"keys": []}))),
        (KEYS, keys(&json!({"keys": [{"kty": "oct", "kid": "new", "k": "c2VjcmV0", "alg": "HS256"}]}))),
        (KEYS, keys(&json!({"keys": many}))),
        (KEYS, Reply::Endless(large.into_bytes(), vec![b' '; 64 * 1024])),
    ];
    for (number, (path, reply)) in faults.into_iter().enumerate() {
        let shown = format!("{path} {reply:?}").chars().take(200).collect::<String>();
        provider.receiver.script(path, [reply]);
        node.clock.advance(AGAIN);
        assert_eq!(status(&node, &provider, &new).await, 503, "the key may be good: {shown}");
        assert_eq!(status(&node, &provider, &old).await, 200, "{shown}");
        let failures = measured(&node, &provider, "failures_total").await;
        assert!((failures - number as f64 - 1.0).abs() < 0.5, "{failures} failures: {shown}");
    }
    let age = measured(&node, &provider, "age_seconds").await;
    assert!(age >= 18.0 * 30.0, "{age}");
    assert!(provider.receiver.taken() < 8 * 1024 * 1024, "no more is read than a bound and what is in buffers");

    provider.publish(&[&old, &new]);
    node.clock.advance(AGAIN);
    assert_eq!(status(&node, &provider, &new).await, 200);
    assert!(measured(&node, &provider, "age_seconds").await < 1.0);
}

#[tokio::test]
async fn a_provider_that_hangs_keeps_a_token_waiting_for_5_s_and_nobody_else() {
    let [old, new] = ["old", "new"].map(SigningKey::new);
    let provider = Provider::start(&[&old]).await;
    let node = TestNode::start_with(trusting(&provider.by_discovery())).await;
    assert_eq!(status(&node, &provider, &old).await, 200);

    let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec();
    for (number, (path, reply)) in
        [(DISCOVERY, Reply::Hang), (KEYS, Reply::Hang), (KEYS, Reply::Begin(begun))].into_iter().enumerate()
    {
        provider.receiver.script(path, [reply]);
        let before = provider.receiver.received(path).len();
        node.clock.advance(AGAIN);
        let (waited, ()) = tokio::join!(status(&node, &provider, &new), async {
            provider.receiver.wait_for(path, before + 1).await;
            assert_eq!(status(&node, &provider, &old).await, 200);
            node.clock.advance(LIMIT);
        });
        assert_eq!(waited, 503);
        let failures = measured(&node, &provider, "failures_total").await;
        assert!((failures - number as f64 - 1.0).abs() < 0.5, "{failures}");
    }
}

#[tokio::test]
async fn keys_are_fetched_again_by_themselves_and_a_withdrawn_one_ends_its_tokens() {
    let [old, new, never] = ["old", "new", "never"].map(SigningKey::new);
    let provider = Provider::start(&[&old]).await;
    let node = TestNode::start_with(trusting(&provider.by_discovery())).await;
    assert_eq!(status(&node, &provider, &old).await, 200);
    provider.publish(&[&new]);
    node.clock.advance(Duration::from_secs(8 * 60 - 1));
    assert_eq!((status(&node, &provider, &old).await, provider.readings()), (200, 1));
    assert!(measured(&node, &provider, "age_seconds").await >= 479.0);
    node.clock.advance(Duration::from_secs(2 * 60 + 1));
    provider.receiver.wait_for(KEYS, 2).await;
    // It waits for the end of the reading, where that is not over yet.
    assert_eq!((status(&node, &provider, &never).await, provider.readings()), (401, 2));
    assert_eq!(status(&node, &provider, &old).await, 401);
    assert_eq!(status(&node, &provider, &new).await, 200);
}

#[tokio::test]
async fn a_session_is_renewed_with_a_new_key_once_that_was_fetched() {
    let [old, new] = ["old", "new"].map(SigningKey::new);
    let provider = Provider::start(&[&old]).await;
    let node = TestNode::start_with(trusting(&provider.by_discovery())).await;
    let mut session = node.open(&old.token(&provider.issuer, &json!({})), "").await.unwrap();
    assert_eq!(message(&mut session).await["type"], "welcome");
    provider.publish(&[&old, &new]);
    node.clock.advance(AGAIN);
    let refresh = json!({"type": "refresh", "token": new.token(&provider.issuer, &json!({})), "ref": "r"});
    session.send(&refresh).await.unwrap();
    let refused = message(&mut session).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("token_refused")), "{refused}");
    provider.receiver.wait_for(KEYS, 2).await;
    assert_eq!(status(&node, &provider, &new).await, 200);
    session.send(&refresh).await.unwrap();
    assert_eq!(message(&mut session).await["type"], "refreshed");
}

#[tokio::test]
async fn a_new_file_of_keys_is_taken_within_30_s() {
    let [old, new] = ["old", "new"].map(SigningKey::new);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, json!({"keys": [old.jwk]}).to_string()).unwrap();
    let file = format!("[[auth.issuers]]\nissuer = \"idp\"\njwks_file = {path:?}\n");
    let node = TestNode::start_with(trusting(&file)).await;
    let status = async |key: &SigningKey| ask_with(&node, key.token("idp", &json!({}))).await.status.as_u16();
    assert_eq!((status(&old).await, status(&new).await), (200, 401));
    std::fs::write(&path, "{").unwrap();
    node.clock.advance(AGAIN);
    assert_eq!((status(&new).await, status(&old).await), (503, 200));
    std::fs::write(&path, json!({"keys": [new.jwk]}).to_string()).unwrap();
    node.clock.advance(AGAIN);
    assert_eq!((status(&new).await, status(&old).await), (200, 401));
}
