//! Telephone systems' own callbacks, and the directory by which their users become negotiators.

use std::fs;

use client::api::{Api, CallAnswer};
use client::session::Session;
use hyper::Method;
use serde_json::{Value, json};

use crate::support::*;

const SECRET_OF_CONNECTOR: &str = "MySecretString-0001";

async fn operate(node: &TestNode, method: Method, path: &str, body: &Value) -> CallAnswer {
    let mut operator = Caller { api: Api::new(&node.ops), token: String::new(), customer: None };
    operator.send(method, path, body.to_string(), &[("content-type", "application/json")]).await
}

/// A call as a vendor tells it.
fn example(name: &str) -> Value {
    let path = format!("{}/../../protocol/examples/connectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Sets the example's directory, and a connector called `pbx` that takes its callbacks.
async fn connect(node: &TestNode, example: &Value) {
    if let Some(directory) = example.get("directory") {
        assert_eq!(operate(node, Method::PUT, "/directories/SBOX", directory).await.status, 204);
    }
    let negotiators = example.get("negotiators").cloned().unwrap_or_else(|| json!([]));
    let connector = json!({
        "vendor": example["vendor"], "customer": "SBOX", "products": ["AgencyCloud"], "negotiators": negotiators,
        "secret": SECRET_OF_CONNECTOR,
    });
    assert_eq!(operate(node, Method::PUT, "/connectors/pbx", &connector).await.status, 204);
}

async fn call_back(node: &TestNode, vendor: &str, callback: &Value) -> CallAnswer {
    let mut system = Caller { api: Api::new(&node.api), token: String::new(), customer: None };
    let event = callback.pointer("/headers/X-Benemen-Event").and_then(Value::as_str).unwrap_or_default().to_owned();
    let body = callback["body"].to_string();
    let path = if vendor == "avaya" { format!("/connectors/pbx/{SECRET_OF_CONNECTOR}") } else { "/connectors/pbx".to_owned() };
    let headers: &[(&str, &str)] = match vendor {
        "enreach" => &[("x-benemen-token", SECRET_OF_CONNECTOR), ("x-benemen-event", &event)],
        "apirtc" => &[("x-bellwire-token", SECRET_OF_CONNECTOR), ("content-type", "application/JSON")],
        _ => &[("content-type", "application/json")],
    };
    system.send(Method::POST, &path, body, headers).await
}

/// Sends all callbacks of an example, each of them twice.
async fn tell(node: &TestNode, example: &Value) {
    for callback in example["callbacks"].as_array().unwrap() {
        for _ in 0..2 {
            let answer = call_back(node, example["vendor"].as_str().unwrap(), callback).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{:?}", answer.body);
        }
    }
}

/// What an example's callbacks become for one negotiator: sub-type and payload of each.
fn expected(example: &Value, negotiator: &str, live: bool) -> Vec<(Value, Value)> {
    let actions = example["callbacks"].as_array().unwrap().iter().flat_map(|callback| callback["actions"].as_array().unwrap());
    let is_theirs = |action: &&Value| action["targets"]["negotiatorId"].as_array().unwrap().contains(&json!(negotiator));
    let of_kind = |action: &&Value| (action["subType"] != "missedCall") == live;
    actions.filter(is_theirs).filter(of_kind).map(|action| (action["subType"].clone(), action["payload"].clone())).collect()
}

async fn heard(session: &mut Session, count: usize) -> Vec<(Value, Value)> {
    let mut events = Vec::new();
    while events.len() < count {
        let event = next_event(session).await;
        events.push((event["notification"]["subType"].clone(), event["notification"]["payload"].clone()));
    }
    events
}

#[tokio::test]
async fn whole_calls_of_each_system_arrive_on_the_right_desktops_once() {
    for name in
        ["enreach-answered", "enreach-hunt-group", "enreach-overflow", "enreach-transferred", "avaya-engagement", "apirtc-ticket"]
    {
        let (node, example) = (TestNode::start().await, example(name));
        connect(&node, &example).await;
        let mut desks = Vec::new();
        for negotiator in ["ADV", "JAS", "TST"] {
            desks.push((negotiator, node.session("SBOX", negotiator, "").await));
        }
        tell(&node, &example).await;
        let mut last = event("endedCall", &["ADV", "JAS", "TST"]);
        last["payload"]["id"] = json!("the last");
        operate(&node, Method::DELETE, "/directories/SBOX", &json!(null)).await;
        assert_eq!(node.post(last.to_string(), &[]).await.status, 202);
        for (negotiator, mut session) in desks {
            let mut live = expected(&example, negotiator, true);
            live.push((json!("endedCall"), last["payload"].clone()));
            assert_eq!(heard(&mut session, live.len()).await, live, "{name}: {negotiator}");
            let listed = Caller::person(&node.api, "SBOX", negotiator).get("/notifications", &[]).await;
            let items = body(&listed)["_embedded"].as_array().unwrap().clone();
            let missed: Vec<_> = items.into_iter().map(|item| (item["subType"].clone(), item["payload"].clone())).collect();
            assert_eq!(missed, expected(&example, negotiator, false), "{name}: {negotiator}");
        }
        let metrics = node.metrics().await;
        let count = |outcome: &str| {
            let labels = format!("{{vendor={},outcome=\"{outcome}\"}}", example["vendor"]);
            metrics.value(&format!("bellwire_connector_callbacks_total{labels}"))
        };
        let callbacks = example["callbacks"].as_array().unwrap().len() as f64;
        assert_eq!((count("taken"), count("repeated")), (callbacks, callbacks), "{name}");
    }
}

#[tokio::test]
async fn a_call_that_was_not_missed_after_all_leaves_the_list() {
    let (node, mut example) = (TestNode::start().await, example("enreach-answered"));
    connect(&node, &example).await;
    // The answer comes last.
    example["callbacks"].as_array_mut().unwrap().swap(2, 3);
    let callbacks = example["callbacks"].as_array().unwrap().clone();
    let mut adv = Caller::person(&node.api, "SBOX", "ADV");
    for (callback, waiting) in callbacks.iter().zip([0, 0, 1, 0]) {
        assert_eq!(call_back(&node, "enreach", callback).await.status, 200);
        let listed = body(&adv.get("/notifications", &[]).await);
        assert_eq!(listed["_embedded"].as_array().unwrap().len(), waiting);
    }
}

#[tokio::test]
async fn only_who_knows_the_secret_is_heard() {
    let (node, example) = (TestNode::start().await, example("enreach-missed"));
    connect(&node, &example).await;
    let text = example["callbacks"][0]["body"].to_string();
    let mut stranger = Caller { api: Api::new(&node.api), token: String::new(), customer: None };
    for (path, header, status) in [
        ("/connectors/pbx", None, 401),
        ("/connectors/pbx", Some("MySecretString-0002"), 401),
        ("/connectors/pbx/MySecretString-0001", None, 401),
        ("/connectors/other", Some(SECRET_OF_CONNECTOR), 404),
        ("/connectors/pbx", Some(SECRET_OF_CONNECTOR), 200),
    ] {
        let headers: Vec<_> = header.map(|secret| ("x-benemen-token", secret)).into_iter().collect();
        let answer = stranger.send(Method::POST, path, text.clone(), &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {header:?}");
    }
    let headers = [("x-benemen-token", SECRET_OF_CONNECTOR)];
    let answer = stranger.send(Method::POST, "/connectors/pbx", "{\n nonsense", &headers).await;
    let description = body(&answer)["description"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 400);
    assert!(description.contains("line 2 column 2"), "{description}");
    let large = "x".repeat(256 * 1024 + 1);
    assert_eq!(stranger.send(Method::POST, "/connectors/pbx", large, &headers).await.status, 413);
    let answer = stranger.get("/connectors/pbx", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("POST")));
    let unknown = json!({"headers": {"X-Benemen-Event": "UserCallInNovel"}, "body": {"CallId": "c"}});
    assert_eq!(call_back(&node, "enreach", &unknown).await.status, 200, "a new event is acknowledged");
    let left_out = "bellwire_connector_left_out_total{vendor=\"enreach\",reason=\"unknown_event\"}";
    assert_eq!(node.metrics().await.value(left_out), 1.0);
    assert_eq!(operate(&node, Method::DELETE, "/connectors/pbx", &json!(null)).await.status, 204);
    assert_eq!(stranger.send(Method::POST, "/connectors/pbx", text, &headers).await.status, 404);
}

#[tokio::test]
async fn too_many_callbacks_come_again_later() {
    let node = TestNode::start_with(|config| {
        config.limits.callbacks.per_second = 1;
        config.limits.callbacks.burst = 2;
    });
    let (node, example) = (node.await, example("enreach-missed"));
    connect(&node, &example).await;
    let mut statuses = Vec::new();
    for callback in &example["callbacks"].as_array().unwrap()[..3] {
        statuses.push(call_back(&node, "enreach", callback).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn who_is_not_in_the_directory_is_refused_with_the_nearest() {
    let node = TestNode::start().await;
    assert_eq!(node.post(event("incomingCall", &["ADX"]).to_string(), &[]).await.status, 202, "there is no directory");
    connect(&node, &example("enreach-missed")).await;
    let mut call = event("answeredCall", &["ADV", "ADX"]);
    call["payload"]["answeredById"] = json!("TS");
    let answer = node.post(call.to_string(), &[]).await;
    let expected = json!([
        {"field": "targets.negotiatorId[1]", "message": "ADX is not in the directory of SBOX; the nearest there is ADV"},
        {"field": "payload.answeredById", "message": "TS is not in the directory of SBOX; the nearest there is TST"},
    ]);
    assert_eq!((answer.status.as_u16(), &body(&answer)["errors"]), (422, &expected));
    let mut elsewhere = Caller { customer: Some("RES".to_owned()), ..Caller::application(&node.api) };
    assert_eq!(elsewhere.post(event("incomingCall", &["ADX"]).to_string(), &[]).await.status, 202, "of another customer");
}

#[tokio::test]
async fn faults_of_directories_and_connectors_are_told_at_once() {
    let node = TestNode::start().await;
    let twice = json!({"people": [
        {"negotiatorId": "ADV", "name": "Andy"}, {"negotiatorId": "ADV", "name": ""},
    ], "queues": [{"names": ["Sales"], "members": ["JAS"]}]});
    let answer = operate(&node, Method::PUT, "/directories/SBOX", &twice).await;
    let faults = body(&answer)["errors"].clone();
    let fields: Vec<_> = faults.as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["people[1].negotiatorId", "people[1].name", "queues[0].members[0]"]);
    let unknown = json!({"people": [{"negotiatorId": "ADV", "name": "Andy", "colour": "red"}]});
    let answer = operate(&node, Method::PUT, "/directories/SBOX", &unknown).await;
    assert_eq!((answer.status.as_u16(), &body(&answer)["errors"][0]["field"]), (422, &json!("people[0].colour")));
    for (connector, fields) in [
        (json!({"vendor": "apirtc", "secret": "short"}), vec!["negotiators", "secret"]),
        (json!({"vendor": "avaya", "secret": "not fit for a path!"}), vec!["secret"]),
        (json!({"vendor": "enreach", "products": ["Nothing"], "negotiators": ["ADV"]}), vec!["products[0]", "negotiators"]),
    ] {
        let mut whole = json!({"customer": "SBOX", "secret": SECRET_OF_CONNECTOR});
        whole.as_object_mut().unwrap().extend(connector.as_object().unwrap().clone());
        let answer = operate(&node, Method::PUT, "/connectors/pbx", &whole).await;
        let faults = body(&answer)["errors"].as_array().unwrap().clone();
        assert_eq!(faults.iter().map(|fault| fault["field"].clone()).collect::<Vec<_>>(), fields);
    }
    for (method, path, status) in [
        (Method::GET, "/directories/SBOX", 404),
        (Method::DELETE, "/directories/SBOX", 404),
        (Method::DELETE, "/connectors/pbx", 404),
        (Method::POST, "/connectors", 405),
        (Method::POST, "/directories/SBOX", 405),
        (Method::GET, "/directories", 200),
        (Method::GET, "/connectors", 200),
    ] {
        assert_eq!(operate(&node, method.clone(), path, &json!(null)).await.status.as_u16(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn a_restart_keeps_directories_and_connectors_and_shows_no_secret() {
    let (node, example) = (TestNode::start().await, example("enreach-missed"));
    connect(&node, &example).await;
    let before = body(&operate(&node, Method::GET, "/directories/SBOX", &json!(null)).await);
    let clock = node.clock.clone();
    let node = TestNode::start_in(node.stop().await, clock, |_| ()).await;
    assert_eq!(body(&operate(&node, Method::GET, "/directories/SBOX", &json!(null)).await), before);
    let shown = operate(&node, Method::GET, "/connectors", &json!(null)).await;
    let expected =
        json!([{"id": "pbx", "vendor": "enreach", "customer": "SBOX", "products": ["AgencyCloud"], "negotiators": []}]);
    assert_eq!(body(&shown), expected);
    tell(&node, &example).await;
}

#[tokio::test]
async fn negotiators_are_listed_in_reapits_shape_and_paging() {
    let node = TestNode::start().await;
    connect(&node, &example("enreach-missed")).await;
    let reader = token(&json!({"client_id": "app", "scope": "agencyCloud/negotiators.read"}));
    let mut app = Caller { api: Api::new(&node.api), token: reader, customer: Some("SBOX".to_owned()) };
    let page = body(&app.get("/negotiators?pageSize=2&active=true", &[]).await);
    let ids = |page: &Value| page["_embedded"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&page), ["ADV", "JAS"]);
    let counts = ["pageNumber", "pageSize", "pageCount", "totalPageCount", "totalCount"].map(|name| page[name].clone());
    assert_eq!(counts, [1, 2, 2, 2, 3].map(|count| json!(count)));
    let next = page["_links"]["next"]["href"].as_str().unwrap().to_owned();
    assert_eq!(next, "/negotiators/?PageNumber=2&PageSize=2&active=true");
    let last = body(&app.get(&next, &[]).await);
    assert_eq!((ids(&last), last["_links"].get("next")), (vec![json!("TST")], None));
    let one = body(&app.get("/negotiators/JAS", &[]).await);
    assert_eq!(one, page["_embedded"][1]);
    assert_eq!((&one["name"], &one["workPhone"]), (&json!("Jane Smith"), &json!("+358101231236")));
    let etag = one["_eTag"].as_str().unwrap();
    assert!(
        etag.len() == 34 && etag.starts_with('"') && etag[1..33].bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    );
    for (query, expected) in [
        ("id=TST&id=ADV", vec!["ADV", "TST"]),
        ("name=smith", vec!["JAS"]),
        ("email=THEO.STONE@customer.com", vec!["TST"]),
        ("sortBy=-name", vec!["TST", "JAS", "ADV"]),
        ("active=false", vec![]),
        ("createdFrom=2100-01-01T00:00:00Z", vec![]),
        ("modifiedTo=2100-01-01T00:00:00Z&pageNumber=2", vec![]),
    ] {
        assert_eq!(ids(&body(&app.get(&format!("/negotiators?{query}"), &[]).await)), expected, "{query}");
    }
    for (path, status) in [
        ("/negotiators/ZZZ", 404),
        ("/negotiators?pageSize=101", 400),
        ("/negotiators?pageNumber=0", 400),
        ("/negotiators?sortBy=colour", 400),
        ("/negotiators?officeId=OXF", 400),
    ] {
        assert_eq!(app.get(path, &[]).await.status.as_u16(), status, "{path}");
    }
    assert_eq!(Caller::application(&node.api).get("/negotiators", &[]).await.status, 403, "another scope");
    let answer = app.send(Method::DELETE, "/negotiators/JAS", "", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some("GET")));
    app.customer = Some("RES".to_owned());
    assert_eq!(ids(&body(&app.get("/negotiators", &[]).await)), [""; 0]);
}

#[tokio::test]
async fn a_call_that_rings_over_a_graceful_restart_is_missed_there() {
    let (node, example) = (TestNode::start().await, example("enreach-hunt-group"));
    connect(&node, &example).await;
    let callbacks = example["callbacks"].as_array().unwrap();
    for callback in &callbacks[..2] {
        assert_eq!(call_back(&node, "enreach", callback).await.status, 200);
    }
    let clock = node.clock.clone();
    let node = TestNode::start_in(node.stop().await, clock, |_| ()).await;
    assert_eq!(call_back(&node, "enreach", callbacks.last().unwrap()).await.status, 200);
    for negotiator in ["ADV", "JAS"] {
        let listed = body(&Caller::person(&node.api, "SBOX", negotiator).get("/notifications", &[]).await);
        assert_eq!(listed["_embedded"].as_array().unwrap().len(), 1, "{negotiator}");
    }
}
