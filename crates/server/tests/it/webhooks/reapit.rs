//! Reapit's webhooks, statement by statement: what is sent, to whom, and how often.

use tokio::net::TcpSocket;

use super::*;
use crate::receiver::Reply;

const PING_ENTITY: &str = "9e7e4181-6210-49ea-abf5-d5ce16d23647";

#[tokio::test]
async fn r01_a_url_without_tls_is_refused_when_it_is_made_and_when_it_is_changed() {
    let mut scene = Scene::start().await;
    let refused = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &reapit("http://hooks.example.com/")).await;
    assert_eq!(refused.status, 422);
    assert_eq!(faults(&refused)[0].0, "url");
    let subscription = scene.reapit("/a").await;
    let change = json!({"url": "http://hooks.example.com/"});
    let refused = send(&mut scene.app, Method::PUT, &at(&subscription, ""), &change).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "url"));
    assert_eq!(scene.shown(&subscription).await["url"], subscription["url"]);
}

/// Asserts that a request carries both proofs: the id of the application, and a signature over the bytes that came.
async fn assert_proved(scene: &mut Scene, received: &Received) {
    assert_eq!(received.header("Reapit-Webhook-Signature"), Some(STANDARD.encode("app").as_str()));
    let proof: Vec<_> = received.header("X-Signature").unwrap().split(':').collect();
    let [mark, key, timestamp, signature] = proof.as_slice() else { panic!("{proof:?}") };
    assert_eq!(*mark, "s");
    let keys = scene.get(&format!("/webhooks/signing/{key}")).await;
    let message = [timestamp.as_bytes(), &received.body].concat();
    assert!(is_signed_by(keys["keys"][0]["x"].as_str().unwrap(), signature, &message));
    assert_eq!(received.header("Content-Type"), Some("application/json"));
}

#[tokio::test]
async fn r02_each_request_is_proved_by_the_client_id_and_the_applications_key_the_retry_and_the_ping_as_well() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.contact("C1").await;
    scene.leap_to_next(&subscription, 1).await;
    scene.receiver.wait_for("/a", 2).await;
    scene.post(&at(&subscription, "/ping"), &json!({"topicId": "contacts.created"})).await;
    let received = scene.receiver.wait_for("/a", 3).await;
    for received in &received {
        assert_proved(&mut scene, received).await;
    }
    let at = |place: usize| received[place].header("X-Signature").unwrap().split(':').nth(2).unwrap().parse::<i64>().unwrap();
    assert_eq!(at(1) - at(0), 60, "signed anew when it is sent");
}

#[tokio::test]
async fn r03_two_applications_on_one_url_get_their_own_value() {
    let mut scene = Scene::start().await;
    scene.reapit("/a").await;
    let mut other = application(&scene.node.api, "other");
    subscribe(&mut other, reapit(&scene.receiver.url("/a"))).await;
    scene.contact("C1").await;
    let received = scene.receiver.wait_for("/a", 2).await;
    let mut values: Vec<_> = received.iter().map(|received| received.header("Reapit-Webhook-Signature").unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, [STANDARD.encode("app"), STANDARD.encode("other")]);
    let key = |received: &Received| received.header("X-Signature").unwrap().split(':').nth(1).unwrap().to_owned();
    assert_ne!(key(&received[0]), key(&received[1]), "each application has a key of its own");
}

#[tokio::test]
async fn r04_r05_r06_a_topic_needs_its_scope_to_be_listed_and_chosen_and_installations_need_none() {
    let scene = Scene::start().await;
    let mut app = application_with(&scene.node.api, "app", "contacts.read tenancies.read");
    let topics = get(&mut app, "/webhooks/topics").await;
    let ids: Vec<_> = topics["_embedded"].as_array().unwrap().iter().map(|topic| topic["id"].as_str().unwrap()).collect();
    for (topic, may) in [
        ("contacts.created", true),
        ("application.install", true),
        ("application.uninstall", true),
        ("tenancies.created", true),
        ("tenancies.modified", false),
        ("offers.created", false),
        ("telephony.missedCall", false),
    ] {
        assert_eq!(ids.contains(&topic), may, "{topic}");
        let wish = json!({"url": scene.receiver.url("/a"), "topicIds": ["contacts.created", topic]});
        let wish = if topic == "contacts.created" { with(wish, json!({"topicIds": [topic]})) } else { wish };
        let answer = send(&mut app, Method::POST, "/webhooks/subscriptions", &wish).await;
        assert_eq!(answer.status.as_u16(), if may { 201 } else { 422 }, "{topic}");
        if !may {
            assert_eq!(faults(&answer)[0].0, "topicIds[1]");
        }
    }
    let mut writer = application_with(&scene.node.api, "app", "tenancies.write");
    subscribe(&mut writer, json!({"url": scene.receiver.url("/a"), "topicIds": ["tenancies.modified"]})).await;
}

#[tokio::test]
async fn r07_revoking_a_scope_stops_that_topic_and_what_is_queued_of_it() {
    let mut scene = Scene::start_strict().await;
    let topics = json!({"topicIds": ["contacts.created", "applicants.created"]});
    let subscription = scene.subscribe(with(reapit(&scene.receiver.url("/a")), topics)).await;
    let applicant = with(contact("ABC", "A"), json!({"topic": "applicants.created", "new": {"id": "A"}}));
    scene.receiver.script("/a", [Reply::Status(500), Reply::Status(404)]);
    for (count, id) in ["waits", "dead"].into_iter().enumerate() {
        scene.contact(id).await;
        scene.attempts(&subscription, count + 1).await;
    }
    scene.grant("app", "applicants.read events.reapit.write").await;
    scene.contact("C1").await;
    scene.take(&applicant).await;
    scene.receiver.wait_for("/a", 3).await;
    scene.leap(Duration::from_secs(60));
    let ended = async { while scene.get("/webhooks/deliveries/1-1").await["state"] != "suppressed" {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("what waits is not sent");
    let since = json!({"since": "2020-01-01T00:00:00Z", "status": "all"});
    scene.post(&at(&subscription, "/replay"), &since).await;
    scene.receiver.wait_for("/a", 4).await;
    settle(&scene).await;
    assert_eq!(entities(&scene.receiver.received("/a")), ["waits", "dead", "A", "A"], "nor by a replay");
    scene.grant("app", SCOPES).await;
    scene.contact("C2").await;
    let received = scene.receiver.wait_for("/a", 5).await;
    assert_eq!(entities(&received)[4], "C2");
}

#[tokio::test]
async fn r08_a_subscription_without_topics_is_refused() {
    let mut scene = Scene::start().await;
    for topics in [json!({"topicIds": []}), json!({"topicIds": null}), json!({})] {
        let mut wish = reapit(&scene.receiver.url("/a"));
        wish.as_object_mut().unwrap().remove("topicIds");
        let answer = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &with(wish, topics)).await;
        assert_eq!((answer.status.as_u16(), faults(&answer)[0].0.as_str()), (422, "topicIds"));
    }
}

#[tokio::test]
async fn r09_r11_r30_a_subscription_is_told_of_its_customers_and_of_the_sandbox_only_if_it_names_it() {
    let mut scene = Scene::start().await;
    for (path, customers) in
        [("/abc", json!(["ABC"])), ("/all", json!([])), ("/sandbox", json!(["SBOX"])), ("/both", json!(["ABC", "SBOX"]))]
    {
        scene.subscribe(with(reapit(&scene.receiver.url(path)), json!({"customerIds": customers}))).await;
    }
    let in_sandbox = with(contact("ABC", "C1"), json!({"environment": "sandbox"}));
    for event in [contact("ABC", "C1"), contact("DEF", "C1"), contact("SBOX", "C1"), in_sandbox] {
        scene.take(&event).await;
    }
    for (path, customers) in [
        ("/abc", vec!["ABC"]),
        ("/all", vec!["ABC", "DEF"]),
        ("/sandbox", vec!["ABC", "SBOX"]),
        ("/both", vec!["ABC", "ABC", "SBOX"]),
    ] {
        scene.receiver.wait_for(path, customers.len()).await;
        settle(&scene).await;
        let received = scene.receiver.received(path);
        let mut told: Vec<_> =
            received.iter().map(|received| received.json()["customerId"].as_str().unwrap().to_owned()).collect();
        told.sort_unstable();
        assert_eq!(told, customers, "{path}");
        assert!(entities(&received).iter().all(|entity| entity == "C1"));
    }
}

#[tokio::test]
async fn r10_a_customer_that_installs_later_is_told_without_a_change_and_the_sandbox_never_is() {
    let mut scene = Scene::start_strict().await;
    scene.grant("crm", "events.reapit.write").await;
    for customer in ["ABC", "XYZ", "SBOX"] {
        scene.install("crm", customer).await;
    }
    let mut crm = application(&scene.node.api, "crm");
    scene.subscribe(with(reapit(&scene.receiver.url("/a")), json!({"customerIds": []}))).await;
    for event in [contact("XYZ", "before"), contact("SBOX", "sandbox"), contact("ABC", "installed")] {
        assert_eq!(report(&mut crm, &event).await.status, 202);
    }
    scene.receiver.wait_for("/a", 1).await;
    scene.install("app", "XYZ").await;
    assert_eq!(report(&mut crm, &contact("XYZ", "after")).await.status, 202);
    scene.receiver.wait_for("/a", 2).await;
    settle(&scene).await;
    assert_eq!(entities(&scene.receiver.received("/a")), ["installed", "after"]);
}

#[tokio::test]
async fn r12_a_customer_that_has_not_installed_the_application_cannot_be_chosen() {
    let mut scene = Scene::start_strict().await;
    let wish = with(reapit(&scene.receiver.url("/a")), json!({"customerIds": ["ABC", "XYZ"]}));
    let answer = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &wish).await;
    assert_eq!(answer.status, 422);
    assert_eq!(faults(&answer), [("customerIds[1]".to_owned(), "XYZ has not installed this application".to_owned())]);
    scene.install("app", "XYZ").await;
    scene.subscribe(wish).await;
}

#[tokio::test]
async fn r13_an_inactive_subscription_is_told_nothing_and_can_be_tried_out() {
    let mut scene = Scene::start().await;
    let inactive = scene.subscribe(with(reapit(&scene.receiver.url("/a")), json!({"active": false}))).await;
    scene.reapit("/b").await;
    scene.contact("C1").await;
    scene.receiver.wait_for("/b", 1).await;
    settle(&scene).await;
    assert!(scene.receiver.received("/a").is_empty());
    assert_eq!(scene.get("/webhooks/deliveries/1-1").await["state"], "suppressed");
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_suppressed_total"), 1.0);
    let pinged = scene.post(&at(&inactive, "/ping"), &json!({"topicId": "contacts.created"})).await;
    assert_eq!((&pinged["success"], &pinged["status"]), (&json!(true), &json!(200)));
    scene.post(&at(&inactive, "/activate"), &json!({})).await;
    scene.contact("C2").await;
    let received = scene.receiver.wait_for("/a", 2).await;
    assert_eq!(entities(&received), [PING_ENTITY, "C2"]);
}

#[tokio::test]
async fn r14_r15_a_ping_brings_the_example_of_a_topic_of_the_subscription() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.post(&at(&subscription, "/ping"), &json!({"topicId": "contacts.modified"})).await;
    let body = scene.receiver.wait_for("/a", 1).await[0].json();
    let topics = scene.get("/webhooks/topics").await;
    let topic = topics["_embedded"].as_array().unwrap().iter().find(|topic| topic["id"] == "contacts.modified").unwrap();
    for (member, value) in [
        ("customerId", &json!("webhook-test")),
        ("entityId", &json!(PING_ENTITY)),
        ("topicId", &json!("contacts.modified")),
        ("SendAttempts", &json!(1)),
        ("new", &topic["example"]["new"]),
        ("old", &topic["example"]["old"]),
    ] {
        assert_eq!(&body[member], value, "{member}");
    }
    let refused = send(&mut scene.app, Method::POST, &at(&subscription, "/ping"), &json!({"topicId": "offers.created"})).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "topicId"));
    assert_eq!(scene.receiver.received("/a").len(), 1);
}

#[tokio::test]
async fn r16_a_ping_is_judged_shown_with_its_time_and_nothing_else() {
    let mut scene = Scene::start().await;
    for wish in [reapit(&scene.receiver.url("/a")), standard(&scene.receiver.url("/a"))] {
        let subscription = scene.subscribe(wish).await;
        for status in [200, 204, 302, 404, 410, 500] {
            scene.receiver.script("/a", [Reply::Status(status)]);
            let pinged = scene.post(&at(&subscription, "/ping"), &json!({"topicId": "contacts.created"})).await;
            assert_eq!((&pinged["success"], &pinged["status"]), (&json!(status < 300), &json!(status)));
            assert!(pinged["phases"]["firstByte"].as_f64().unwrap() > 0.0, "{pinged}");
            assert!(pinged.get("ip").is_none() && pinged.get("detail").is_none(), "{pinged}");
        }
        let count = scene.receiver.received("/a").len();
        settle(&scene).await;
        scene.pass(1000).await;
        settle(&scene).await;
        assert_eq!(scene.receiver.received("/a").len(), count, "a ping is never retried");
        assert!(scene.attempts(&subscription, 0).await.is_empty());
        let shown = scene.shown(&subscription).await;
        assert_eq!(shown["health"]["state"], "healthy", "also after 410");
        bare(&mut scene.app, Method::DELETE, &at(&subscription, "")).await;
    }
}

#[tokio::test]
async fn r17_r18_attempts_are_counted_and_follow_60_120_300_600_900() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.usually("/a", Reply::Status(500));
    scene.contact("C1").await;
    for (attempt, wait) in [(1, 60), (2, 120), (3, 300), (4, 600), (5, 900)] {
        let received = scene.receiver.wait_for("/a", attempt).await;
        assert_eq!(received.len(), attempt);
        assert_eq!(received[attempt - 1].json()["SendAttempts"], attempt, "r17");
        settle(&scene).await;
        scene.pass(wait - 1).await;
        settle(&scene).await;
        assert_eq!(scene.receiver.received("/a").len(), attempt, "not before {wait} s");
        scene.pass(1).await;
    }
    scene.receiver.wait_for("/a", 6).await;
    settle(&scene).await;
    scene.pass(7200).await;
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 6, "no seventh");
    let delivery = scene.delivery(&subscription, 6).await;
    assert_eq!((&delivery["state"], &delivery["sends"], &delivery["nextAttemptAt"]), (&json!("dead"), &json!(6), &json!(null)));
    let why = delivery["attempts"][5]["why"].as_str().unwrap();
    assert!(why.starts_with("not retried") && why.contains("attempt 6 of 6"), "{why}");
}

#[tokio::test]
async fn r19_what_is_no_4xx_is_retried_after_a_minute() {
    let mut scene = Scene::start().await;
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut urls = vec![
        format!("http://127.0.0.1:{}/", closed.local_addr().unwrap().port()),
        scene.receiver.url("/").replace("http:", "https:"),
    ];
    for status in [300, 301, 304, 307, 399, 500, 502, 503, 599] {
        scene.receiver.usually(&format!("/{status}"), Reply::Status(status));
        urls.push(scene.receiver.url(&format!("/{status}")));
    }
    for (path, reply) in [("/hang", Reply::Hang), ("/close", Reply::Close), ("/no-http", Reply::Raw(b"hello\r\n\r\n".to_vec()))] {
        scene.receiver.usually(path, reply);
        urls.push(scene.receiver.url(path));
    }
    let mut subscriptions = Vec::new();
    for url in urls {
        subscriptions.push(scene.subscribe(reapit(&url)).await);
    }
    scene.contact("C1").await;
    // The one that hangs, and the one that waits for TLS from a receiver without.
    in_flight(&scene, 2.0).await;
    scene.pass(10).await;
    for subscription in &subscriptions {
        let delivery = scene.delivery(subscription, 1).await;
        assert_eq!(delivery["state"], "queued", "{delivery:#}");
        let attempt = &delivery["attempts"][0];
        let wait = until(&delivery["nextAttemptAt"], attempt["at"].as_str().unwrap().parse().unwrap());
        let url = subscription["url"].as_str().unwrap();
        let took = if url.ends_with("/hang") { 10 } else { 3 * u64::from(url.starts_with("https:")) };
        assert_eq!(wait.as_secs(), took + 60, "{delivery:#}");
        let why = attempt["why"].as_str().unwrap();
        assert!(why.starts_with("retried in 60 s"), "{why}");
    }
}

#[tokio::test]
async fn r20_r21_a_4xx_ends_a_delivery_whenever_it_comes() {
    let mut scene = Scene::start().await;
    let mut subscriptions = Vec::new();
    for status in [400, 401, 403, 404, 408, 409, 410, 429, 499] {
        let path = format!("/{status}");
        scene
            .receiver
            .usually(&path, Reply::Raw(format!("HTTP/1.1 {status} X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n").into()));
        subscriptions.push((scene.reapit(&path).await, path, 1));
    }
    scene.receiver.script("/later", [Reply::Status(500), Reply::Status(404)]);
    let later = scene.reapit("/later").await;
    scene.contact("C1").await;
    scene.leap_to_next(&later, 1).await;
    subscriptions.push((later, "/later".to_owned(), 2));
    for (subscription, path, attempts) in &subscriptions {
        let delivery = scene.delivery(subscription, *attempts).await;
        assert_eq!((&delivery["state"], &delivery["nextAttemptAt"]), (&json!("dead"), &json!(null)), "{path}");
        let why = delivery["attempts"][attempts - 1]["why"].as_str().unwrap();
        assert!(why.contains("is final under the profile reapit"), "{why}");
        assert_eq!(scene.shown(subscription).await["health"]["state"], "healthy", "{path}");
    }
    settle(&scene).await;
    scene.pass(4000).await;
    settle(&scene).await;
    for (_, path, attempts) in &subscriptions {
        assert_eq!(scene.receiver.received(path).len(), *attempts, "{path}");
    }
}

#[tokio::test]
async fn r22_an_event_of_a_sandbox_is_never_retried() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.usually("/a", Reply::Status(500));
    for event in [contact("SBOX", "C1"), with(contact("ABC", "C2"), json!({"environment": "sandbox"}))] {
        scene.take(&event).await;
    }
    for attempt in scene.attempts(&subscription, 2).await {
        let why = attempt["why"].as_str().unwrap();
        assert!(why.starts_with("not retried") && why.contains("does not retry events of a sandbox"), "{why}");
    }
    settle(&scene).await;
    scene.pass(1000).await;
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 2);
}

#[tokio::test]
async fn r23_a_success_is_the_last_attempt() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(500), Reply::Status(202)]);
    scene.contact("C1").await;
    scene.leap_to_next(&subscription, 1).await;
    let delivery = scene.delivery(&subscription, 2).await;
    assert_eq!((&delivery["state"], &delivery["nextAttemptAt"]), (&json!("delivered"), &json!(null)));
    settle(&scene).await;
    scene.pass(4000).await;
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), 2);
}

#[tokio::test]
async fn r24_r31_r35_the_body_is_reapits_member_by_member() {
    let mut scene = Scene::start().await;
    scene.reapit("/a").await;
    let gone = json!({"old": {"id": "C3"}, "new": null});
    let mut deleted = with(renamed("ABC", "C3"), gone);
    deleted.as_object_mut().unwrap().remove("new");
    let mut bodies = Vec::new();
    for (count, event) in [contact("ABC", "C1"), renamed("ABC", "C2"), deleted].iter().enumerate() {
        scene.take(event).await;
        let received = scene.receiver.wait_for("/a", count + 1).await;
        bodies.push(String::from_utf8(received[count].body.clone()).unwrap());
    }
    let id = |body: &str| body.split("\"eventId\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let head = |entity: &str, body: &str, topic: &str| {
        format!(
            "{{\"SendAttempts\":1,\"eventId\":\"{}\",\"entityId\":\"{entity}\",\"customerId\":\"ABC\",\
             \"eventTime\":\"2020-05-13T09:33:16.8811358Z\",\"topicId\":\"{topic}\",",
            id(body)
        )
    };
    let created = head("C1", &bodies[0], "contacts.created");
    assert_eq!(bodies[0], format!("{created}\"new\":{{\"id\":\"C1\",\"surname\":\"Smith\"}},\"old\":null,\"diff\":null}}"));
    let modified = head("C2", &bodies[1], "contacts.modified");
    assert!(bodies[1].starts_with(&modified), "{}", bodies[1]);
    let diff = r#""diff":{"_eTag":["\"1\"","\"2\""],"surname":["Smith","Jones"]}}"#;
    assert!(bodies[1].ends_with(diff), "{}", bodies[1]);
    let deleted = head("C3", &bodies[2], "contacts.modified");
    assert_eq!(bodies[2], format!("{deleted}\"new\":null,\"old\":{{\"id\":\"C3\"}},\"diff\":null}}"));
}

#[tokio::test]
async fn r35_values_stand_in_the_body_as_they_were_reported() {
    let mut scene = Scene::start().await;
    scene.reapit("/a").await;
    let new = r#"{"id": "C1", "z": 1.10,"a":1e2,  "large": 12345678901234567890123, "text": "\u00fc\/ü"}"#;
    let event = contact("ABC", "C1").to_string().replace(r#"{"id":"C1","surname":"Smith"}"#, new);
    assert!(event.contains(new), "{event}");
    assert_eq!(scene.app.send(Method::POST, "/events", event, &[JSON]).await.status, 202);
    let body = String::from_utf8(scene.receiver.wait_for("/a", 1).await[0].body.clone()).unwrap();
    assert!(body.contains(&format!("\"new\":{new},")), "{body}");
}

#[tokio::test]
async fn r26_r27_a_change_of_nothing_but_the_stamps_is_told_only_to_those_who_ask() {
    let mut scene = Scene::start().await;
    scene.reapit("/usual").await;
    scene.subscribe(with(reapit(&scene.receiver.url("/all")), json!({"ignoreEtagOnlyChanges": false}))).await;
    let stamps = json!({
        "old": {"id": "C1", "surname": "Smith", "modified": "2020-05-13T09:00:00Z", "_eTag": "\"1\""},
        "new": {"id": "C1", "surname": "Smith", "modified": "2020-05-13T09:33:16Z", "_eTag": "\"2\""},
    });
    scene.take(&with(renamed("ABC", "C1"), stamps)).await;
    scene.take(&renamed("ABC", "C2")).await;
    let all = scene.receiver.wait_for("/all", 2).await;
    scene.receiver.wait_for("/usual", 1).await;
    settle(&scene).await;
    assert_eq!(entities(&all), ["C1", "C2"]);
    assert_eq!(entities(&scene.receiver.received("/usual")), ["C2"]);
}

#[tokio::test]
async fn r28_a_renamed_contact_is_told_of_as_each_of_its_roles_under_one_event_id() {
    let mut scene = Scene::start().await;
    let topics = ["contacts.modified", "applicants.modified", "landlords.modified", "vendors.modified"];
    scene.subscribe(with(reapit(&scene.receiver.url("/a")), json!({"topicIds": topics}))).await;
    let role =
        |topic: &str, id: &str| json!({"topic": topic, "entityId": id, "old": {"id": id}, "new": {"id": id, "active": true}});
    let related = [role(topics[1], "APP1"), role(topics[2], "LLD1"), role(topics[3], "VEN1")];
    scene.take(&with(renamed("ABC", "C1"), json!({"related": related}))).await;
    let received = scene.receiver.wait_for("/a", 4).await;
    let bodies: Vec<_> = received.iter().map(Received::json).collect();
    let mut told: Vec<_> =
        bodies.iter().map(|body| (body["topicId"].as_str().unwrap(), body["entityId"].as_str().unwrap())).collect();
    told.sort_unstable();
    let expected = [(topics[1], "APP1"), (topics[0], "C1"), (topics[2], "LLD1"), (topics[3], "VEN1")];
    assert_eq!(told, expected);
    assert!(bodies.iter().all(|body| body["eventId"] == bodies[0]["eventId"]), "{bodies:#?}");
}

#[tokio::test]
async fn r29_an_appointment_that_is_created_cancelled_is_told_of_as_both() {
    let mut scene = Scene::start().await;
    let topics = ["appointments.created", "appointments.cancelled", "appointments.confirmed"];
    scene.subscribe(with(reapit(&scene.receiver.url("/a")), json!({"topicIds": topics}))).await;
    let appointment = json!({"topic": "appointments.created", "new": {"id": "A1", "cancelled": true}});
    scene.take(&with(contact("ABC", "A1"), appointment)).await;
    scene.receiver.wait_for("/a", 2).await;
    settle(&scene).await;
    let bodies: Vec<_> = scene.receiver.received("/a").iter().map(Received::json).collect();
    let mut told: Vec<_> = bodies.iter().map(|body| body["topicId"].as_str().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, ["appointments.cancelled", "appointments.created"]);
    assert_eq!(bodies[0]["eventId"], bodies[1]["eventId"]);
}

#[tokio::test]
async fn r31_r32_the_event_time_is_that_of_the_event_and_puts_late_attempts_in_order() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    for (attempts, second) in [(1, 1), (2, 2)] {
        let time = format!("2020-05-13T09:33:0{second}.0000001Z");
        scene.take(&with(renamed("ABC", "C1"), json!({"occurredAt": time}))).await;
        scene.attempts(&subscription, attempts).await;
    }
    scene.leap(Duration::from_secs(60));
    let received = scene.receiver.wait_for("/a", 3).await;
    let times: Vec<_> = received.iter().map(|received| received.json()["eventTime"].as_str().unwrap().to_owned()).collect();
    let (first, second) = ("2020-05-13T09:33:01.0000001Z", "2020-05-13T09:33:02.0000001Z");
    assert_eq!(times, [first, second, first], "the retry of the first comes last, and says when it happened");
}

#[tokio::test]
async fn r33_a_duplicate_has_the_same_event_id_and_topic() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    scene.contact("C1").await;
    let delivery = scene.delivery(&subscription, 1).await;
    scene.post(&format!("/webhooks/deliveries/{}/retry", delivery["id"].as_str().unwrap()), &json!({})).await;
    let received = scene.receiver.wait_for("/a", 2).await;
    let [first, second] = [received[0].json(), received[1].json()];
    for member in ["eventId", "topicId", "entityId", "customerId", "eventTime"] {
        assert_eq!(first[member], second[member], "{member}");
    }
    assert_eq!((&first["SendAttempts"], &second["SendAttempts"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn r34_what_was_sent_is_counted_for_the_application_by_day() {
    let mut scene = Scene::start().await;
    let subscription = scene.reapit("/a").await;
    let mut other = application(&scene.node.api, "other");
    subscribe(&mut other, reapit(&scene.receiver.url("/b"))).await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.contact("C1").await;
    scene.contact("C2").await;
    // The retry is due a minute after what failed: that must have failed before.
    scene.attempts(&subscription, 2).await;
    scene.leap(Duration::from_secs(60));
    scene.attempts(&subscription, 3).await;
    settle(&scene).await;
    let today = scene.node.clock.now().to_string()[..10].to_owned();
    let usage = scene.get(&format!("/webhooks/usage?from=2020-01-01&to={today}")).await;
    let sends =
        |usage: &Value| usage["_embedded"].as_array().unwrap().iter().map(|day| day["sends"].as_i64().unwrap()).sum::<i64>();
    assert_eq!(sends(&usage), 3, "retries as well: {usage}");
    assert_eq!(sends(&get(&mut other, &format!("/webhooks/usage?from=2020-01-01&to={today}")).await), 2);
    assert_eq!(sends(&scene.get("/webhooks/usage?from=2020-01-01&to=2020-01-02").await), 0);
    assert_eq!(scene.app.get("/webhooks/usage?from=yesterday", &[]).await.status, 400);
}
