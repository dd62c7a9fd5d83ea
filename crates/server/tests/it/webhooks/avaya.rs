//! Avaya's digital webhooks, statement by statement.

use super::*;
use crate::receiver::Reply;

const ACCOUNT: &str = "ABCDEF";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn path(account: &str, below: &str) -> String {
    format!("/api/digital/webhook/v1/accounts/{account}/subscriptions{below}")
}

async fn account(scene: &Scene, account: &str, customer: &str) {
    let put = json!({"customerId": customer});
    let answer = send(&mut scene.operator(), Method::PUT, &format!("/avaya/accounts/{account}"), &put).await;
    assert_eq!(answer.status, 204, "{:?}", answer.body);
}

async fn start() -> Scene {
    let scene = Scene::start().await;
    account(&scene, ACCOUNT, "ABC").await;
    scene
}

fn wish(url: &str, types: &[&str]) -> Value {
    json!({"channelProviderId": "ChatConnector01", "callbackUrl": url, "eventTypes": types})
}

/// A subscription of an account, with its id as the native API calls it, too.
async fn subscribe_at(scene: &mut Scene, account: &str, to: &str, types: &[&str]) -> Value {
    let wish = wish(&scene.receiver.url(to), types);
    let answer = send(&mut scene.app, Method::POST, &path(account, ""), &wish).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    let made = body(&answer);
    with(made.clone(), json!({"id": made["subscriptionId"]}))
}

async fn subscribe_all(scene: &mut Scene, to: &str) -> Value {
    subscribe_at(scene, ACCOUNT, to, &["ALL"]).await
}

/// An event of a type, as the catalogue's example has it, with other data in place of some of its own.
fn event(customer: &str, topic: &str, others: Value) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol/catalogues/avaya/examples/");
    let example = std::fs::read_to_string(format!("{folder}{topic}.json")).unwrap();
    let mut example: Value = serde_json::from_str(&example).unwrap();
    example["customerId"] = json!(customer);
    example["data"] = with(example["data"].clone(), others);
    example
}

fn engagement(id: &str) -> Value {
    event("ABC", "ENGAGEMENT_CREATED", json!({"engagementId": id}))
}

fn message(sender: &str) -> Value {
    event("ABC", "MESSAGES", json!({"senderParticipantType": sender, "messageId": sender}))
}

async fn listed(scene: &mut Scene) -> Vec<Value> {
    get(&mut scene.app, &path(ACCOUNT, "")).await.as_array().unwrap().clone()
}

/// Fails until the receiver is unhealthy: one event that is sent again and again. Returns the health that is shown.
async fn make_unhealthy(scene: &mut Scene, subscription: &Value, to: &str) -> Value {
    scene.receiver.usually(to, Reply::Status(503));
    scene.take(&engagement("fails")).await;
    for attempts in 1..=5 {
        scene.attempts(subscription, attempts).await;
        if scene.shown(subscription).await["health"]["state"] == "unhealthy" {
            break;
        }
        scene.leap_to_next(subscription, attempts).await;
    }
    scene.becomes(subscription, |shown| shown["health"]["state"] == "unhealthy").await["health"].clone()
}

/// Lets time pass while the node is off: what falls due meanwhile is seen when it starts.
async fn later(scene: Scene, time: Duration) -> Scene {
    settle(&scene).await;
    scene.leap(time);
    scene.restart(|_| ()).await
}

#[tokio::test]
async fn v01_only_200_is_success() {
    let mut scene = start().await;
    for status in [200, 201, 202, 204] {
        let to = format!("/{status}");
        scene.receiver.usually(&to, Reply::Status(status));
        let subscription = subscribe_all(&mut scene, &to).await;
        scene.take(&engagement("E")).await;
        let attempt = scene.attempts(&subscription, 1).await[0].clone();
        assert_eq!(attempt["outcome"], if status == 200 { "success" } else { "failure" }, "{attempt}");
        assert_eq!(
            bare(&mut scene.app, Method::DELETE, &path(ACCOUNT, &format!("/{}", subscription["id"].as_str().unwrap())))
                .await
                .status,
            204
        );
    }
}

#[tokio::test]
async fn v02_an_answer_after_5_seconds_is_an_error_and_sent_again_and_one_before_is_success() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    scene.receiver.usually("/a", Reply::When(permits.clone(), 200));
    scene.take(&engagement("in time")).await;
    scene.receiver.wait_for("/a", 1).await;
    scene.leap(Duration::from_millis(4900));
    permits.add_permits(1);
    assert_eq!(scene.attempts(&subscription, 1).await[0]["outcome"], "success");
    scene.take(&engagement("too late")).await;
    scene.receiver.wait_for("/a", 2).await;
    scene.leap(Duration::from_millis(5100));
    let delivery = scene.delivery(&subscription, 2).await;
    assert_eq!((&delivery["state"], &delivery["attempts"][0]["error"]), (&json!("queued"), &json!("the answer took too long")));
    permits.add_permits(1);
    scene.leap(Duration::from_secs(6));
    scene.receiver.wait_for("/a", 3).await;
}

#[tokio::test]
async fn v03_temporarily_unavailable_is_sent_again_and_other_statuses_are_errors_that_are_not() {
    let mut scene = start().await;
    for (status, again) in
        [(429, true), (502, true), (503, true), (504, true), (400, false), (404, false), (500, false), (501, false), (301, false)]
    {
        let to = format!("/{status}");
        scene.receiver.usually(&to, Reply::Status(status));
        let subscription = subscribe_all(&mut scene, &to).await;
        scene.take(&engagement("E")).await;
        let delivery = scene.delivery(&subscription, 1).await;
        assert_eq!(delivery["state"], if again { "queued" } else { "dead" }, "{status}");
        let one = path(ACCOUNT, &format!("/{}", subscription["id"].as_str().unwrap()));
        assert_eq!(bare(&mut scene.app, Method::DELETE, &one).await.status, 204);
    }
}

#[tokio::test]
async fn v04_who_is_not_reached_is_sent_to_again() {
    let mut scene = start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = silent.local_addr().unwrap();
    drop(silent);
    let (untrusted, _) = Receiver::start_tls(&["127.0.0.1"]).await;
    for url in [format!("http://{refused}/a"), untrusted.url("/tls")] {
        let answer = send(&mut scene.app, Method::POST, &path(ACCOUNT, ""), &wish(&url, &["ALL"])).await;
        let subscription = json!({"id": body(&answer)["subscriptionId"]});
        scene.take(&engagement("E")).await;
        assert_eq!(scene.delivery(&subscription, 1).await["state"], "queued", "{url}");
    }
}

#[tokio::test]
async fn v05_messages_go_by_who_sent_them_and_arrive_as_messages() {
    let mut scene = start().await;
    for (to, types) in [("/all", "MESSAGES"), ("/customer", "CUSTOMER_MESSAGES"), ("/cc", "CC_MESSAGES")] {
        subscribe_at(&mut scene, ACCOUNT, to, &[types]).await;
    }
    let senders = ["CUSTOMER", "AGENT", "SUPERVISOR", "SYSTEM", "BOT"];
    for sender in senders {
        scene.take(&message(sender)).await;
    }
    settle(&scene).await;
    let of = |to: &str| {
        let received = scene.receiver.received(to);
        assert!(told(&received, "eventType").iter().all(|name| name == "MESSAGES"));
        let mut senders = told(&received, "senderParticipantType");
        senders.sort();
        senders
    };
    assert_eq!(of("/all"), ["AGENT", "BOT", "CUSTOMER", "SUPERVISOR", "SYSTEM"]);
    assert_eq!(of("/customer"), ["CUSTOMER"]);
    assert_eq!(of("/cc"), ["AGENT", "BOT", "SUPERVISOR", "SYSTEM"]);
}

#[tokio::test]
async fn v06_a_message_that_is_asked_for_twice_comes_once() {
    let mut scene = start().await;
    subscribe_at(&mut scene, ACCOUNT, "/a", &["MESSAGES", "CUSTOMER_MESSAGES"]).await;
    subscribe_at(&mut scene, ACCOUNT, "/b", &["CC_MESSAGES", "CUSTOMER_MESSAGES"]).await;
    scene.take(&message("CUSTOMER")).await;
    scene.take(&message("AGENT")).await;
    settle(&scene).await;
    assert_eq!((scene.receiver.received("/a").len(), scene.receiver.received("/b").len()), (2, 2));
}

#[tokio::test]
async fn v07_all_is_kept_as_all_types_there_are_and_will_be() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    assert_eq!(scene.shown(&subscription).await["topicIds"], json!(["*"]), "no list that a new type would be missing in");
    assert_eq!(subscription["eventTypes"], json!(["ALL"]));
    let topics =
        ["ENGAGEMENT_CREATED", "PARTICIPANT_ADDED", "PARTICIPANT_DISCONNECTED", "MESSAGES", "TYPING", "ENGAGEMENT_ERROR"];
    for topic in topics {
        let provider = json!({"channelProviderId": "ChatConnector01"});
        scene.take(&event("ABC", topic, provider)).await;
    }
    let mut received = told(&scene.receiver.wait_for("/a", 6).await, "eventType");
    received.sort();
    let mut expected = topics.map(str::to_owned);
    expected.sort();
    assert_eq!(received, expected);
}

#[tokio::test]
async fn v08_who_types_is_never_a_customer() {
    let mut scene = start().await;
    let refused = scene.report(&event("ABC", "TYPING", json!({"senderParticipantType": "CUSTOMER"}))).await;
    assert_eq!((refused.status.as_u16(), faults(&refused)[0].0.as_str()), (422, "data.senderParticipantType"));
}

#[tokio::test]
async fn v09_errors_in_a_row_make_the_url_unhealthy_and_one_success_makes_it_healthy() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    let health = make_unhealthy(&mut scene, &subscription, "/a").await;
    assert_eq!(until(&health["disabledAt"], scene.node.clock.now()), 8 * HOUR);
    assert_eq!(listed(&mut scene).await[0]["status"], "unhealthy");
    scene.receiver.usually("/a", Reply::Status(200));
    scene.leap(HOUR);
    let shown = scene.becomes(&subscription, |shown| shown["health"]["state"] == "healthy").await;
    assert_eq!(shown["health"]["disabledAt"], Value::Null);
}

#[tokio::test]
async fn v10_v14_v15_v18_v19_the_whole_life_of_a_subscription_with_restarts_in_between() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    let health = make_unhealthy(&mut scene, &subscription, "/a").await;
    settle(&scene).await;

    // V10, V19: one minute before 8 hours are over, and over a restart.
    scene.leap(7 * HOUR);
    let scene = scene.restart(|_| ()).await;
    scene.leap(59 * Duration::from_secs(60));
    settle(&scene).await;
    let mut scene = scene.restart(|_| ()).await;
    let shown = scene.shown(&subscription).await;
    assert_eq!((&shown["health"]["state"], &shown["health"]["disabledAt"]), (&json!("unhealthy"), &health["disabledAt"]));

    scene.leap(Duration::from_secs(60));
    let mut scene = scene.restart(|_| ()).await;
    let shown = scene.becomes(&subscription, |shown| shown["health"]["state"] == "disabled").await;
    assert_eq!(shown["health"]["since"], health["disabledAt"]);
    assert_eq!(until(&shown["health"]["deletedAt"], scene.node.clock.now()), 7 * DAY);

    // V18: it is listed with all that there is to take a note of.
    let listed_now = listed(&mut scene).await;
    let one = &listed_now[0];
    assert_eq!((&one["subscriptionId"], &one["status"]), (&subscription["id"], &json!("disabled")));
    assert_eq!((&one["disabledAt"], &one["deleteAt"]), (&shown["health"]["since"], &shown["health"]["deletedAt"]));
    assert_eq!((&one["callbackUrl"], &one["eventTypes"]), (&subscription["callbackUrl"], &json!(["ALL"])));

    // V14: nothing is sent, and what comes is recorded.
    let count = scene.receiver.received("/a").len();
    scene.take(&engagement("suppressed")).await;
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), count);
    assert_eq!(scene.get("/webhooks/deliveries/2-1").await["state"], "suppressed");

    // V15: a week later it is deleted, and not before.
    scene.leap(6 * DAY + 23 * HOUR);
    let mut scene = scene.restart(|_| ()).await;
    settle(&scene).await;
    assert_eq!(listed(&mut scene).await.len(), 1);
    scene.leap(HOUR);
    let mut scene = scene.restart(|_| ()).await;
    let gone = async { while !listed(&mut scene).await.is_empty() {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is deleted");
}

#[tokio::test]
async fn v11_v12_all_of_the_customer_with_the_same_url_are_disabled_and_nobody_else() {
    let mut scene = start().await;
    account(&scene, "ABCDEG", "ABC").await;
    account(&scene, "GHIJKL", "DEF").await;
    let failing = subscribe_all(&mut scene, "/a").await;
    let quiet = subscribe_at(&mut scene, "ABCDEG", "/a", &["TYPING"]).await;
    let foreign = subscribe_at(&mut scene, "GHIJKL", "/a", &["ALL"]).await;
    let other = subscribe_all(&mut scene, "/other").await;
    let mut colleague = application(&scene.node.api, "another");
    let same = wish(&scene.receiver.url("/a"), &["TYPING"]);
    assert_eq!(send(&mut colleague, Method::POST, &path(ACCOUNT, ""), &same).await.status, 201);
    make_unhealthy(&mut scene, &failing, "/a").await;
    let mut scene = later(scene, 8 * HOUR).await;
    for subscription in [&failing, &quiet] {
        scene.becomes(subscription, |shown| shown["health"]["state"] == "disabled").await;
    }
    for subscription in [&foreign, &other] {
        assert_eq!(scene.shown(subscription).await["health"]["state"], "healthy");
    }
    let mut colleague = application(&scene.node.api, "another");
    let of_another = get(&mut colleague, &path(ACCOUNT, "")).await;
    assert_eq!(of_another[0]["status"], "disabled", "whichever application made it");

    // None can be made, or moved, to that URL until all of them are deleted.
    let again = wish(&scene.receiver.url("/a"), &["ALL"]);
    assert_eq!(send(&mut scene.app, Method::POST, &path(ACCOUNT, ""), &again).await.status, 409);
    let moved = path(ACCOUNT, &format!("/{}", other["id"].as_str().unwrap()));
    assert_eq!(send(&mut scene.app, Method::PUT, &moved, &again).await.status, 409);
    assert_eq!(get(&mut scene.app, &moved).await["status"], "healthy", "it stays where it was");
}

#[tokio::test]
async fn what_became_of_a_url_is_forgotten_with_the_last_subscription_that_has_it() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    make_unhealthy(&mut scene, &subscription, "/a").await;
    let one = path(ACCOUNT, &format!("/{}", subscription["id"].as_str().unwrap()));
    let moved = wish(&scene.receiver.url("/b"), &["ALL"]);
    assert_eq!(send(&mut scene.app, Method::PUT, &one, &moved).await.status, 200);
    settle(&scene).await;
    let mut scene = later(scene, 30 * DAY).await;
    let anew = subscribe_all(&mut scene, "/a").await;
    assert_eq!(anew["status"], "healthy");
}

#[tokio::test]
async fn one_that_is_set_inactive_is_shown_so() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    scene.post(&at(&subscription, "/deactivate"), &json!({})).await;
    assert_eq!(listed(&mut scene).await[0]["status"], "inactive");
}

#[tokio::test]
async fn an_account_is_given_to_another_customer_only_when_it_was_taken_away() {
    let scene = start().await;
    let mut operator = scene.operator();
    let account = format!("/avaya/accounts/{ACCOUNT}");
    let refused = send(&mut operator, Method::PUT, &account, &json!({"customerId": "DEF"})).await;
    assert_eq!(refused.status, 409);
    assert!(body(&refused)["description"].as_str().unwrap().contains("that of ABC"), "{:?}", refused.body);
    assert_eq!(bare(&mut operator, Method::DELETE, &account).await.status, 204);
    assert_eq!(bare(&mut operator, Method::DELETE, &account).await.status, 404);
    assert_eq!(send(&mut operator, Method::PUT, &account, &json!({"customerId": "DEF"})).await.status, 204);
    assert_eq!(send(&mut operator, Method::PUT, "/avaya/accounts/ABC", &json!({"customerId": "DEF"})).await.status, 400);
}

#[tokio::test]
async fn v13_urls_are_compared_with_scheme_and_host_folded_and_path_and_query_byte_for_byte() {
    let mut scene = start().await;
    let failing = subscribe_all(&mut scene, "/a?b=C").await;
    let url = scene.receiver.url("/a?b=C").replace("http://", "HTTP://");
    let same = body(&send(&mut scene.app, Method::POST, &path(ACCOUNT, ""), &wish(&url, &["TYPING"])).await);
    let same = json!({"id": same["subscriptionId"]});
    let other = subscribe_at(&mut scene, ACCOUNT, "/a?b=c", &["TYPING"]).await;
    make_unhealthy(&mut scene, &failing, "/a?b=C").await;
    assert_eq!(scene.shown(&same).await["health"]["state"], "unhealthy");
    assert_eq!(scene.shown(&other).await["health"]["state"], "healthy");
}

#[tokio::test]
async fn v16_v17_a_disabled_one_has_no_way_back_but_to_be_made_anew() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    make_unhealthy(&mut scene, &subscription, "/a").await;
    let mut scene = later(scene, 8 * HOUR).await;
    scene.becomes(&subscription, |shown| shown["health"]["state"] == "disabled").await;
    let one = path(ACCOUNT, &format!("/{}", subscription["id"].as_str().unwrap()));
    let again = wish(&scene.receiver.url("/a"), &["ALL"]);
    let refused = send(&mut scene.app, Method::PUT, &one, &again).await;
    let problem = body(&refused);
    assert_eq!((refused.status.as_u16(), &problem["title"]), (409, &json!("Conflict")));
    for step in ["1. List", "2. Delete", "3. Create"] {
        assert!(problem["detail"].as_str().unwrap().contains(step), "{problem}");
    }
    let native = send(&mut scene.app, Method::POST, &at(&subscription, "/activate"), &json!({})).await;
    assert_eq!(native.status, 409);
    assert_eq!(bare(&mut scene.app, Method::DELETE, &one).await.status, 204);
    scene.receiver.usually("/a", Reply::Status(200));
    let anew = subscribe_all(&mut scene, "/a").await;
    assert_ne!(anew["id"], subscription["id"]);
    assert_eq!((&anew["status"], scene.shown(&anew).await["health"]["state"].clone()), (&json!("healthy"), json!("healthy")));
    let count = scene.receiver.received("/a").len();
    scene.take(&engagement("anew")).await;
    scene.receiver.wait_for("/a", count + 1).await;
}

#[tokio::test]
async fn v20_with_an_empty_queue_the_8_hours_still_pass_and_nothing_is_sent_to_try() {
    let mut scene = start().await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    scene.receiver.usually("/a", Reply::Status(500));
    // Each is an error and none is sent again: nothing is queued.
    for number in 0..5 {
        scene.take(&engagement(&number.to_string())).await;
        scene.attempts(&subscription, number + 1).await;
        scene.leap(Duration::from_secs(31));
    }
    scene.becomes(&subscription, |shown| shown["health"]["state"] == "unhealthy" && shown["queued"] == 0).await;
    let count = scene.receiver.received("/a").len();
    let mut scene = later(scene, 8 * HOUR).await;
    scene.becomes(&subscription, |shown| shown["health"]["state"] == "disabled").await;
    assert_eq!(scene.receiver.received("/a").len(), count);
}

#[tokio::test]
async fn v21_an_error_of_an_engagement_says_what_went_wrong() {
    let mut scene = start().await;
    subscribe_all(&mut scene, "/a").await;
    scene.take(&event("ABC", "ENGAGEMENT_ERROR", json!({}))).await;
    let told = scene.receiver.wait_for("/a", 1).await[0].json();
    assert_eq!(told["type"], "ENGAGEMENT_CREATION_FAILED");
    assert_eq!(told["title"], "Error occurred while creating an engagement");
    assert_eq!(told["detail"], "Unable to create an engagement");
    assert_eq!((&told["eventType"], &told["eventDate"]), (&json!("ENGAGEMENT_ERROR"), &json!("2018-11-13T20:25:39.734Z")));
}

#[tokio::test]
async fn v22_the_owner_is_told_when_a_url_is_unhealthy_disabled_about_to_go_and_gone() {
    let mut scene = start().await;
    let topics = ["webhook.unhealthy", "webhook.disabled", "webhook.expiring", "webhook.deleted"];
    scene.subscribe(json!({"url": scene.receiver.url("/owner"), "topicIds": topics})).await;
    let mut other = application(&scene.node.api, "another");
    let url = scene.receiver.url("/another");
    subscribe(&mut other, json!({"url": url, "topicIds": topics})).await;
    let subscription = subscribe_all(&mut scene, "/a").await;
    make_unhealthy(&mut scene, &subscription, "/a").await;
    for (count, time) in [(1, 8 * HOUR), (2, 6 * DAY), (3, DAY), (4, Duration::ZERO)] {
        scene.receiver.wait_for("/owner", count).await;
        scene = later(scene, time).await;
    }
    let received: Vec<_> = scene.receiver.received("/owner").iter().map(Received::json).collect();
    let types: Vec<_> = received.iter().map(|told| told["type"].as_str().unwrap()).collect();
    assert_eq!(types, topics);
    assert!(received.iter().all(|told| told["data"]["subscriptionId"] == subscription["id"]));
    assert!(scene.receiver.received("/another").is_empty(), "what is another's is not told");
}

#[tokio::test]
async fn an_account_s_subscriptions_are_made_listed_changed_and_deleted_as_the_contract_has_it() {
    let mut scene = start().await;
    let made = subscribe_at(&mut scene, ACCOUNT, "/a", &["MESSAGES", "TYPING"]).await;
    let one = path(ACCOUNT, &format!("/{}", made["id"].as_str().unwrap()));
    let contract = json!({
        "subscriptionId": made["id"], "channelProviderId": "ChatConnector01", "callbackUrl": scene.receiver.url("/a"),
        "eventTypes": ["MESSAGES", "TYPING"], "status": "healthy",
    });
    assert_eq!(get(&mut scene.app, &one).await, contract);
    let other = with(wish(&scene.receiver.url("/b"), &["ALL"]), json!({"channelProviderId": "Another"}));
    assert_eq!(send(&mut scene.app, Method::POST, &path(ACCOUNT, ""), &other).await.status, 201);
    assert_eq!(listed(&mut scene).await.len(), 2);
    let of_one = get(&mut scene.app, &path(ACCOUNT, "?channelProviderId=ChatConnector01")).await;
    assert_eq!(of_one, json!([contract]));
    let change = with(contract.clone(), json!({"eventTypes": ["ENGAGEMENT_CREATED"]}));
    let changed = send(&mut scene.app, Method::PUT, &one, &change).await;
    assert_eq!((changed.status.as_u16(), body(&changed)), (200, change));
    scene.take(&message("AGENT")).await;
    scene.take(&engagement("E")).await;
    scene.receiver.wait_for("/a", 1).await;
    settle(&scene).await;
    assert_eq!(told(&scene.receiver.received("/a"), "eventType"), ["ENGAGEMENT_CREATED"]);
    assert!(scene.receiver.received("/b").is_empty(), "it is of another channel provider");
    assert_eq!(bare(&mut scene.app, Method::DELETE, &one).await.status, 204);
    assert_eq!(scene.app.get(&one, &[]).await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_is_told_as_a_problem_with_its_violations() {
    let mut scene = start().await;
    let refused =
        send(&mut scene.app, Method::POST, &path(ACCOUNT, ""), &json!({"eventTypes": ["NOTHING"], "channelProviderId": "x"}))
            .await;
    let problem = body(&refused);
    assert_eq!((refused.status.as_u16(), refused.headers["content-type"].to_str().unwrap()), (400, "application/problem+json"));
    assert_eq!((&problem["title"], &problem["status"]), (&json!("Constraint Violation"), &json!(400)));
    assert_eq!(problem["instance"], path(ACCOUNT, ""));
    let of = |field: &str| problem["violations"].as_array().unwrap().iter().find(|one| one["field"] == field).unwrap().clone();
    assert_eq!(of("callbackUrl"), json!({"field": "callbackUrl", "message": "must not be null", "code": 20002}));
    assert_eq!(of("channelProviderId")["code"], 20006);
    assert!(of("eventTypes[0]")["message"].as_str().unwrap().contains("must be one of"));
    let nothing = wish(&scene.receiver.url("/a"), &[]);
    let of_nothing = with(nothing, json!({"eventTypes": [null]}));
    let refused = send(&mut scene.app, Method::POST, &path(ACCOUNT, ""), &of_nothing).await;
    let violation = json!({"field": "eventTypes[0]", "message": "must not be null", "code": 20002});
    assert_eq!(body(&refused)["violations"], json!([violation]));

    let bad = body(&scene.app.get(&path("ABC", ""), &[]).await);
    let violation = json!({"field": "accountId", "message": "must match \"^[a-zA-Z]{6}$\"", "code": 20006});
    assert_eq!(bad["violations"], json!([violation]));
    for (account, status, title) in [("ZZZZZZ", 404, "Not Found"), (ACCOUNT, 405, "Method Not Allowed")] {
        let method = if status == 405 { Method::PATCH } else { Method::GET };
        let answer = bare(&mut scene.app, method, &path(account, "")).await;
        assert_eq!((answer.status.as_u16(), &body(&answer)["title"]), (status, &json!(title)));
    }
    let nobody = scene.operator();
    let mut nobody = Caller { api: Api::new(&scene.node.api), ..nobody };
    let answer = nobody.get(&path(ACCOUNT, ""), &[]).await;
    assert_eq!((answer.status.as_u16(), &body(&answer)["title"]), (401, &json!("Unauthorized")));
    let malformed = scene.app.send(Method::POST, &path(ACCOUNT, ""), "{", &[JSON]).await;
    assert_eq!(malformed.status, 400);
}

#[tokio::test]
async fn an_account_is_only_for_applications_that_its_customer_has_installed_and_that_hold_the_scope() {
    let scene = Scene::start_strict().await;
    account(&scene, ACCOUNT, "ABC").await;
    account(&scene, "GHIJKL", "DEF").await;
    let mut scene = scene;
    assert_eq!(scene.app.get(&path(ACCOUNT, ""), &[]).await.status, 200);
    assert_eq!(
        scene.app.get(&path("GHIJKL", ""), &[]).await.status,
        404,
        "DEF has not installed it, and whose it is stays unsaid"
    );
    scene.grant("app", "contacts.read").await;
    assert_eq!(scene.app.get(&path(ACCOUNT, ""), &[]).await.status, 403, "without the scope");
}

#[tokio::test]
async fn an_account_s_subscriptions_are_told_of_that_account_alone() {
    let mut scene = start().await;
    account(&scene, "ABCDEG", "ABC").await;
    subscribe_all(&mut scene, "/a").await;
    subscribe_at(&mut scene, "ABCDEG", "/b", &["ALL"]).await;
    scene.take(&event("ABC", "ENGAGEMENT_CREATED", json!({"accountId": "ABCDEG"}))).await;
    scene.take(&event("DEF", "ENGAGEMENT_CREATED", json!({"accountId": "ABCDEF"}))).await;
    scene.receiver.wait_for("/b", 1).await;
    settle(&scene).await;
    assert_eq!((scene.receiver.received("/a").len(), scene.receiver.received("/b").len()), (0, 1));
}

#[tokio::test]
async fn the_callback_of_the_example_is_the_documented_one() {
    let mut scene = start().await;
    subscribe_all(&mut scene, "/a").await;
    scene.take(&event("ABC", "MESSAGES", json!({}))).await;
    let received = scene.receiver.wait_for("/a", 1).await;
    let told = received[0].json();
    assert_eq!((&told["eventType"], &told["eventDate"]), (&json!("MESSAGES"), &json!("2018-11-13T20:25:39.734Z")));
    assert_eq!(told["body"]["elementText"]["text"], "What is the make and model?");
    assert_eq!(received[0].header("Content-Type"), Some("application/json"));
    assert!(received[0].header("Webhook-Id").is_some(), "by which repeats are known");
}
