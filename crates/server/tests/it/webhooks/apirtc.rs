//! ApiRTC's webhook, statement by statement: the one hook of a company, and what it is told.

use super::*;
use crate::receiver::Reply;

const HOOK: &str = "/apirtc/webhook";
const OBJECTS: [&str; 3] = ["ticket", "media", "conversation"];
const EVENTS: [&str; 3] = ["create", "update", "delete"];

/// The application "app" as it speaks for a company.
fn company(scene: &Scene, id: &str) -> Caller {
    Caller { customer: Some(id.to_owned()), ..application(&scene.node.api, "app") }
}

/// Asks something of company ABC's hook.
async fn ask(scene: &Scene, method: Method, wish: &Value) -> CallAnswer {
    send(&mut company(scene, "ABC"), method, HOOK, wish).await
}

/// Sets company ABC's hook, which is to be taken. Returns its subscription.
async fn set(scene: &Scene, wish: &Value) -> Value {
    let answer = ask(scene, Method::PUT, wish).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    json!({"id": body(&answer)["subscriptionId"]})
}

/// The same, active and to this path.
async fn set_to(scene: &Scene, path: &str) -> Value {
    set(scene, &to(scene, path)).await
}

/// A wish for an active hook to this path.
fn to(scene: &Scene, path: &str) -> Value {
    json!({"enabled": true, "url": scene.receiver.url(path)})
}

/// A report of company ABC.
fn event(topic: &str, id: &str, props: &Value) -> Value {
    json!({
        "catalogue": "apirtc", "topic": topic, "customerId": "ABC", "entityId": id,
        "occurredAt": "2019-12-10T11:13:33Z", "data": props,
    })
}

/// The documented ticket.
fn ticket() -> Value {
    event("ticket.update", "100", &json!({"state": "invited"}))
}

fn text(received: &Received) -> &str {
    std::str::from_utf8(&received.body).unwrap()
}

#[tokio::test]
async fn a01_an_active_hook_needs_a_url_and_an_inactive_one_does_not() {
    let scene = Scene::start().await;
    for wish in [json!({"enabled": true}), json!({"enabled": true, "url": null}), json!({"enabled": true, "url": ""})] {
        let refused = ask(&scene, Method::PUT, &wish).await;
        assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "url"), "{wish}");
    }
    let none = json!({"enabled": false, "url": null, "headers": {}});
    for wish in [json!({}), json!({"enabled": false}), json!({"enabled": false, "url": ""})] {
        let answer = ask(&scene, Method::PUT, &wish).await;
        assert_eq!((answer.status.as_u16(), body(&answer)), (200, none.clone()), "{wish}");
    }
    let inactive = with(to(&scene, "/a"), json!({"enabled": false}));
    set(&scene, &inactive).await;
    let shown = get(&mut company(&scene, "ABC"), HOOK).await;
    assert_eq!((&shown["enabled"], &shown["url"]), (&json!(false), &inactive["url"]));
    let refused = ask(&scene, Method::PUT, &json!({"enabled": true})).await;
    assert_eq!(refused.status, 422, "a url is not taken from the hook that it replaces");
    assert_eq!(get(&mut company(&scene, "ABC"), HOOK).await, shown, "what is refused changes nothing");
}

#[tokio::test]
async fn a02_a_company_has_one_hook_which_put_replaces() {
    let mut scene = Scene::start().await;
    let [a, b, other] = ["/a", "/b", "/other"].map(|path| to(&scene, path));
    let made = ask(&scene, Method::POST, &a).await;
    assert_eq!(made.status, 201);
    assert_eq!(ask(&scene, Method::POST, &b).await.status, 409);
    let replaced = ask(&scene, Method::PUT, &b).await;
    assert_eq!(replaced.status, 200);
    assert_eq!(body(&replaced), with(body(&made), json!({"url": b["url"]})), "the same hook, elsewhere");
    assert_eq!(send(&mut company(&scene, "DEF"), Method::POST, HOOK, &other).await.status, 201, "another company has its own");
    let mut another = Caller { customer: Some("ABC".to_owned()), ..application(&scene.node.api, "another") };
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(send(&mut another, method, HOOK, &a).await.status, 409, "whichever application made it");
    }
    scene.take(&ticket()).await;
    scene.receiver.wait_for("/b", 1).await;
    settle(&scene).await;
    assert!(scene.receiver.received("/a").is_empty() && scene.receiver.received("/other").is_empty());
    for status in [204, 404] {
        assert_eq!(bare(&mut company(&scene, "ABC"), Method::DELETE, HOOK).await.status, status);
    }
    assert_eq!(ask(&scene, Method::POST, &a).await.status, 201);
}

#[tokio::test]
async fn a02_of_two_who_make_the_hook_at_once_one_does() {
    let scene = Scene::start().await;
    let (mut one, mut other) = (company(&scene, "ABC"), company(&scene, "ABC"));
    let wish = to(&scene, "/a");
    let (first, second) = tokio::join!(send(&mut one, Method::POST, HOOK, &wish), send(&mut other, Method::POST, HOOK, &wish));
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn a02_the_hook_is_set_for_a_company_by_who_may_be_told_of_it_and_in_no_other_way() {
    let mut scene = Scene::start_strict().await;
    let wish = to(&scene, "/a");
    assert_eq!(send(&mut scene.app, Method::PUT, HOOK, &wish).await.status, 400, "the company must be named");
    assert_eq!(send(&mut company(&scene, "XYZ"), Method::PUT, HOOK, &wish).await.status, 403, "not installed there");
    let mut writer = application_with(&scene.node.api, "app", "events.apirtc.write");
    writer.customer = Some("ABC".to_owned());
    assert_eq!(send(&mut writer, Method::PUT, HOOK, &wish).await.status, 403, "without the scope");
    let refused = ask(&scene, Method::PUT, &with(wish.clone(), json!({"colour": "red"}))).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "colour"));
    let other = ask(&scene, Method::PATCH, &wish).await;
    assert_eq!((other.status.as_u16(), other.header("allow")), (405, Some("GET, POST, PUT, DELETE")));
    let native = json!({"url": wish["url"], "profile": "apirtc", "topicIds": ["ticket.update"]});
    let refused = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &native).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "profile"));
    set(&scene, &wish).await;
    scene.take(&ticket()).await;
    scene.receiver.wait_for("/a", 1).await;
}

#[tokio::test]
async fn a03_user_agent_and_content_type_are_byte_for_byte() {
    let mut scene = Scene::start().await;
    let hook = set_to(&scene, "/a").await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.take(&ticket()).await;
    scene.leap_to_next(&hook, 1).await;
    for received in scene.receiver.wait_for("/a", 2).await {
        assert_eq!(received.head.lines().next(), Some("POST /a HTTP/1.1"));
        assert_eq!(received.header("User-Agent"), Some("Cloud Apizee"));
        assert_eq!(received.header("Content-Type"), Some("application/JSON"));
    }
}

#[tokio::test]
async fn a04_own_headers_go_with_each_request_and_are_shown_to_nobody() {
    let mut scene = Scene::start().await;
    let headers = json!({"X-Api-Key": "s3cret: of a kind", "Authorization": "Basic czNjcmV0"});
    let hook = set(&scene, &with(to(&scene, "/a"), json!({"headers": headers}))).await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.take(&ticket()).await;
    scene.leap_to_next(&hook, 1).await;
    for received in scene.receiver.wait_for("/a", 2).await {
        for (name, value) in headers.as_object().unwrap() {
            assert_eq!(received.header(name), value.as_str(), "{name}");
        }
    }
    for shown in [get(&mut company(&scene, "ABC"), HOOK).await, scene.shown(&hook).await] {
        assert_eq!(shown["headers"], json!({"authorization": "***", "x-api-key": "***"}));
        assert!(!shown.to_string().contains("s3cret") && !shown.to_string().contains("czNjcmV0"), "{shown}");
    }
    set(&scene, &to(&scene, "/a")).await;
    scene.take(&ticket()).await;
    let received = scene.receiver.wait_for("/a", 3).await;
    assert_eq!(received[2].header("X-Api-Key"), None, "what replaces a hook without headers has none");
}

#[tokio::test]
async fn a04_headers_that_are_the_servers_or_none_are_refused() {
    let scene = Scene::start().await;
    let wish = to(&scene, "/a");
    for (name, value) in [
        ("Host", "hooks.example.com"),
        ("host", "hooks.example.com"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("CONNECTION", "close"),
        ("Content-Type", "text/plain"),
        ("User-Agent", "curl"),
        ("Webhook-Id", "1"),
        ("", "a"),
        ("X A", "a"),
        ("X-A:", "a"),
        ("X-A\r\nX-B", "a"),
        ("X-A", "a\r\nX-B: b"),
        ("X-A", " a"),
        ("X-A", "ü"),
    ] {
        let refused = ask(&scene, Method::PUT, &with(wish.clone(), json!({"headers": {name: value}}))).await;
        assert_eq!(refused.status, 422, "{name:?}: {value:?}");
        assert_eq!(faults(&refused)[0].0, format!("headers.{name}"), "{value:?}");
    }
    let many: serde_json::Map<_, _> = (0..21).map(|number| (format!("x-{number}"), json!("a"))).collect();
    for (headers, field) in [
        (json!({"X-A": "1", "x-a": "2"}), "headers.x-a"),
        (json!({"X-A": 7}), "headers.X-A"),
        (json!(["X-A"]), "headers"),
        (json!(many), "headers"),
    ] {
        let refused = ask(&scene, Method::PUT, &with(wish.clone(), json!({"headers": headers}))).await;
        assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, field), "{headers}");
    }
    assert_eq!(get(&mut company(&scene, "ABC"), HOOK).await["url"], Value::Null);
}

#[tokio::test]
async fn a05_of_tickets_media_and_conversations_the_hook_is_told_and_of_nothing_else() {
    let mut scene = Scene::start().await;
    set_to(&scene, "/a").await;
    for topic in ["conference.update", "smsmessage.create", "user.create", "Ticket.update", "contacts.created", "ticket"] {
        assert_refused(&mut scene, &event(topic, "100", &json!({})), "topic").await;
    }
    scene.contact("C1").await;
    for object in OBJECTS {
        scene.take(&event(&format!("{object}.update"), "100", &json!({}))).await;
    }
    scene.receiver.wait_for("/a", 3).await;
    settle(&scene).await;
    assert_eq!(sorted(told(&scene.receiver.received("/a"), "object")), ["conversation", "media", "ticket"]);
}

#[tokio::test]
async fn a06_what_happened_is_create_update_or_delete() {
    let mut scene = Scene::start().await;
    set_to(&scene, "/a").await;
    for name in ["created", "close", "CREATE", "restore", ""] {
        assert_refused(&mut scene, &event(&format!("ticket.{name}"), "100", &json!({})), "topic").await;
    }
    let all = OBJECTS.iter().flat_map(|object| EVENTS.map(|name| event(&format!("{object}.{name}"), "100", &json!({}))));
    scene.take(&all.collect()).await;
    let received = scene.receiver.wait_for("/a", 9).await;
    let mut came: Vec<_> =
        received.iter().map(|received| format!("{}.{}", received.json()["object"], received.json()["event"])).collect();
    let mut reported: Vec<_> = OBJECTS.iter().flat_map(|object| EVENTS.map(|name| format!("\"{object}\".\"{name}\""))).collect();
    came.sort_unstable();
    reported.sort_unstable();
    assert_eq!(came, reported);
}

#[tokio::test]
async fn a07_the_time_is_that_of_the_event_in_whole_seconds() {
    let mut scene = Scene::start().await;
    let hook = set_to(&scene, "/a").await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.take(&ticket()).await;
    scene.leap_to_next(&hook, 1).await;
    scene.receiver.wait_for("/a", 2).await;
    for (count, at) in ["2019-12-10T11:13:33.999Z", "2019-12-10T12:13:33.5+01:00"].into_iter().enumerate() {
        scene.take(&with(ticket(), json!({"occurredAt": at}))).await;
        scene.receiver.wait_for("/a", count + 3).await;
    }
    for received in scene.receiver.received("/a") {
        assert!(text(&received).contains(r#","time":1575976413,"#), "{}", text(&received));
    }
}

#[tokio::test]
async fn a08_tickets_and_media_have_a_number_for_an_id_and_conversations_a_text() {
    let mut scene = Scene::start().await;
    set_to(&scene, "/a").await;
    for topic in ["ticket.update", "media.create"] {
        for id in ["734e3a7b-eb17-4d3f-901d-bcff178b", "007", "-1", "+1", "1.0", "1e3", "18446744073709551616", ""] {
            assert_refused(&mut scene, &event(topic, id, &json!({})), "entityId").await;
        }
    }
    assert_refused(&mut scene, &with(ticket(), json!({"entityId": 100})), "entityId").await;
    for (count, (topic, id, shown)) in [
        ("ticket.update", "100", "100"),
        ("media.create", "18446744073709551615", "18446744073709551615"),
        ("conversation.update", "734e3a7b-eb17-4d3f-901d-bcff178b", "\"734e3a7b-eb17-4d3f-901d-bcff178b\""),
        ("conversation.update", "100", "\"100\""),
    ]
    .into_iter()
    .enumerate()
    {
        scene.take(&event(topic, id, &json!({}))).await;
        let received = scene.receiver.wait_for("/a", count + 1).await;
        assert!(text(&received[count]).contains(&format!(r#","objectId":{shown},"#)), "{}", text(&received[count]));
    }
}

#[tokio::test]
async fn a09_the_states_are_the_documented_ones() {
    let mut scene = Scene::start().await;
    set_to(&scene, "/a").await;
    let tickets =
        ["new", "open", "opened", "invited", "inprogress", "updated", "expired", "declined", "rejected", "done", "closed"];
    let media = ["inprogress", "uncompleted", "completed", "error"];
    for (topic, state) in [
        ("ticket.update", json!("paused")),
        ("ticket.update", json!("New")),
        ("ticket.update", json!("completed")),
        ("ticket.update", json!(7)),
        ("ticket.update", json!(null)),
        ("media.update", json!("invited")),
        ("media.update", json!("")),
    ] {
        assert_refused(&mut scene, &event(topic, "100", &json!({"state": state})), "data.state").await;
    }
    let of = |topic: &str, state: &str| event(topic, "100", &json!({"state": state}));
    let all = tickets.map(|state| of("ticket.update", state)).into_iter().chain(media.map(|state| of("media.update", state)));
    scene.take(&all.collect()).await;
    let received = scene.receiver.wait_for("/a", 15).await;
    let mut came: Vec<_> = received.iter().map(|received| received.json()["props"]["state"].to_string()).collect();
    let mut reported: Vec<_> = tickets.iter().chain(&media).map(|state| format!("\"{state}\"")).collect();
    came.sort_unstable();
    reported.sort_unstable();
    assert_eq!(came, reported);
}

#[tokio::test]
async fn a10_the_documented_bodies_are_sent_byte_for_byte_and_the_end_of_a_conversation_has_a_numeric_offset() {
    let mut scene = Scene::start().await;
    set_to(&scene, "/a").await;
    for finished in ["2021-09-20T13:25:06Z", "2021-09-20T13:25:06", "2021-09-20T13:25:06.123+00:00"] {
        let props = json!({"eventType": "conversationEnded", "name": "TEST", "finishedAt": finished});
        assert_refused(&mut scene, &event("conversation.update", "c", &props), "data.finishedAt").await;
    }
    let begun = json!({"eventType": "conversationBegun"});
    assert_refused(&mut scene, &event("conversation.update", "c", &begun), "data.eventType").await;
    let ended = r#"{"eventType":"conversationEnded","name":"TEST","finishedAt":"2021-09-20T13:25:06+00:00"}"#;
    let id = "734e3a7b-eb17-4d3f-901d-bcff178b";
    for (count, (topic, id, at, props, sent)) in [
        (
            "conversation.update",
            id,
            "2021-09-20T13:25:06Z",
            ended,
            format!(r#"{{"event":"update","time":1632144306,"object":"conversation","objectId":"{id}","props":{ended}}}"#),
        ),
        (
            "ticket.update",
            "100",
            "2019-12-10T11:13:33Z",
            r#"{"state":"invited"}"#,
            r#"{"event":"update","time":1575976413,"object":"ticket","objectId":100,"props":{"state":"invited"}}"#.to_owned(),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let report = format!(
            r#"{{"catalogue":"apirtc","topic":"{topic}","customerId":"ABC","entityId":"{id}","occurredAt":"{at}","data":{props}}}"#
        );
        assert_eq!(scene.app.send(Method::POST, "/events", report, &[JSON]).await.status, 202, "{topic}");
        assert_eq!(text(&scene.receiver.wait_for("/a", count + 1).await[count]), sent);
    }
}

#[tokio::test]
async fn a11_a_place_is_told_once_there_is_one() {
    let mut scene = Scene::start().await;
    set_to(&scene, "/a").await;
    scene.take(&event("ticket.update", "100", &json!({"state": "inprogress"}))).await;
    assert_eq!(scene.receiver.wait_for("/a", 1).await[0].json()["props"], json!({"state": "inprogress"}));
    let place = json!({"state": "inprogress", "geoloc": {"lat": 47.866_675, "lng": -3.865_805}});
    scene.take(&event("ticket.update", "100", &place)).await;
    let received = scene.receiver.wait_for("/a", 2).await;
    assert!(text(&received[1]).contains(r#""geoloc":{"lat":47.866675,"lng":-3.865805}"#), "{}", text(&received[1]));
    for (geoloc, field) in [
        (json!(null), "data.geoloc"),
        (json!({"lat": "47.866675", "lng": -3.9}), "data.geoloc.lat"),
        (json!({"lat": 47.9, "lng": null}), "data.geoloc.lng"),
    ] {
        assert_refused(&mut scene, &event("ticket.update", "100", &json!({"geoloc": geoloc})), field).await;
    }
}

#[tokio::test]
async fn a12_who_reports_never_waits_for_the_receiver() {
    let mut scene = Scene::start().await;
    let hook = set_to(&scene, "/a").await;
    scene.receiver.usually("/a", Reply::Hang);
    // Time stands still: nothing of what hangs is given up.
    for _ in 0..10 {
        scene.take(&ticket()).await;
    }
    scene.receiver.wait_for("/a", 1).await;
    in_flight(&scene, 1.0).await;
    scene.take(&ticket()).await;
    assert!(scene.attempts(&hook, 0).await.is_empty());
    assert_eq!(scene.shown(&hook).await["queued"], 11);
}

#[tokio::test]
async fn a13_what_is_deleted_needs_no_properties() {
    let mut scene = Scene::start().await;
    set_to(&scene, "/a").await;
    for (count, object) in OBJECTS.into_iter().enumerate() {
        scene.take(&event(&format!("{object}.delete"), "100", &json!({}))).await;
        let received = scene.receiver.wait_for("/a", count + 1).await;
        assert!(text(&received[count]).ends_with(r#","props":{}}"#), "{}", text(&received[count]));
    }
    scene.take(&event("ticket.delete", "100", &json!({"state": "closed"}))).await;
    assert_eq!(scene.receiver.wait_for("/a", 4).await[3].json()["props"], json!({"state": "closed"}), "it may have some");
}

#[tokio::test]
async fn a14_what_is_queued_when_the_hook_is_set_inactive_is_suppressed() {
    let mut scene = Scene::start().await;
    let hook = set_to(&scene, "/a").await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.take(&ticket()).await;
    assert_eq!(scene.delivery(&hook, 1).await["state"], "queued");
    let inactive = with(to(&scene, "/a"), json!({"enabled": false}));
    assert_eq!(set(&scene, &inactive).await, hook);
    scene.take(&ticket()).await;
    for delivery in ["/webhooks/deliveries/1-1", "/webhooks/deliveries/2-1"] {
        let ended = async { while scene.get(delivery).await["state"] != "suppressed" {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("it is suppressed");
    }
    scene.pass(100).await;
    set_to(&scene, "/a").await;
    scene.take(&event("ticket.update", "101", &json!({}))).await;
    scene.receiver.wait_for("/a", 2).await;
    settle(&scene).await;
    scene.pass(100).await;
    settle(&scene).await;
    let ids: Vec<_> = scene.receiver.received("/a").iter().map(|received| received.json()["objectId"].clone()).collect();
    assert_eq!(ids, [json!(100), json!(101)], "nor is it sent when the hook is active again");
}

#[tokio::test]
async fn a15_repeats_are_known_by_their_webhook_id() {
    let mut scene = Scene::start().await;
    let hook = set_to(&scene, "/a").await;
    scene.receiver.script("/a", [Reply::Status(500), Reply::Status(503)]);
    scene.take(&ticket()).await;
    for attempt in 1..=2 {
        scene.leap_to_next(&hook, attempt).await;
    }
    scene.receiver.wait_for("/a", 3).await;
    scene.take(&ticket()).await;
    let received = scene.receiver.wait_for("/a", 4).await;
    let ids: Vec<_> = received.iter().map(|received| received.header("Webhook-Id").unwrap()).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    assert!(received.iter().all(|other| other.body == received[0].body), "the bodies do not tell them apart");
    assert!(received.iter().all(|received| received.header("Webhook-Signature").is_none()));
}

#[tokio::test]
async fn what_fails_is_sent_again_after_5_and_60_seconds_and_what_is_refused_is_not() {
    let mut scene = Scene::start().await;
    let hook = set_to(&scene, "/a").await;
    scene.receiver.script("/a", [Reply::Status(500), Reply::Status(429), Reply::Close]);
    scene.take(&ticket()).await;
    for (attempt, seconds) in [(1, 5), (2, 60)] {
        let wait = scene.leap_to_next(&hook, attempt).await;
        let (least, most) = (Duration::from_secs(seconds), Duration::from_secs(seconds).mul_f64(1.1));
        assert!((least..=most).contains(&wait), "{wait:?} is not {least:?} to {most:?}");
    }
    let delivery = scene.delivery(&hook, 3).await;
    assert_eq!((&delivery["state"], &delivery["sends"]), (&json!("dead"), &json!(3)));
    assert!(delivery["attempts"][2]["why"].as_str().unwrap().contains("attempt 3 of 3"), "{delivery:#}");
    for (count, (status, state)) in [(204, "delivered"), (302, "dead"), (404, "dead"), (410, "dead")].into_iter().enumerate() {
        scene.receiver.script("/a", [Reply::Status(status)]);
        scene.take(&ticket()).await;
        assert_eq!(scene.delivery(&hook, count + 4).await["state"], state, "{status}");
    }
    assert_eq!(scene.shown(&hook).await["health"]["state"], "healthy");
}

#[tokio::test]
async fn a_ping_is_a_body_like_any_other() {
    let scene = Scene::start().await;
    let subscription = set_to(&scene, "/a").await;
    let mut app = company(&scene, "ABC");
    for topic in ["ticket.update", "media.create", "conversation.update"] {
        let pinged = send(&mut app, Method::POST, &at(&subscription, "/ping"), &json!({"topicId": topic})).await;
        assert_eq!((pinged.status.as_u16(), &body(&pinged)["success"]), (200, &json!(true)), "{topic}");
    }
    let received = scene.receiver.wait_for("/a", 3).await;
    let numbers: Vec<_> = received.iter().map(|received| received.json()["objectId"].is_number()).collect();
    assert_eq!(numbers, [true, true, false]);
    let refused = send(&mut app, Method::POST, &at(&subscription, "/ping"), &json!({"topicId": "contacts.created"})).await;
    assert!(faults(&refused)[0].1.contains("conversation.create, "), "{:?}", refused.body);
}

#[tokio::test]
async fn a_hook_is_switched_off_without_losing_what_it_is() {
    let scene = Scene::start().await;
    let subscription = set(&scene, &with(to(&scene, "/a"), json!({"headers": {"X-Api-Key": "secret"}}))).await;
    let off = ask(&scene, Method::PUT, &json!({"enabled": false})).await;
    let shown = json!({
        "enabled": false, "url": scene.receiver.url("/a"), "headers": {"x-api-key": "***"}, "subscriptionId": subscription["id"],
    });
    assert_eq!((off.status.as_u16(), body(&off)), (200, shown.clone()));
    let back = with(shown, json!({"enabled": true, "subscriptionId": null}));
    let refused = ask(&scene, Method::PUT, &back).await;
    let told = faults(&refused);
    assert!(told.iter().any(|(field, said)| field == "headers.x-api-key" && said.contains("not shown")), "{told:?}");
    let made = ask(&scene, Method::POST, &json!({"enabled": false})).await;
    assert_eq!(made.status, 409, "there is one");
    assert_eq!(bare(&mut company(&scene, "ABC"), Method::DELETE, HOOK).await.status, 204);
    let nothing = ask(&scene, Method::POST, &json!({"enabled": false})).await;
    assert_eq!((nothing.status.as_u16(), faults(&nothing)[0].0.as_str()), (422, "url"));
}
