//! The operators' listener.

use client::api::Api;
use hyper::Method;
use serde_json::{Value, json};
use server::config::ConfigSecret;

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
    let node = TestNode::start_with(|config| config.ops_token = Some(ConfigSecret::from(secret))).await;
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
    let put = |scopes: Value| json!({"scopes": scopes}).to_string();
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

fn operator(node: &TestNode) -> Caller {
    Caller { api: Api::new(&node.ops), token: String::new(), customer: None }
}

/// Asks for what must be there, or for a change that must be made.
async fn told(operator: &mut Caller, method: Method, path: &str) -> Value {
    let answer = operator.send(method, path, "", &[]).await;
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    if answer.body.is_empty() { Value::Null } else { body(&answer) }
}

#[tokio::test]
async fn an_application_is_granted_more_uninstalled_and_removed() {
    let node = TestNode::start_with(strict).await;
    let mut operator = operator(&node);
    let json_type = [("content-type", "application/json")];
    let scopes = |scopes: Value| json!({"scopes": scopes}).to_string();
    let post = event("incomingCall", &["ADV"]).to_string();
    assert_eq!(operator.send(Method::PUT, "/applications/app", scopes(json!(["a.b"])), &json_type).await.status, 204);
    told(&mut operator, Method::PUT, "/applications/app/customers/SBOX").await;
    assert_eq!(node.post(post.clone(), &[]).await.status, 403, "the scope was not granted");
    let more = scopes(json!(["agencyCloud/notifications.telephony.write"]));
    assert_eq!(operator.send(Method::POST, "/applications/app/scopes", more.clone(), &json_type).await.status, 204);
    assert_eq!(node.post(post.clone(), &[]).await.status, 202, "at once");
    let listed = told(&mut operator, Method::GET, "/applications").await;
    assert_eq!(listed[0]["scopes"], json!(["a.b", "notifications.telephony.write"]), "what was granted before stays");
    told(&mut operator, Method::DELETE, "/applications/app/customers/SBOX").await;
    assert_eq!(node.post(post.clone(), &[]).await.status, 403, "not installed any more");
    told(&mut operator, Method::DELETE, "/applications/app").await;
    assert_eq!(told(&mut operator, Method::GET, "/applications").await, json!([]));
    for (method, path) in [
        (Method::DELETE, "/applications/app"),
        (Method::POST, "/applications/app/scopes"),
        (Method::DELETE, "/applications/app/customers/SBOX"),
    ] {
        let refused = operator.send(method, path, more.clone(), &json_type).await;
        assert_eq!(refused.status, 404, "{path}");
        assert!(body(&refused)["description"].as_str().unwrap().starts_with("There is no application app"), "{refused:?}");
    }
}

#[tokio::test]
async fn every_list_comes_in_pages_that_link_to_the_next() {
    let node = TestNode::start().await;
    let mut operator = operator(&node);
    for name in ["c", "a", "b/?&", "d"] {
        let path = format!("/applications/{}", name.replace('/', "%2F").replace('?', "%3F").replace('&', "%26"));
        let put =
            operator.send(Method::PUT, &path, json!({"scopes": []}).to_string(), &[("content-type", "application/json")]).await;
        assert_eq!(put.status, 204);
    }
    let (mut path, mut seen, mut pages) = ("/applications?pageSize=2".to_owned(), Vec::new(), 0);
    loop {
        let page = operator.get(&path, &[]).await;
        seen.extend(body(&page).as_array().unwrap().iter().map(|app| app["clientId"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(link) = page.header("link") else { break };
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!((seen, pages), (["a", "b/?&", "c", "d"].map(str::to_owned).to_vec(), 2));
    for path in [
        "/applications",
        "/connectors",
        "/directories",
        "/webhooks",
        "/avaya/accounts",
        "/sessions",
        "/missed",
        "/missed/SBOX/ADV",
    ] {
        for (query, word) in [("pageSize=0", "pageSize"), ("pageSize=1001", "1 to 1000"), ("size=1", "known are")] {
            let refused = operator.get(&format!("{path}?{query}"), &[]).await;
            assert_eq!(refused.status, 400, "{path}?{query}");
            assert!(body(&refused)["description"].as_str().unwrap().contains(word), "{refused:?}");
        }
        assert_eq!(operator.get(&format!("{path}?pageSize=1000"), &[]).await.status, 200, "{path}");
    }
    assert_eq!(operator.get("/sessions?after=x", &[]).await.status, 400);
    assert_eq!(operator.get("/sessions?customerId=S.X", &[]).await.status, 400);
    assert_eq!(operator.get("/missed?after=SBOX", &[]).await.status, 400);
}

#[tokio::test]
async fn who_is_logged_in_is_listed_in_the_order_of_coming() {
    let node = TestNode::start().await;
    let mut operator = operator(&node);
    let _first = node.session("SBOX", "ADV", "?device=desk").await;
    node.clock.advance(std::time::Duration::from_millis(5));
    let _second = node.session("SBOX", "TST", "").await;
    node.clock.advance(std::time::Duration::from_millis(5));
    let _third = node.session("OTHER", "ADV", "").await;
    let all = told(&mut operator, Method::GET, "/sessions").await;
    let who = |all: &Value| {
        let text = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
        let all = all.as_array().unwrap().iter();
        all.map(|session| format!("{}/{}", text(session, "customerId"), text(session, "negotiatorId"))).collect::<Vec<_>>()
    };
    assert_eq!(who(&all), ["SBOX/ADV", "SBOX/TST", "OTHER/ADV"]);
    assert_eq!((&all[0]["device"], &all[0]["product"]), (&json!("desk"), &json!("AgencyCloud")));
    assert!(all[0]["opened"].as_str().unwrap() < all[1]["opened"].as_str().unwrap(), "{all}");
    let page = operator.get("/sessions?customerId=SBOX&pageSize=1", &[]).await;
    assert_eq!(who(&body(&page)), ["SBOX/ADV"]);
    let link = page.header("link").unwrap().to_owned();
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    assert_eq!(who(&told(&mut operator, Method::GET, next).await), ["SBOX/TST"], "{link}");
    assert_eq!(who(&told(&mut operator, Method::GET, "/sessions?negotiatorId=ADV").await), ["SBOX/ADV", "OTHER/ADV"]);
}

#[tokio::test]
async fn missed_calls_are_listed_and_taken_away_by_operators() {
    let node = TestNode::start().await;
    let mut operator = operator(&node);
    node.post(event("missedCall", &["ADV", "TST"]).to_string(), &[]).await;
    let moment = node.clock.now() + std::time::Duration::from_secs(1);
    node.clock.advance(std::time::Duration::from_secs(2));
    node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
    let lists = told(&mut operator, Method::GET, "/missed").await;
    assert_eq!((&lists[0]["negotiatorId"], &lists[0]["calls"], &lists[1]["calls"]), (&json!("ADV"), &json!(2), &json!(1)));
    let calls = told(&mut operator, Method::GET, "/missed/SBOX/ADV").await;
    assert_eq!((calls.as_array().unwrap().len(), &calls[0]["payload"]["callerId"]), (2, &json!("07123 456789")));
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    let tag = adv.get("/notifications", &[]).await.header("etag").unwrap().to_owned();
    let before = told(&mut operator, Method::DELETE, &format!("/missed/SBOX?before={moment}")).await;
    assert_eq!(before, json!({"missedCalls": 2}));
    assert_eq!(adv.get("/notifications", &[("if-none-match", &tag)]).await.status, 200, "the list is another now");
    assert_eq!(told(&mut operator, Method::DELETE, "/missed/SBOX/ADV").await, json!({"missedCalls": 1}));
    assert_eq!(told(&mut operator, Method::GET, "/missed").await, json!([]));
    assert_eq!(operator.send(Method::DELETE, "/missed/SBOX?before=soon", "", &[]).await.status, 400);
    assert_eq!(operator.send(Method::DELETE, "/missed", "", &[]).await.status, 405);
}

#[tokio::test]
async fn a_purge_takes_calls_off_the_screens_and_repeats_are_done_anew() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "?device=desk").await;
    let key = [("idempotency-key", "k"), ("prefer", "return=representation")];
    let posted = node.post(event("incomingCall", &["ADV"]).to_string(), &key).await;
    let cursor = message(&mut session).await["id"].as_str().unwrap().to_owned();
    let mut operator = operator(&node);
    let ask = json!({"customerId": "SBOX", "negotiatorId": "ADV"}).to_string();
    let gone = operator.send(Method::POST, "/purge", ask, &[("content-type", "application/json")]).await;
    let expected = json!({
        "missedCalls": 0, "webhookEvents": 0, "webhookDeliveries": 0, "idempotencyKeys": 1, "resumableEvents": 1, "liveCalls": 1,
        "receipts": 1, "connectorCalls": 0,
    });
    assert_eq!(body(&gone), expected);
    let sync = message(&mut session).await;
    assert_eq!((&sync["type"], &sync["action"]), (&json!("sync"), &json!("expired")));
    assert_silent(&mut session).await;
    let again = node.post(event("incomingCall", &["ADV"]).to_string(), &key).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (202, None), "the key is free");
    assert_ne!(body(&again)["id"], body(&posted)["id"]);
    let query = format!("?device=desk&resume={cursor}");
    let mut resumed = node.open(&person("SBOX", "ADV", "AgencyCloud"), &query).await.unwrap();
    assert_eq!(message(&mut resumed).await["resume"], "full", "the place itself is still known");
    assert_eq!(operator.send(Method::POST, "/purge", "{}", &[("content-type", "application/json")]).await.status, 422);
    assert_eq!(operator.get("/purge", &[]).await.status, 405);
}

#[tokio::test]
async fn the_status_says_how_the_node_is() {
    let node = TestNode::start().await;
    let _session = node.session("SBOX", "ADV", "").await;
    node.post(event("missedCall", &["ADV"]).to_string(), &[]).await;
    node.clock.advance(std::time::Duration::from_secs(61));
    let status = told(&mut operator(&node), Method::GET, "/status").await;
    assert_eq!((&status["state"], &status["sessions"], &status["store"]["missedCalls"]), (&json!("ready"), &json!(1), &json!(1)));
    assert_eq!((&status["uptimeSeconds"], &status["dev"]), (&json!(61), &json!(true)), "{status}");
}
