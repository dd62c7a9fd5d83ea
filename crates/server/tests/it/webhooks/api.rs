//! Subscriptions, the log, replays, `/resthooks`: what they answer, and what is refused with which words.

use super::*;
use crate::receiver::Reply;
use crate::support::{ask, person};

/// Whether a subscription to a URL is taken; if not, what is said of it.
async fn offer(scene: &mut Scene, url: &Value) -> Result<(), String> {
    let wish = with(standard("https://hooks.example.com/"), json!({"url": url}));
    let answer = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &wish).await;
    match answer.status.as_u16() {
        201 => Ok(()),
        422 => {
            let faults = faults(&answer);
            assert_eq!((faults.len(), faults[0].0.as_str()), (1, "url"), "{url}: {faults:?}");
            Err(faults[0].1.clone())
        }
        status => panic!("{url}: {status}"),
    }
}

#[tokio::test]
async fn a_url_that_leads_elsewhere_than_it_says_or_nowhere_is_refused() {
    let mut scene = Scene::start_with(|config| config.webhooks.dev = false).await;
    for (url, said) in [
        ("http://hooks.example.com/", "must begin with https://"),
        ("http://127.0.0.1/", "must begin with https://"),
        ("ftp://hooks.example.com/", "must begin with https://"),
        ("hooks.example.com", "is not a URL"),
        ("", "is not a URL"),
        ("https://", "has no host"),
        ("https://user@hooks.example.com/", "must not hold a user"),
        ("https://user:pa55word@hooks.example.com/", "must not hold a user"),
        ("https://hooks.example.com/#here", "must not have a fragment"),
        ("https://hooks.example.com:8443/", "port 8443 of"),
        ("https://hooks.example.com:0/", "port 0 of"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://0x7f.0.0.1/", "four decimal numbers"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://127.1/", "four decimal numbers"),
        ("https://1.2.3.256/", "four decimal numbers"),
        ("https://[fe80::1%25eth0]/", "must not have a zone"),
        ("https://localhost/", "a full name with a dot"),
        ("https://intranet/", "a full name with a dot"),
        ("https://hooks.example.com./", "is not a DNS name"),
        ("https://hooks.exa mple.com/", "U+0020"),
        ("https://hooks.example.com/\r\nx-injected: 1", "U+000D"),
        ("https://hooks.example.com\\@127.0.0.1/", "U+005C"),
        ("https://hooks.%65xample.com/", "is not a DNS name"),
        ("https://10.0.0.1/", "nothing is sent there"),
        ("https://169.254.169.254/", "nothing is sent there"),
        ("https://[::1]/", "nothing is sent there"),
        ("https://[::ffff:127.0.0.1]/", "nothing is sent there"),
        ("https://[64:ff9b::a00:1]/", "nothing is sent there"),
    ] {
        let refused = offer(&mut scene, &json!(url)).await.expect_err(url);
        assert!(refused.contains(said) && !refused.contains("pa55word"), "{url}: {refused}");
    }
    for (url, said) in [
        (json!(["https://a.example.com/", "https://b.example.com/"]), "got a list"),
        (json!(7), "must be a string"),
        (json!(null), "is required"),
        (json!(format!("https://hooks.example.com/{}", "x".repeat(2048))), "characters long"),
    ] {
        let refused = offer(&mut scene, &url).await.expect_err("refused");
        assert!(refused.contains(said), "{url}: {refused}");
    }
    for url in
        ["https://hooks.example.com:443/", "https://HOOKS.example.com/a?b=%0d%0a", "https://bücher.example/", "https://8.8.8.8/"]
    {
        assert_eq!(offer(&mut scene, &json!(url)).await, Ok(()), "{url}");
    }
    let mut scene = scene.restart(|config| (config.webhooks.dev, config.webhooks.ports) = (false, vec![443, 8443])).await;
    assert_eq!(offer(&mut scene, &json!("https://hooks.example.com:8443/")).await, Ok(()));
}

#[tokio::test]
async fn every_fault_of_a_subscription_is_told_at_once() {
    let mut scene = Scene::start().await;
    let wish = json!({
        "url": "http://hooks.example.com/", "topicIds": ["contacts.create", "contacts.created", "contacts.created", "nonsense", 7],
        "customerIds": ["ABC", "ABC", "A.C"], "active": "yes", "colour": "red", "secret": "x", "description": "x".repeat(1001),
    });
    let answer = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &wish).await;
    assert_eq!(answer.status, 422);
    let faults = faults(&answer);
    for (field, said) in [
        ("url", "must begin with https://"),
        ("topicIds[0]", "did you mean contacts.created?"),
        ("topicIds[2]", "is given twice"),
        ("topicIds[3]", "is no topic"),
        ("topicIds[4]", "must be a string"),
        ("customerIds[1]", "is given twice"),
        ("customerIds[2]", "A.C"),
        ("active", "must be true or false"),
        ("colour", "is not known"),
        ("secret", "24 to 64 bytes"),
        ("description", "up to 1000 characters"),
    ] {
        assert!(faults.iter().any(|(other, message)| other == field && message.contains(said)), "{field} {said}: {faults:#?}");
    }
    for (wish, field) in [
        (json!({"profile": "reapit", "topicIds": ["telephony.missedCall"]}), "topicIds[0]"),
        (json!({"profile": "pigeon"}), "profile"),
        (json!({"customerIds": "ABC"}), "customerIds"),
    ] {
        let wish = with(standard(&scene.receiver.url("/a")), wish);
        let answer = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &wish).await;
        assert_eq!((answer.status.as_u16(), self::faults(&answer)[0].0.as_str()), (422, field), "{wish}");
    }
    let subscription = scene.standard("/a").await;
    let change = json!({"url": subscription["url"], "profile": "reapit"});
    let answer = send(&mut scene.app, Method::PUT, &at(&subscription, ""), &change).await;
    assert_eq!((answer.status.as_u16(), self::faults(&answer)[0].0.as_str()), (422, "profile"), "a profile stays");
    for (text, status) in [("{", 400), ("[]", 422), ("{\"url\": \"x\", \"url\": \"y\"}", 422)] {
        let answer = scene.app.send(Method::POST, "/webhooks/subscriptions", text, &[JSON]).await;
        assert_eq!(answer.status.as_u16(), status, "{text}");
    }
    let answer = scene.app.send(Method::POST, "/webhooks/subscriptions", "{}", &[]).await;
    assert_eq!(answer.status, 415);
    let answer = scene.app.send(Method::POST, "/webhooks/subscriptions", vec![b' '; 64 * 1024 + 1], &[JSON]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn an_event_that_breaks_its_schema_is_refused_with_the_path() {
    let mut scene = Scene::start().await;
    for (change, field, said) in [
        (json!({"new": {"id": "C1", "surname": 7}}), "new.surname", "7 is not of types"),
        (json!({"new": {"surname": "Smith"}}), "new", "\"id\" is a required property"),
        (json!({"new": {"id": "C1", "primaryAddress": {"line1": 7}}}), "new.primaryAddress.line1", "7 is not of types"),
        (json!({"new": {"id": "C1", "officeIds": ["A", 7]}}), "new.officeIds[1]", "7 is not of type"),
        (json!({"new": "C1"}), "new", "must be an object"),
        (json!({"old": {"id": "C1"}}), "old", "was not there before"),
        (json!({"data": {}}), "data", "is not used"),
        (json!({"topic": "contacts.create"}), "topic", "did you mean contacts.created?"),
        (json!({"topic": "telephony.missedCall"}), "topic", "is not in the catalogue reapit"),
        (json!({"catalogue": "bellwire"}), "catalogue", "reapit"),
        (json!({"catalogue": 7}), "catalogue", "must be a string"),
        (json!({"customerId": "A.C"}), "customerId", "letters and digits"),
        (json!({"entityId": ""}), "entityId", "1 to 128 characters"),
        (json!({"entityId": "a\r\nb"}), "entityId", "without control characters"),
        (json!({"entityId": "x".repeat(129)}), "entityId", "1 to 128 characters"),
        (json!({"occurredAt": "yesterday"}), "occurredAt", "must be a time"),
        (json!({"environment": "test"}), "environment", "production or sandbox"),
        (json!({"colour": "red"}), "colour", "is not known"),
        (json!({"related": [{"topic": "applicants.modified", "entityId": "A"}]}), "related[0].new", "is required"),
        (json!({"related": [{"topic": "applicants.modified", "entityId": "A", "new": {}}]}), "related[0].new", "required"),
        (json!({"related": vec![json!({}); 21]}), "related", "up to 20"),
    ] {
        let answer = scene.report(&with(contact("ABC", "C1"), change.clone())).await;
        assert_eq!(answer.status, 422, "{change}");
        let faults = faults(&answer);
        assert!(faults.iter().any(|(other, message)| other == field && message.contains(said)), "{change}: {faults:?}");
    }
    let mut missing = contact("ABC", "C1");
    ["catalogue", "topic", "customerId", "occurredAt"]
        .iter()
        .for_each(|name| drop(missing.as_object_mut().unwrap().remove(*name)));
    let fields: Vec<_> = faults(&scene.report(&missing).await).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["catalogue", "topic", "customerId", "occurredAt"]);
}

#[tokio::test]
async fn a_report_that_is_too_large_too_deep_or_no_json_is_refused() {
    let mut scene = Scene::start().await;
    scene.standard("/a").await;
    let large = with(contact("ABC", "C1"), json!({"new": {"id": "C1", "surname": "x".repeat(256 * 1024)}}));
    assert_eq!(scene.report(&large).await.status, 413);
    let within = scene.report(&json!([contact("ABC", "C2"), large])).await;
    assert_eq!((within.status.as_u16(), faults(&within)[0].0.as_str()), (422, "[1]"));
    let many = vec![with(contact("ABC", "C3"), json!({"new": {"id": "C3", "surname": "x".repeat(250 * 1024)}})); 17];
    assert_eq!(scene.report(&json!(many)).await.status, 413, "4 MiB in all");
    for count in [0, 501] {
        let answer = scene.report(&json!(vec![contact("ABC", "C4"); count])).await;
        assert_eq!((answer.status.as_u16(), faults(&answer)[0].0.as_str()), (422, "$"), "{count}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (text, status) in [("{", 400), ("", 400), (deep.as_str(), 400), ("7", 422), ("[7]", 422), ("\u{feff}{}", 400)] {
        let answer = scene.app.send(Method::POST, "/events", text.to_owned(), &[JSON]).await;
        assert_eq!(answer.status.as_u16(), status, "{text:.20}");
    }
    assert_eq!(scene.app.send(Method::POST, "/events", vec![b'"', 0xff, b'"'], &[JSON]).await.status, 400);
    assert_eq!(scene.app.send(Method::POST, "/events", "{}", &[]).await.status, 415);
    settle(&scene).await;
    assert!(scene.receiver.received("/a").is_empty());
}

#[tokio::test]
async fn of_a_batch_with_one_bad_event_nothing_is_taken() {
    let mut scene = Scene::start().await;
    scene.standard("/a").await;
    let bad = with(contact("ABC", "C2"), json!({"new": {"id": "C2", "surname": 7}}));
    let key = [JSON, ("idempotency-key", "k1")];
    let batch = json!([contact("ABC", "C1"), bad, contact("ABC", "C3")]).to_string();
    let answer = scene.app.send(Method::POST, "/events", batch, &key).await;
    assert_eq!((answer.status.as_u16(), faults(&answer)[0].0.as_str()), (422, "[1].new.surname"));
    let batch = json!([contact("ABC", "C1"), contact("ABC", "C2"), contact("ABC", "C3")]).to_string();
    let answer = scene.app.send(Method::POST, "/events", batch, &key).await;
    let ids = body(&answer)["eventIds"].as_array().unwrap().clone();
    assert_eq!((answer.status.as_u16(), ids.len()), (202, 3), "and the key is free");
    let mut told = entities(&scene.receiver.wait_for("/a", 3).await);
    settle(&scene).await;
    told.sort_unstable();
    assert_eq!((told, scene.receiver.received("/a").len()), (vec!["C1".to_owned(), "C2".to_owned(), "C3".to_owned()], 3));
    assert_eq!(scene.app.get("/webhooks/deliveries/4-1", &[]).await.status, 404);
}

#[tokio::test]
async fn who_may_report_is_told_by_scope_and_customer() {
    let scene = Scene::start_strict().await;
    let mut app = application(&scene.node.api, "app");
    assert_eq!(report(&mut app, &contact("XYZ", "C1")).await.status, 403, "not installed there");
    assert_eq!(report(&mut app, &json!([contact("ABC", "C1"), contact("XYZ", "C1")])).await.status, 403);
    let bound = [JSON, ("reapit-customer", "SBOX")];
    assert_eq!(app.send(Method::POST, "/events", contact("ABC", "C1").to_string(), &bound).await.status, 403);
    assert_eq!(app.send(Method::POST, "/events", contact("SBOX", "C1").to_string(), &bound).await.status, 202);
    let mut reader = application_with(&scene.node.api, "app", "contacts.read");
    assert_eq!(report(&mut reader, &contact("ABC", "C1")).await.status, 403, "without the scope");
    let mut stranger = application(&scene.node.api, "stranger");
    assert_eq!(report(&mut stranger, &contact("ABC", "C1")).await.status, 403, "a token alone grants nothing");
    let mut adv = Caller { token: person("SBOX", "ADV", "AgencyCloud"), ..application(&scene.node.api, "app") };
    for path in ["/webhooks/subscriptions", "/webhooks/topics", "/webhooks/usage"] {
        assert_eq!(adv.get(path, &[]).await.status, 403, "a person is no application");
        assert_eq!(ask(&scene.node.api, path, &[]).await.status, 401);
    }
    assert_eq!(ask(&scene.node.api, "/events", &[]).await.status, 405);
}

#[tokio::test]
async fn what_belongs_to_another_application_is_not_there() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    scene.contact("C1").await;
    let delivery = scene.delivery(&subscription, 1).await;
    scene.leap(Duration::from_secs(1));
    let replay = scene.post(&at(&subscription, "/replay"), &json!({"since": "2020-01-01T00:00:00Z"})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (delivery, replay) = (text(&delivery["id"]), format!("/webhooks/replays/{}", text(&replay["id"])));
    let key = format!("/webhooks/signing/{}", text(&subscription["signingKeyId"]));
    let mut other = application(&scene.node.api, "other");
    let body_of_all = with(standard(&scene.receiver.url("/b")), json!({}));
    for (method, path, value) in [
        (Method::GET, at(&subscription, ""), json!({})),
        (Method::PUT, at(&subscription, ""), body_of_all),
        (Method::DELETE, at(&subscription, ""), json!({})),
        (Method::POST, at(&subscription, "/ping"), json!({"topicId": "contacts.created"})),
        (Method::POST, at(&subscription, "/activate"), json!({})),
        (Method::POST, at(&subscription, "/deactivate"), json!({})),
        (Method::POST, at(&subscription, "/secret/rotate"), json!({})),
        (Method::GET, at(&subscription, "/attempts"), json!({})),
        (Method::POST, at(&subscription, "/replay"), json!({"since": "2020-01-01T00:00:00Z"})),
        (Method::GET, format!("/webhooks/deliveries/{delivery}"), json!({})),
        (Method::POST, format!("/webhooks/deliveries/{delivery}/retry"), json!({})),
        (Method::GET, replay.clone(), json!({})),
        (Method::DELETE, replay, json!({})),
        (Method::GET, key.clone(), json!({})),
    ] {
        let theirs = send(&mut other, method.clone(), &path, &value).await;
        let nobodys =
            send(&mut other, method.clone(), &path.replace(['1', '2', '3', '4', '5', '6', '7', '8'], "9"), &value).await;
        assert_eq!((theirs.status.as_u16(), nobodys.status.as_u16()), (404, 404), "{method} {path}");
        assert_eq!(body(&theirs)["description"], body(&nobodys)["description"], "{method} {path}");
    }
    assert_eq!(get(&mut other, "/webhooks/subscriptions").await["totalCount"], 0);
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 1);
    assert_eq!(with(scene.shown(&subscription).await, json!({"secret": subscription["secret"]})), subscription, "unchanged");
    assert_eq!(scene.get(&key).await["keys"][0]["kty"], "OKP");
    for id in ["1", "1-", "-1", "0-1", "01-1", "1-1-1", "a-b", "99999999999999999999-1"] {
        assert_eq!(scene.app.get(&format!("/webhooks/deliveries/{id}"), &[]).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn a_token_that_names_a_customer_sees_and_makes_what_is_of_that_customer_alone() {
    let mut scene = Scene::start().await;
    let all = scene.subscribe(with(standard(&scene.receiver.url("/all")), json!({"customerIds": []}))).await;
    let mut bound = Caller { customer: Some("ABC".to_owned()), ..application(&scene.node.api, "app") };
    assert_eq!(bound.get(&at(&all, ""), &[]).await.status, 404);
    let wish = with(standard(&scene.receiver.url("/own")), json!({"customerIds": ["DEF"]}));
    let refused = send(&mut bound, Method::POST, "/webhooks/subscriptions", &wish).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "customerIds"));
    for customers in [json!(["ABC"]), json!([])] {
        let made = subscribe(&mut bound, with(wish.clone(), json!({"customerIds": customers}))).await;
        assert_eq!(made["customerIds"], json!(["ABC"]));
    }
    assert_eq!(get(&mut bound, "/webhooks/subscriptions").await["totalCount"], 2);
    assert_eq!(scene.get("/webhooks/subscriptions").await["totalCount"], 3);
    for customer in ["DEF", "ABC"] {
        scene.take(&contact(customer, customer)).await;
    }
    scene.receiver.wait_for("/own", 2).await;
    settle(&scene).await;
    assert_eq!(entities(&scene.receiver.received("/own")), ["ABC", "ABC"]);
}

#[tokio::test]
async fn subscriptions_are_listed_page_by_page() {
    let mut scene = Scene::start().await;
    for number in 0..30 {
        let wish = json!({"active": number % 3 == 0, "description": number.to_string()});
        scene.subscribe(with(standard(&scene.receiver.url("/a")), wish)).await;
        scene.leap(Duration::from_millis(1));
    }
    let page = scene.get("/webhooks/subscriptions").await;
    let count = |page: &Value| page["_embedded"].as_array().unwrap().len();
    assert_eq!(
        (count(&page), &page["pageCount"], &page["totalCount"], &page["totalPageCount"]),
        (25, &json!(25), &json!(30), &json!(2))
    );
    assert!(page["_embedded"][0].get("secret").is_none());
    let (mut path, mut seen) = ("/webhooks/subscriptions?active=true&pageSize=4".to_owned(), Vec::new());
    loop {
        let page = scene.get(&path).await;
        seen.extend(page["_embedded"].as_array().unwrap().iter().map(|shown| shown["description"].as_str().unwrap().to_owned()));
        match page["_links"]["next"]["href"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => break,
        }
    }
    let thirds: Vec<_> = (0..10).map(|number| (number * 3).to_string()).collect();
    assert_eq!(seen, thirds, "in the order in which they were made, the filter kept");
    assert_eq!(count(&scene.get("/webhooks/subscriptions?pageNumber=3").await), 0);
    for query in ["pageSize=0", "pageSize=101", "pageNumber=0", "pageNumber=x", "active=1", "colour=red"] {
        assert_eq!(scene.app.get(&format!("/webhooks/subscriptions?{query}"), &[]).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn other_methods_are_405_with_those_that_there_are() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let id = subscription["id"].as_str().unwrap();
    for (method, path, allowed) in [
        (Method::DELETE, "/webhooks/subscriptions".to_owned(), "GET, POST"),
        (Method::POST, format!("/webhooks/subscriptions/{id}"), "GET, PUT, DELETE"),
        (Method::PATCH, format!("/webhooks/subscriptions/{id}"), "GET, PUT, DELETE"),
        (Method::GET, format!("/webhooks/subscriptions/{id}/ping"), "POST"),
        (Method::GET, format!("/webhooks/subscriptions/{id}/activate"), "POST"),
        (Method::PUT, format!("/webhooks/subscriptions/{id}/deactivate"), "POST"),
        (Method::GET, format!("/webhooks/subscriptions/{id}/replay"), "POST"),
        (Method::GET, format!("/webhooks/subscriptions/{id}/secret/rotate"), "POST"),
        (Method::POST, format!("/webhooks/subscriptions/{id}/attempts"), "GET"),
        (Method::POST, "/webhooks/topics".to_owned(), "GET"),
        (Method::POST, "/webhooks/usage".to_owned(), "GET"),
        (Method::POST, "/webhooks/signing/x".to_owned(), "GET"),
        (Method::DELETE, "/webhooks/deliveries/1-1".to_owned(), "GET"),
        (Method::GET, "/webhooks/deliveries/1-1/retry".to_owned(), "POST"),
        (Method::POST, "/webhooks/replays/x".to_owned(), "GET, DELETE"),
        (Method::GET, "/events".to_owned(), "POST"),
    ] {
        let answer = bare(&mut scene.app, method.clone(), &path).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
    let mut bound = Caller { customer: Some("ABC".to_owned()), ..application(&scene.node.api, "app") };
    for (method, path, allowed) in [
        (Method::PUT, "/resthooks/", "GET, POST"),
        (Method::DELETE, "/resthooks", "GET, POST"),
        (Method::POST, "/resthooks/x", "GET, PUT, DELETE"),
    ] {
        let answer = bare(&mut bound, method, path).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(allowed)), "{path}");
    }
    for path in ["/webhooks", "/webhooks/nothing", "/webhooks/subscriptions/x/y/z", "/webhooksubscriptions"] {
        assert_eq!(scene.app.get(path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn resthooks_follow_reapits_contract() {
    let mut scene = Scene::start().await;
    let mut abc = Caller { customer: Some("ABC".to_owned()), ..application(&scene.node.api, "app") };
    let mut def = Caller { customer: Some("DEF".to_owned()), ..application(&scene.node.api, "app") };
    let wish = json!({"url": scene.receiver.url("/a"), "description": "first", "topicIds": ["contacts.created"]});
    let made = send(&mut abc, Method::POST, "/resthooks/", &wish).await;
    let hook = body(&made);
    let path = format!("/resthooks/{}", hook["id"].as_str().unwrap());
    assert_eq!((made.status.as_u16(), made.header("location")), (201, Some(path.as_str())));
    let members: Vec<_> = hook.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected =
        ["id", "created", "modified", "url", "description", "topicIds", "active", "ignoreEtagOnlyChanges"].map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!((&hook["active"], &hook["ignoreEtagOnlyChanges"]), (&json!(true), &json!(true)));
    assert_eq!(get(&mut abc, &path).await, hook);
    let refused = send(&mut abc, Method::POST, "/resthooks/", &with(wish.clone(), json!({"customerIds": ["ABC"]}))).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "customerIds"));
    let refused = send(&mut abc, Method::POST, "/resthooks/", &json!({"topicIds": ["contacts.created"]})).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "url"));

    scene.take(&contact("DEF", "not theirs")).await;
    scene.contact("C1").await;
    let received = scene.receiver.wait_for("/a", 1).await;
    assert_eq!(received[0].json()["entityId"], "C1", "bound to the customer, in Reapit's dress");
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(send(&mut def, method, &path, &wish).await.status, 404);
    }
    assert_eq!(get(&mut def, "/resthooks/").await["totalCount"], 0);
    assert_eq!(scene.app.get("/resthooks/", &[]).await.status, 400, "a token for all customers must name one");

    scene.leap(Duration::from_secs(1));
    let change = json!({"url": scene.receiver.url("/b"), "active": false});
    let changed = send(&mut abc, Method::PUT, &path, &change).await;
    assert_eq!((changed.status.as_u16(), changed.body.len()), (201, 0));
    let now = get(&mut abc, &path).await;
    assert_eq!((&now["url"], &now["active"], &now["description"]), (&change["url"], &json!(false), &json!("first")));
    assert_ne!(now["modified"], hook["modified"]);
    let gone = bare(&mut abc, Method::DELETE, &path).await;
    assert_eq!((gone.status.as_u16(), gone.body.len()), (201, 0));
    assert_eq!(abc.get(&path, &[]).await.status, 404);
}

#[tokio::test]
async fn resthooks_are_listed_with_reapits_links_sorted_and_filtered() {
    let scene = Scene::start().await;
    let mut abc = Caller { customer: Some("ABC".to_owned()), ..application(&scene.node.api, "app") };
    let mut ids = Vec::new();
    for number in 0..5 {
        let wish = json!({"url": scene.receiver.url("/a"), "topicIds": ["contacts.created"], "active": number % 2 == 0});
        ids.push(body(&send(&mut abc, Method::POST, "/resthooks/", &wish).await)["id"].as_str().unwrap().to_owned());
        scene.leap(Duration::from_secs(1));
    }
    // One of another profile is no rest hook.
    subscribe(&mut abc, with(standard(&scene.receiver.url("/b")), json!({"customerIds": ["ABC"]}))).await;
    let change = json!({"url": scene.receiver.url("/c")});
    assert_eq!(send(&mut abc, Method::PUT, &format!("/resthooks/{}", ids[1]), &change).await.status, 201);
    for (query, order) in [
        ("", vec![0, 1, 2, 3, 4]),
        ("?sortBy=created", vec![0, 1, 2, 3, 4]),
        ("?sortBy=-created", vec![4, 3, 2, 1, 0]),
        ("?SortBy=modified", vec![0, 2, 3, 4, 1]),
        ("?sortBy=-modified", vec![1, 4, 3, 2, 0]),
        ("?active=true", vec![0, 2, 4]),
        ("?active=false&sortBy=-created", vec![3, 1]),
        ("?PageNumber=2&PageSize=2", vec![2, 3]),
    ] {
        let page = get(&mut abc, &format!("/resthooks/{query}")).await;
        let listed: Vec<_> = page["_embedded"].as_array().unwrap().iter().map(|hook| hook["id"].as_str().unwrap()).collect();
        assert_eq!(listed, order.into_iter().map(|place| ids[place].as_str()).collect::<Vec<_>>(), "{query}");
    }
    let page = get(&mut abc, "/resthooks/?PageSize=2&active=true").await;
    assert_eq!((&page["pageNumber"], &page["pageSize"], &page["pageCount"]), (&json!(1), &json!(2), &json!(2)));
    assert_eq!((&page["totalPageCount"], &page["totalCount"]), (&json!(2), &json!(3)));
    let href = |name: &str| page["_links"][name]["href"].as_str().unwrap().to_owned();
    for (name, number) in [("self", 1), ("first", 1), ("next", 2), ("last", 2)] {
        assert_eq!(href(name), format!("/resthooks/?PageNumber={number}&PageSize=2&active=true"));
    }
    let last = get(&mut abc, &href("next")).await;
    assert_eq!((last["_embedded"][0]["id"].as_str().unwrap(), last["_links"].get("next")), (ids[4].as_str(), None));
    for query in ["sortBy=url", "active=yes", "pageSize=0", "colour=red"] {
        assert_eq!(abc.get(&format!("/resthooks/?{query}"), &[]).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn topics_are_listed_with_schema_and_example() {
    let scene = Scene::start().await;
    let mut app = application_with(&scene.node.api, "app", "notifications.telephony.read");
    let topics = get(&mut app, "/webhooks/topics").await;
    let ids: Vec<_> = topics["_embedded"].as_array().unwrap().iter().map(|topic| topic["id"].as_str().unwrap()).collect();
    let own = [
        "session.closed",
        "session.opened",
        "telephony.answeredCall",
        "telephony.endedCall",
        "telephony.incomingCall",
        "telephony.missedCall",
    ];
    assert_eq!(ids[2..8], own);
    assert!(ids[8..].iter().all(|id| id.starts_with("webhook.")), "how its own subscriptions are needs no scope: {ids:?}");
    let topic = &topics["_embedded"][7];
    assert_eq!((&topic["catalogue"], &topic["associatedScope"]), (&json!("bellwire"), &json!("notifications.telephony.read")));
    assert!(topic["schema"]["properties"].is_object() && topic["example"]["data"]["payload"].is_object(), "{topic:#}");
    assert!(!topic["name"].as_str().unwrap().is_empty() && !topic["description"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_secret_is_shown_when_it_is_made_and_never_again() {
    let mut scene = Scene::start().await;
    let given = format!("whsec_{}", STANDARD.encode([7; 32]));
    let made = scene.subscribe(with(standard(&scene.receiver.url("/a")), json!({"secret": given}))).await;
    let rotated = scene.post(&at(&made, "/secret/rotate"), &json!({})).await;
    let refused = send(&mut scene.app, Method::PUT, &at(&made, ""), &json!({"secret": given})).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "secret"), "it is rotated");
    let mut answers = vec![send(&mut scene.app, Method::PUT, &at(&made, ""), &json!({"description": "x"})).await];
    scene.contact("C1").await;
    scene.attempts(&made, 1).await;
    for (method, path) in [
        (Method::GET, at(&made, "")),
        (Method::GET, "/webhooks/subscriptions".to_owned()),
        (Method::POST, at(&made, "/deactivate")),
        (Method::POST, at(&made, "/activate")),
        (Method::GET, at(&made, "/attempts")),
        (Method::GET, "/webhooks/deliveries/1-1".to_owned()),
    ] {
        answers.push(bare(&mut scene.app, method, &path).await);
    }
    let mut operator = scene.operator();
    for path in ["/webhooks".to_owned(), format!("/webhooks/{}", made["id"].as_str().unwrap())] {
        answers.push(operator.get(&path, &[]).await);
    }
    assert_eq!(made["secret"], given.as_str());
    for answer in answers {
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("whsec_") && !text.contains("\"secret\""), "{text}");
        for secret in [&given, rotated["secret"].as_str().unwrap()] {
            assert!(!text.contains(secret.strip_prefix("whsec_").unwrap()), "{text}");
        }
    }
}

#[tokio::test]
async fn a_subscription_is_tried_out_ten_times_a_minute() {
    let mut scene = Scene::start().await;
    let (subscription, other) = (scene.standard("/a").await, scene.standard("/b").await);
    let ping = json!({"topicId": "contacts.created"});
    for _ in 0..10 {
        scene.post(&at(&subscription, "/ping"), &ping).await;
    }
    let refused = send(&mut scene.app, Method::POST, &at(&subscription, "/ping"), &ping).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("6")));
    scene.post(&at(&other, "/ping"), &ping).await;
    scene.leap(Duration::from_secs(6));
    scene.post(&at(&subscription, "/ping"), &ping).await;
    assert_eq!(send(&mut scene.app, Method::POST, &at(&subscription, "/ping"), &ping).await.status, 429);
    assert_eq!((scene.receiver.received("/a").len(), scene.receiver.received("/b").len()), (11, 1));
}

#[tokio::test]
async fn a_secret_is_rotated_only_where_there_is_one_and_for_a_week_at_most() {
    let mut scene = Scene::start().await;
    let (reapit, standard) = (scene.reapit("/a").await, scene.standard("/b").await);
    assert!(reapit.get("secret").is_none());
    assert_eq!(send(&mut scene.app, Method::POST, &at(&reapit, "/secret/rotate"), &json!({})).await.status, 409);
    let grace = |seconds: Value| (json!({"gracePeriodSeconds": seconds}), "gracePeriodSeconds");
    let wrong = [json!(604_801), json!(-1), json!(0.5), json!(1e300)].map(grace);
    for (wish, field) in wrong.into_iter().chain([(json!({"secret": "x"}), "secret")]) {
        let refused = send(&mut scene.app, Method::POST, &at(&standard, "/secret/rotate"), &wish).await;
        assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, field));
    }
    let refused = send(&mut scene.app, Method::POST, &at(&standard, "/secret/rotate"), &json!({"grace": 1})).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "grace"));
    let rotated = scene.post(&at(&standard, "/secret/rotate"), &json!({"gracePeriodSeconds": 604_800.0})).await;
    assert_eq!(until(&rotated["oldSecretUntil"], scene.node.clock.now()).as_secs(), 604_800);
}

#[tokio::test]
async fn subscriptions_are_bounded_for_each_application_and_in_all() {
    let mut scene = Scene::start_with(|config| config.webhooks.subscriptions_max = (2, 3)).await;
    let wish = standard(&scene.receiver.url("/a"));
    let first = scene.subscribe(wish.clone()).await;
    scene.subscribe(wish.clone()).await;
    let post = async |app: &mut Caller| send(app, Method::POST, "/webhooks/subscriptions", &wish).await.status.as_u16();
    assert_eq!(post(&mut scene.app).await, 409);
    let mut other = application(&scene.node.api, "other");
    assert_eq!([post(&mut other).await, post(&mut other).await], [201, 409]);
    assert_eq!(bare(&mut scene.app, Method::DELETE, &at(&first, "")).await.status, 204);
    let room = async { while post(&mut scene.app).await != 201 {} };
    tokio::time::timeout(PATIENCE, room).await.expect("there is room when the one that was taken away has ended");
}

#[tokio::test]
async fn what_does_not_fit_into_a_queue_is_suppressed_counted_and_can_be_replayed() {
    let mut scene = Scene::start_with(|config| config.webhooks.queue_max = 2).await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.contact("C1").await;
    scene.attempts(&subscription, 1).await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.contact("C2").await;
    scene.attempts(&subscription, 2).await;
    for id in ["C3", "C4"] {
        scene.contact(id).await;
    }
    assert_eq!(scene.get("/webhooks/deliveries/4-1").await["state"], "suppressed");
    assert_eq!(scene.shown(&subscription).await["queued"], 2);
    let metrics = scene.node.metrics().await;
    assert_eq!(metrics.value("bellwire_webhook_deliveries_suppressed_total"), 2.0);
    assert_eq!(metrics.value("bellwire_webhook_deliveries_queued"), 2.0);
    scene.leap(Duration::from_secs(60));
    scene.receiver.wait_for("/a", 4).await;
    settle(&scene).await;
    scene.post(&at(&subscription, "/replay"), &json!({"since": "2020-01-01T00:00:00Z"})).await;
    let mut told = entities(&scene.receiver.wait_for("/a", 6).await[4..]);
    told.sort_unstable();
    assert_eq!(told, ["C3", "C4"]);
}

#[tokio::test]
async fn attempts_are_found_by_outcome_topic_and_time() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let begin = scene.node.clock.now();
    scene.receiver.script("/a", [Reply::Status(200), Reply::Status(404), Reply::Status(200)]);
    for (count, event) in [contact("ABC", "C1"), renamed("ABC", "C2"), renamed("ABC", "C3")].iter().enumerate() {
        scene.take(event).await;
        scene.attempts(&subscription, count + 1).await;
        scene.leap(Duration::from_secs(1));
    }
    let at_second = |second: u64| (begin + Duration::from_secs(second)).to_string();
    for (query, deliveries) in [
        (String::new(), vec!["3-1", "2-1", "1-1"]),
        ("outcome=success".to_owned(), vec!["3-1", "1-1"]),
        ("outcome=failure".to_owned(), vec!["2-1"]),
        ("topicId=contacts.created".to_owned(), vec!["1-1"]),
        ("topicId=contacts.modified&outcome=success".to_owned(), vec!["3-1"]),
        (format!("since={}", at_second(1)), vec!["3-1", "2-1"]),
        (format!("until={}", at_second(1)), vec!["1-1"]),
        (format!("since={}&until={}", at_second(1), at_second(2)), vec!["2-1"]),
        ("topicId=nothing".to_owned(), vec![]),
    ] {
        let page = scene.get(&at(&subscription, &format!("/attempts?{query}"))).await;
        let found: Vec<_> = page["_embedded"].as_array().unwrap().iter().map(|one| one["deliveryId"].as_str().unwrap()).collect();
        assert_eq!(found, deliveries, "{query}");
    }
    let (mut path, mut seen) = (at(&subscription, "/attempts?pageSize=1&topicId=contacts.modified"), Vec::new());
    loop {
        let page = scene.get(&path).await;
        seen.extend(page["_embedded"].as_array().unwrap().iter().map(|one| one["deliveryId"].as_str().unwrap().to_owned()));
        match page["_links"]["next"]["href"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => break,
        }
    }
    assert_eq!(seen, ["3-1", "2-1"], "page by page, the filter kept");
    for query in ["outcome=maybe", "since=yesterday", "before=x", "pageSize=0", "colour=red"] {
        assert_eq!(scene.app.get(&at(&subscription, &format!("/attempts?{query}")), &[]).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_delivery_is_shown_with_its_request_and_all_its_attempts() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let refusal = b"HTTP/1.1 503 Busy\r\nx-why: \xe9\r\nset-cookie: id=1\r\ncontent-length: 5\r\n\r\n<b>no".to_vec();
    scene.receiver.script("/a", [Reply::Raw(refusal)]);
    scene.contact("C1").await;
    let delivery = scene.delivery(&subscription, 1).await;
    let received = &scene.receiver.received("/a")[0];
    for (member, value) in [
        ("subscriptionId", &subscription["id"]),
        ("webhookId", &json!(received.header("Webhook-Id"))),
        ("eventId", &received.json()["data"]["eventId"]),
        ("topicId", &json!("contacts.created")),
        ("customerId", &json!("ABC")),
        ("entityId", &json!("C1")),
        ("eventTime", &json!("2020-05-13T09:33:16.881Z")),
        ("state", &json!("queued")),
        ("sends", &json!(1)),
    ] {
        assert_eq!(&delivery[member], value, "{member}");
    }
    let request = &delivery["request"];
    assert_eq!(
        (&request["method"], &request["url"], &request["contentType"]),
        (&json!("POST"), &subscription["url"], &json!("application/json"))
    );
    assert_eq!(request["body"].as_str().unwrap().as_bytes(), received.body);
    let attempt = &delivery["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["outcome"], &attempt["sends"]), (&json!(503), &json!("failure"), &json!(1)));
    assert_eq!((&attempt["body"], &attempt["reused"]), (&json!("<b>no"), &json!(false)));
    let headers = json!([["x-why", "\u{fffd}"], ["set-cookie", "***"], ["content-length", "5"]]);
    assert_eq!(attempt["headers"], headers, "what is a secret, or no text, does not come through");
    let why = attempt["why"].as_str().unwrap();
    assert!(why.starts_with("retried in 5 s") && why.contains("503 is not success under the profile standard"), "{why}");
}

#[tokio::test]
async fn a_replay_is_refused_where_it_makes_no_sense() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let now = scene.node.clock.now().to_string();
    for (wish, status) in [
        (json!({}), 422),
        (json!({"since": "yesterday"}), 422),
        (json!({"since": now, "until": now}), 422),
        (json!({"since": now, "until": "2020-01-01T00:00:00Z"}), 422),
        (json!({"since": "2020-01-01T00:00:00Z", "status": "some"}), 422),
        (json!({"since": "2020-01-01T00:00:00Z", "colour": "red"}), 422),
    ] {
        let answer = send(&mut scene.app, Method::POST, &at(&subscription, "/replay"), &wish).await;
        assert_eq!(answer.status.as_u16(), status, "{wish}");
    }
    assert_eq!(scene.app.get("/webhooks/replays/nothing", &[]).await.status, 404);
    let wish = json!({"since": "2020-01-01T00:00:00Z"});
    let replay = scene.post(&at(&subscription, "/replay"), &wish).await;
    assert_eq!(bare(&mut scene.app, Method::DELETE, &at(&subscription, "")).await.status, 204);
    assert_eq!(send(&mut scene.app, Method::POST, &at(&subscription, "/replay"), &wish).await.status, 404);
    assert_eq!(scene.app.get(&format!("/webhooks/replays/{}", replay["id"].as_str().unwrap()), &[]).await.status, 404);
}

#[tokio::test]
async fn operators_see_try_and_replay_the_subscriptions_of_all() {
    let mut scene = Scene::start().await;
    let own = scene.standard("/a").await;
    scene.leap(Duration::from_secs(1));
    let mut other = application(&scene.node.api, "other");
    subscribe(&mut other, standard(&scene.receiver.url("/b"))).await;
    scene.contact("C1").await;
    scene.attempts(&own, 1).await;
    scene.leap(Duration::from_secs(1));
    let mut operator = scene.operator();
    let listed = get(&mut operator, "/webhooks").await;
    let whose: Vec<_> = listed.as_array().unwrap().iter().map(|shown| shown["applicationId"].as_str().unwrap()).collect();
    assert_eq!(whose, ["app", "other"]);
    let path = format!("/webhooks/{}", own["id"].as_str().unwrap());
    let shown = get(&mut operator, &path).await;
    assert_eq!((&shown["subscription"]["id"], &shown["attempts"][0]["ip"]), (&own["id"], &json!("127.0.0.1")));
    let pinged = send(&mut operator, Method::POST, &format!("{path}/ping"), &json!({})).await;
    assert_eq!((pinged.status.as_u16(), &body(&pinged)["success"]), (200, &json!(true)));
    let wish = json!({"since": "2020-01-01T00:00:00Z", "status": "all"});
    let replay = send(&mut operator, Method::POST, &format!("{path}/replay"), &wish).await;
    assert_eq!(replay.status, 200);
    let replay = format!("/webhooks/replays/{}", body(&replay)["id"].as_str().unwrap());
    let ended = async { while get(&mut operator, &replay).await["state"] != "done" {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("it is done");
    scene.receiver.wait_for("/a", 3).await;
    for (method, path, status) in [
        (Method::GET, "/webhooks/nobody", 404),
        (Method::GET, "/webhooks/replays/nothing", 404),
        (Method::POST, "/webhooks", 405),
        (Method::GET, "/webhooks/x/ping", 405),
    ] {
        assert_eq!(bare(&mut operator, method, path).await.status.as_u16(), status, "{path}");
    }
}
