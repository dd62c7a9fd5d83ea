//! The operators' listener.

use client::api::Api;
use hyper::Method;
use serde_json::json;
use server::config::Secret;

use crate::support::*;

#[tokio::test]
async fn probes_answer_and_metrics_follow_the_conventions() {
    let node = TestNode::start().await;
    assert_eq!(ask(&node.ops, "/livez", &[]).await.status, 200);
    assert_eq!(ask(&node.ops, "/readyz", &[]).await.status, 200);
    let _session = node.session("SBOX", "ADV", "").await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
    node.post("{", &[]).await;
    let metrics = node.metrics().await;
    for (name, value) in [
        ("bellwire_sessions", 1.0),
        ("bellwire_events_total{sub_type=\"incomingCall\"}", 1.0),
        ("bellwire_events_total{sub_type=\"missedCall\"}", 1.0),
        ("bellwire_deliveries_queued_total", 1.0),
        ("bellwire_refusals_total{reason=\"unreadable\"}", 1.0),
        ("bellwire_missed_calls_stored_total", 1.0),
        ("bellwire_event_taken_to_queued_seconds_count", 1.0),
        ("bellwire_store_sound", 1.0),
    ] {
        assert_eq!(metrics.value(name), value, "{name}\n{}", metrics.0);
    }
    assert!(metrics.value("bellwire_store_commit_duration_seconds_count") >= 1.0);
    for line in metrics.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(metrics.0.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    assert!(metrics.0.ends_with("# EOF\n"));
}

#[tokio::test]
async fn no_web_page_can_reach_it() {
    let node = TestNode::start().await;
    assert_eq!(ask(&node.ops, "/metrics", &[("origin", "https://evil.example")]).await.status, 403);
    let bent = raw(&node.ops, b"GET /metrics HTTP/1.1\r\nhost: rebound.example:9090\r\nconnection: close\r\n\r\n").await;
    assert!(bent.starts_with("HTTP/1.1 403 "), "{bent}");
    for host in ["localhost:9090", "127.0.0.1", "[::1]:9090"] {
        let own = raw(&node.ops, format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(own.starts_with("HTTP/1.1 200 "), "{host}: {own}");
    }
}

#[tokio::test]
async fn a_configured_token_is_asked_for_except_by_probes() {
    let secret = "an operators' token of 32 characters";
    let node = TestNode::start_with(|config| config.ops_token = Some(Secret::from(secret))).await;
    assert_eq!(ask(&node.ops, "/readyz", &[]).await.status, 200);
    assert_eq!(ask(&node.ops, "/metrics", &[]).await.status, 401);
    assert_eq!(ask(&node.ops, "/metrics", &[("authorization", "Bearer wrong")]).await.status, 401);
    assert_eq!(ask(&node.ops, "/metrics", &[("authorization", &format!("Bearer {secret}"))]).await.status, 200);
}

#[tokio::test]
async fn applications_are_added_installed_and_listed() {
    let node = TestNode::start().await;
    let mut operator = Caller { api: Api::new(&node.ops), token: String::new(), customer: None };
    let json_type = [("content-type", "application/json")];
    let put = |scopes: serde_json::Value| json!({"scopes": scopes}).to_string();
    assert_eq!(operator.send(Method::PUT, "/applications/app/customers/SBOX", "", &[]).await.status, 404);
    assert_eq!(operator.send(Method::PUT, "/applications/app", put(json!(["a.b"])), &json_type).await.status, 204);
    assert_eq!(operator.send(Method::PUT, "/applications/app/customers/SBOX", "", &[]).await.status, 204);
    assert_eq!(operator.send(Method::PUT, "/applications/app", put(json!(["two words"])), &json_type).await.status, 422);
    assert_eq!(operator.send(Method::PUT, "/applications/app", "{\"scope\": []}", &json_type).await.status, 422);
    assert_eq!(operator.send(Method::PUT, "/applications/app/customers/S.X", "", &[]).await.status, 400);
    assert_eq!(operator.send(Method::POST, "/applications/app", "", &[]).await.status, 405);
    let listed = operator.get("/applications", &[]).await;
    assert_eq!(body(&listed), json!([{"clientId": "app", "scopes": ["a.b"], "customers": ["SBOX"]}]));
}
