//! Taking events: what is taken, what is refused, in which order, and what is answered.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::*;

fn examples(folder: &str) -> Vec<(String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/examples").join(folder);
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), serde_json::from_slice(&fs::read(&path).unwrap()).unwrap())).collect()
}

#[tokio::test]
async fn an_event_reaches_every_device_of_its_negotiators_and_nobody_else() {
    let node = TestNode::start().await;
    let mut front_desk = node.session("SBOX", "ADV", "?device=front-desk").await;
    let mut laptop = node.session("SBOX", "ADV", "?device=laptop").await;
    let mut colleague = node.session("SBOX", "TST", "").await;
    let mut stranger = node.session("OTHER", "ADV", "").await;
    let mut other_product = node.open(&person("SBOX", "ADV", "PropertyCloud"), "").await.unwrap();
    assert_eq!(message(&mut other_product).await["type"], "welcome");

    let answer = node.post(event("incomingCall", &["ADV", "JAS"]).to_string(), &[("prefer", "return=representation")]).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("preference-applied"), Some("return=representation"));
    let receipt = body(&answer);
    assert_eq!(receipt["targets"], json!([{"negotiatorId": "ADV", "sessions": 2}, {"negotiatorId": "JAS", "sessions": 0}]));

    let heard = message(&mut front_desk).await;
    assert_eq!(message(&mut laptop).await, heard);
    assert_eq!(heard["type"], "event");
    assert_eq!(heard["id"], receipt["id"]);
    assert_eq!(heard["callId"], "ax2uyio8p");
    assert_eq!(heard["customerId"], "SBOX");
    let notification = event("incomingCall", &[]);
    for member in ["type", "subType", "products", "payload"] {
        assert_eq!(heard["notification"][member], notification[member]);
    }
    assert!(heard["notification"].get("targets").is_none());
    for other in [&mut colleague, &mut stranger, &mut other_product] {
        assert_silent(other).await;
    }
}

#[tokio::test]
async fn every_valid_example_is_taken() {
    let node = TestNode::start().await;
    let mut provider = Caller::application(&node.api);
    for (name, example) in examples("valid") {
        let answer = provider.post(example.to_string(), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (202, &b""[..]), "{name}");
    }
}

#[tokio::test]
async fn every_invalid_example_is_422_with_exactly_its_faults() {
    let node = TestNode::start().await;
    let mut provider = Caller::application(&node.api);
    for (name, example) in examples("invalid") {
        let text = example["text"].as_str().map_or_else(|| example["body"].to_string(), str::to_owned);
        let answer = provider.post(text, &[]).await;
        assert_eq!(answer.status, 422, "{name}");
        let refusal = body(&answer);
        assert_eq!(refusal["errors"], example["errors"], "{name}");
        assert_eq!(refusal["statusCode"], 422);
        assert_eq!(
            refusal["description"],
            "One or more validation failures have occurred. Please refer to Errors list for details"
        );
    }
}

#[tokio::test]
async fn every_unreadable_example_is_400_with_line_and_column() {
    let node = TestNode::start().await;
    let mut provider = Caller::application(&node.api);
    for (name, example) in examples("unreadable") {
        let answer = provider.post(example["text"].as_str().unwrap().to_owned(), &[]).await;
        assert_eq!(answer.status, 400, "{name}");
        let description = body(&answer)["description"].as_str().unwrap().to_owned();
        assert!(description.contains(example["error"].as_str().unwrap()), "{name}: {description}");
    }
    let answer = provider.post(&b"{\"type\": \"\xff\xfe\"}"[..], &[]).await;
    assert_eq!(answer.status, 400, "invalid UTF-8");
}

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_one_byte_more_is_not() {
    let node = TestNode::start().await;
    let mut padded = event("endedCall", &["ADV"]).to_string();
    padded.push_str(&" ".repeat(64 * 1024 - padded.len()));
    assert_eq!(node.post(padded.clone(), &[]).await.status, 202);
    padded.push(' ');
    let answer = node.post(padded.clone(), &[]).await;
    assert_eq!(answer.status, 413);
    assert_eq!(body(&answer)["description"], "The body has more than 65536 bytes");

    let head = format!(
        "POST /notifications HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nreapit-customer: SBOX\r\n\
         content-type: application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        application_token()
    );
    let chunked = format!("{head}{:x}\r\n{padded}\r\n0\r\n\r\n", padded.len());
    assert!(raw(&node.api, chunked.as_bytes()).await.starts_with("HTTP/1.1 413 "), "without a Content-Length");
}

#[tokio::test]
async fn checks_come_in_the_published_order() {
    let node = TestNode::start_with(|config| config.limits.requests.per_second = 1).await;
    let mut caller = Caller::application(&node.api);
    let huge = "x".repeat(64 * 1024 + 1);
    // Each request has every later fault as well; the first one is told.
    let json = ("content-type", "application/json");
    let bad_token = ("authorization", "Bearer x.y.z");
    let bad_version = ("api-version", "1999-01-01");
    let no_customer = ("reapit-customer", "!");
    let statuses = [
        (caller.send(Method::PUT, "/notifications", huge.clone(), &[bad_token]).await, 405),
        (caller.send(Method::POST, "/notifications", huge, &[bad_token]).await, 413),
        (caller.send(Method::POST, "/notifications", "{", &[bad_token, bad_version]).await, 401),
        (caller.send(Method::POST, "/notifications", "{", &[bad_version, no_customer]).await, 400),
        (caller.send(Method::POST, "/notifications", "{", &[no_customer]).await, 400),
        (caller.send(Method::POST, "/notifications", "{", &[]).await, 415),
        (caller.send(Method::POST, "/notifications", "{", &[json]).await, 400),
        (caller.send(Method::POST, "/notifications", "{}", &[json]).await, 422),
    ];
    for (place, (answer, status)) in statuses.iter().enumerate() {
        assert_eq!(answer.status.as_u16(), *status, "request {place}");
    }
    let description = |place: usize| body(&statuses[place].0)["description"].as_str().unwrap().to_owned();
    assert_eq!(description(3), "HTTP resource does not support the API version '1999-01-01'");
    assert!(description(4).starts_with("The header reapit-customer must be"));
    // The rate comes before the body is looked at.
    for _ in 0..100 {
        caller.send(Method::POST, "/notifications", "{", &[]).await;
    }
    assert_eq!(caller.send(Method::POST, "/notifications", "{", &[]).await.status, 429);
    // What is well formed and not allowed is 403; what is not well formed is told before that.
    let powerless = token(&json!({"client_id": "other", "scope": "openid"}));
    let mut powerless = Caller { token: powerless, ..Caller::application(&node.api) };
    assert_eq!(powerless.post("{}", &[]).await.status, 422);
    assert_eq!(powerless.post(event("endedCall", &["ADV"]).to_string(), &[]).await.status, 403);
}

#[tokio::test]
async fn content_types_of_json_in_utf8_pass_and_others_do_not() {
    let node = TestNode::start().await;
    let mut caller = Caller::application(&node.api);
    let body = event("endedCall", &["ADV"]).to_string();
    for (content_type, status) in [
        ("application/json", 202),
        ("Application/JSON; charset=UTF-8", 202),
        ("application/json;charset=\"utf-8\"", 202),
        ("application/json-patch+json", 202),
        ("application/vnd.example+json", 202),
        ("application/json; charset=latin1", 415),
        ("application/+json", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ] {
        let answer = caller.send(Method::POST, "/notifications/", body.clone(), &[("content-type", content_type)]).await;
        assert_eq!(answer.status.as_u16(), status, "{content_type}");
    }
    assert_eq!(caller.send(Method::POST, "/notifications", body, &[]).await.status, 415, "none");
}

#[tokio::test]
async fn who_has_no_good_token_gets_401_with_a_challenge() {
    let node = TestNode::start().await;
    let cases = [
        (String::new(), "Bearer"),
        (token_signed(&json!({"client_id": "app"}), "another secret"), "the token's signature is wrong"),
        (token(&json!({"client_id": "app", "iss": "other"})), "the token's issuer is not trusted here"),
        (token(&json!({"client_id": "app", "exp": 1_000_000})), "the token expired at 1970-01-12T13:46:40Z"),
        (token(&json!({"client_id": "app", "nbf": 4_000_000_000_i64})), "the token is not valid before"),
        (token(&json!({"negotiatorId": "ADV"})), "a negotiatorId needs a customerId"),
    ];
    for (token, challenge) in cases {
        let mut caller = Caller { token, ..Caller::application(&node.api) };
        let answer = caller.post(event("endedCall", &["ADV"]).to_string(), &[]).await;
        assert_eq!((answer.status.as_u16(), &body(&answer)["description"]), (401, &json!("Unauthorized")));
        let told = answer.header("www-authenticate").unwrap();
        assert!(told.contains(challenge), "{told}");
    }
}

#[tokio::test]
async fn a_token_speaks_for_its_own_customer_only() {
    let node = TestNode::start().await;
    let write = "notifications.telephony.write";
    let of_other = token(&json!({"client_id": "app", "scope": write, "customerId": "OTHER"}));
    let mut session = node.session("SBOX", "ADV", "").await;
    let mut caller = Caller { token: of_other, ..Caller::application(&node.api) };
    let text = event("incomingCall", &["ADV"]).to_string();
    let answer = caller.post(text.clone(), &[]).await;
    assert_eq!(answer.status, 403);
    assert_eq!(body(&answer)["description"], "The token belongs to another customer than SBOX");
    caller.customer = None;
    assert_eq!(caller.post(text.clone(), &[]).await.status, 202, "for its own customer, which it need not name");
    assert_silent(&mut session).await;

    let mut nameless = Caller { customer: None, ..Caller::application(&node.api) };
    let answer = nameless.post(text, &[]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(body(&answer)["description"], "The header reapit-customer is required: the token names no customer");
}

#[tokio::test]
async fn scopes_and_installations_are_asked_for() {
    let node = TestNode::start_with(strict).await;
    let mut provider = Caller::application(&node.api);
    let mut operator = Caller { api: client::api::Api::new(&node.ops), token: String::new(), customer: None };
    let text = event("missedCall", &["ADV"]).to_string();
    let not_installed = "Customer SBOX has not installed this application";
    let json_type = [("content-type", "application/json")];

    let answer = provider.post(text.clone(), &[]).await;
    assert_eq!((answer.status.as_u16(), &body(&answer)["description"]), (403, &json!(not_installed)), "not stored");
    let scopes = json!({"scopes": ["notifications.telephony.read"]}).to_string();
    assert_eq!(operator.send(Method::PUT, "/applications/app", scopes, &json_type).await.status, 204);
    assert_eq!(operator.send(Method::PUT, "/applications/app/customers/SBOX", "", &[]).await.status, 204);
    let answer = provider.post(text.clone(), &[]).await;
    assert_eq!(answer.status, 403, "not granted");
    assert!(
        body(&answer)["description"].as_str().unwrap().starts_with("This application has not been granted the required scope")
    );

    let scopes = json!({"scopes": ["notifications.telephony.write"]}).to_string();
    assert_eq!(operator.send(Method::PUT, "/applications/app", scopes, &json_type).await.status, 204);
    assert_eq!(provider.post(text.clone(), &[]).await.status, 202);
    assert_eq!(provider.post(text.clone(), &[("reapit-customer", "OTHER")]).await.status, 403, "installed elsewhere only");

    let without_scope = token(&json!({"client_id": "app"}));
    let mut powerless = Caller { token: without_scope, ..Caller::application(&node.api) };
    assert_eq!(powerless.post(text.clone(), &[]).await.status, 403, "granted, but not in the token");
    let mut nobody =
        Caller { token: token(&json!({"scope": "notifications.telephony.write"})), ..Caller::application(&node.api) };
    let answer = nobody.post(text, &[]).await;
    assert_eq!(
        (answer.status.as_u16(), &body(&answer)["description"]),
        (403, &json!("The token names no application (client_id)"))
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_say_what_there_is() {
    let node = TestNode::start().await;
    let mut caller = Caller::application(&node.api);
    for (method, path, status, allow) in [
        (Method::PUT, "/notifications", 405, Some("GET, POST")),
        (Method::DELETE, "/notifications/", 405, Some("GET, POST")),
        (Method::GET, "/notifications/abc", 405, Some("DELETE")),
        (Method::POST, "/session", 405, Some("GET")),
        (Method::OPTIONS, "/openapi.json", 405, Some("GET")),
        (Method::GET, "/", 404, None),
        (Method::DELETE, "/notifications/a/b", 404, None),
        (Method::GET, "/session/x", 404, None),
        (Method::GET, "/session/", 426, None),
    ] {
        let answer = caller.send(method.clone(), path, "", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (status, allow), "{method} {path}");
        assert_eq!(body(&answer)["statusCode"], status);
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_errors_have_reapits_shape() {
    let node = TestNode::start().await;
    let mut caller = Caller::application(&node.api);
    let answer = caller.post("{", &[("x-request-id", "mine-1")]).await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let members: Vec<_> = body(&answer).as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["dateTime", "description", "statusCode"]);
    let date_time = body(&answer)["dateTime"].as_str().unwrap().to_owned();
    assert!(date_time.len() == "2020-02-11T13:32:03.6759302Z".len() && date_time.ends_with('Z'), "{date_time}");
    for (path, headers) in [("/notifications", &[][..]), ("/nowhere", &[]), ("/openapi.json", &[("x-request-id", "not plain!")])]
    {
        let answer = caller.get(path, headers).await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 32, "{path}");
    }
}

#[tokio::test]
async fn a_repeated_live_event_is_answered_and_does_not_pop_again() {
    let node = TestNode::start().await;
    let mut session = node.session("SBOX", "ADV", "").await;
    let text = event("incomingCall", &["ADV"]).to_string();
    let headers = [("idempotency-key", "k1"), ("prefer", "return=representation")];
    let first = node.post(text.clone(), &headers).await;
    let again = node.post(text.clone(), &headers).await;
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
    assert_eq!((again.status.as_u16(), &again.body), (202, &first.body));
    assert_eq!(message(&mut session).await["id"], body(&first)["id"]);
    assert_silent(&mut session).await;

    let conflict = node.post(event("endedCall", &["ADV"]).to_string(), &headers).await;
    assert_eq!(
        (conflict.status.as_u16(), &body(&conflict)["description"]),
        (409, &json!("This Idempotency-Key was used with another body"))
    );
    let elsewhere =
        node.post(event("endedCall", &["ADV"]).to_string(), &[("idempotency-key", "k1"), ("reapit-customer", "OTHER")]).await;
    assert_eq!(elsewhere.status, 202, "a key belongs to application and customer");

    node.clock.advance(Duration::from_secs(600));
    let later = node.post(text, &headers).await;
    assert_eq!((later.status.as_u16(), later.header("idempotent-replayed")), (202, None), "after 10 minutes it is new");
    assert_eq!(next_event(&mut session).await["id"], body(&later)["id"]);
    for key in ["", "two words", &"k".repeat(129)] {
        assert_eq!(node.post("{", &[("idempotency-key", key)]).await.status, 400, "{key}");
    }
    assert_eq!(node.metrics().await.value("bellwire_idempotent_replays_total"), 1.0);
}

#[tokio::test]
async fn what_was_refused_is_not_remembered_under_its_key() {
    let node = TestNode::start().await;
    let key = [("idempotency-key", "k1")];
    assert_eq!(node.post("{}", &key).await.status, 422);
    assert_eq!(node.post(event("endedCall", &["ADV"]).to_string(), &key).await.status, 202);
}

#[tokio::test]
async fn a_repeated_missed_call_adds_no_row_also_after_a_restart_and_when_sent_at_once() {
    let node = TestNode::start().await;
    let text = event("missedCall", &["ADV"]).to_string();
    let key = [("idempotency-key", "k1"), ("prefer", "return=representation")];
    let first = node.post(text.clone(), &key).await;
    assert_eq!(first.status, 202);
    let clock = node.clock.clone();
    let node = TestNode::start_in(node.stop().await, clock, |_| ()).await;
    let again = node.post(text.clone(), &key).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &first.body));
    assert_eq!(node.post(event("missedCall", &["TST"]).to_string(), &key).await.status, 409);

    let at_once = (0..16).map(|_| node.post(text.clone(), &[("idempotency-key", "k2")]));
    for answer in futures::future::join_all(at_once).await {
        assert!([202, 409].contains(&answer.status.as_u16()));
        if answer.status == 409 {
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    let listed = Caller::person(&node.api, "SBOX", "ADV").get("/notifications", &[]).await;
    assert_eq!(body(&listed)["_embedded"].as_array().unwrap().len(), 2, "one for each key");
}

#[tokio::test]
async fn the_number_of_keys_is_bounded() {
    let node = TestNode::start_with(|config| config.limits.idempotency_keys = 2).await;
    let text = event("endedCall", &["ADV"]).to_string();
    let mut statuses = Vec::new();
    for key in ["a", "b", "c", "a"] {
        statuses.push(node.post(text.clone(), &[("idempotency-key", key)]).await.status.as_u16());
    }
    assert_eq!(statuses, [202, 202, 503, 202]);
}

#[tokio::test]
async fn the_contract_is_served_with_the_products_of_the_node() {
    let node = TestNode::start_with(|config| config.products = vec![protocol::id::Product::parse("Other").unwrap()]).await;
    let answer = ask(&node.api, "/openapi.json", &[]).await;
    let document = body(&answer);
    assert_eq!((answer.status.as_u16(), &document["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(document["components"]["schemas"]["envelope"]["properties"]["products"]["items"]["enum"], json!(["Other"]));
    let unresolved =
        references(&document).into_iter().find(|reference| document.pointer(reference.trim_start_matches('#')).is_none());
    assert_eq!(unresolved, None, "every reference points inside the document");
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn pages_of_configured_origins_may_call_and_others_may_not() {
    let node = TestNode::start_with(|config| config.cors_origins = vec!["https://crm.example".to_owned()]).await;
    let mut caller = Caller::application(&node.api);
    let preflight = |origin| [("origin", origin), ("access-control-request-method", "POST")];
    let answer = caller.send(Method::OPTIONS, "/notifications", "", &preflight("https://crm.example")).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (204, Some("https://crm.example")));
    let answer = caller.send(Method::OPTIONS, "/notifications", "", &preflight("https://crm.example.evil")).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (405, None));
    let answer = caller.post("{", &[("origin", "https://crm.example")]).await;
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("etag, idempotent-replayed, location, retry-after, x-request-id")
    );
    assert_eq!(answer.header("vary"), Some("origin"));
}
