//! Standard Webhooks, statement by statement, as a receiver sees it.

use std::io::Write;
use std::process::Stdio;

use jiff::fmt::rfc2822;

use super::*;
use crate::receiver::Reply;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn secret(subscription: &Value) -> &str {
    subscription["secret"].as_str().unwrap()
}

fn signatures(received: &Received) -> Vec<&str> {
    received.header("Webhook-Signature").unwrap().split(' ').collect()
}

#[tokio::test]
async fn s01_s02_s03_each_attempt_is_signed_anew_over_its_constant_id() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    scene.receiver.script("/a", [Reply::Status(500)]);
    scene.contact("C1").await;
    let wait = scene.leap_to_next(&subscription, 1).await;
    let received = scene.receiver.wait_for("/a", 2).await;
    let at = |place: usize| received[place].header("Webhook-Timestamp").unwrap().parse::<i64>().unwrap();
    assert_eq!(at(1), scene.node.clock.now().as_second());
    assert!((5..=6).contains(&wait.as_secs()) && (5..=6).contains(&(at(1) - at(0))), "{wait:?}");
    assert_eq!(received[0].header("Webhook-Id"), received[1].header("Webhook-Id"));
    assert_ne!(signatures(&received[0]), signatures(&received[1]));
    for received in &received {
        assert_eq!(signatures(received), [expected_v1(secret(&subscription), received)]);
        let id = received.header("Webhook-Id").unwrap();
        assert!(!id.contains('.') && id.len() == 36, "{id}");
        assert_eq!(received.header("Content-Type"), Some("application/json"));
        assert!(received.header("User-Agent").unwrap().starts_with("bellwire/"));
        assert!(received.header("X-Signature").is_none() && received.header("Reapit-Webhook-Signature").is_none());
    }
    let body = received[0].json();
    assert_eq!((&body["type"], &body["timestamp"]), (&json!("contacts.created"), &json!("2020-05-13T09:33:16.881Z")));
    let data = &body["data"];
    assert_eq!((&data["customerId"], &data["entityId"], &data["new"]["surname"]), (&json!("ABC"), &json!("C1"), &json!("Smith")));
}

#[tokio::test]
async fn s02_ids_differ_from_event_to_event_and_are_the_same_for_all_who_are_told() {
    let mut scene = Scene::start().await;
    scene.standard("/a").await;
    scene.standard("/b").await;
    scene.contact("C1").await;
    scene.contact("C2").await;
    let (a, b) = (scene.receiver.wait_for("/a", 2).await, scene.receiver.wait_for("/b", 2).await);
    let ids = |all: &[Received]| all.iter().map(|one| one.header("Webhook-Id").unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&a), ids(&b));
    assert_ne!(ids(&a)[0], ids(&a)[1]);
    assert_ne!(signatures(&a[0]), signatures(&b[0]), "each subscription has a secret of its own");
}

#[tokio::test]
async fn s04_two_secrets_sign_while_one_takes_the_others_place() {
    let mut scene = Scene::start().await;
    let before = scene.standard("/a").await;
    let rotate = at(&before, "/secret/rotate");
    let after = scene.post(&rotate, &json!({"gracePeriodSeconds": 3600})).await;
    assert_ne!(secret(&before), secret(&after));
    let end = scene.node.clock.now() + Duration::from_secs(3600);
    assert_eq!(until(&scene.shown(&before).await["oldSecretUntil"], end), Duration::ZERO);
    scene.contact("C1").await;
    scene.receiver.wait_for("/a", 1).await;
    scene.leap(Duration::from_secs(3599));
    scene.contact("C2").await;
    let received = scene.receiver.wait_for("/a", 2).await;
    for received in &received {
        assert_eq!(signatures(received), [expected_v1(secret(&after), received), expected_v1(secret(&before), received)]);
    }
    scene.leap(Duration::from_secs(1));
    scene.contact("C3").await;
    let received = scene.receiver.wait_for("/a", 3).await;
    assert_eq!(signatures(&received[2]), [expected_v1(secret(&after), &received[2])]);

    let third = scene.post(&rotate, &json!({})).await;
    let fourth = scene.post(&rotate, &json!({"gracePeriodSeconds": 60})).await;
    let mut scene = scene.restart(|_| ()).await;
    scene.contact("C4").await;
    let received = scene.receiver.wait_for("/a", 4).await;
    let two = [expected_v1(secret(&fourth), &received[3]), expected_v1(secret(&third), &received[3])];
    assert_eq!(signatures(&received[3]), two, "never more than two, also after a restart");
    let given = format!("whsec_{}", STANDARD.encode([7; 24]));
    let fifth = scene.post(&rotate, &json!({"gracePeriodSeconds": 0, "secret": given})).await;
    assert_eq!(secret(&fifth), given);
    scene.contact("C5").await;
    let received = scene.receiver.wait_for("/a", 5).await;
    assert_eq!(signatures(&received[4]), [expected_v1(&given, &received[4])], "at once");
}

#[tokio::test]
async fn s05_an_asymmetric_signature_is_checked_with_the_public_key() {
    let mut scene = Scene::start().await;
    let wish = with(standard(&scene.receiver.url("/a")), json!({"asymmetric": true}));
    let subscription = scene.subscribe(wish).await;
    scene.contact("C1").await;
    let received = &scene.receiver.wait_for("/a", 1).await[0];
    let [symmetric, asymmetric] = signatures(received)[..] else { panic!("{:?}", signatures(received)) };
    assert_eq!(symmetric, expected_v1(secret(&subscription), received));
    let recode = |text: &str| URL_SAFE_NO_PAD.encode(STANDARD.decode(text).unwrap());
    let public = recode(subscription["publicKey"].as_str().unwrap().strip_prefix("whpk_").unwrap());
    let signature = recode(asymmetric.strip_prefix("v1a,").unwrap());
    assert!(is_signed_by(&public, &signature, &signed(received)));
    assert!(!is_signed_by(&public, &signature, b"something else"));
    let keys = scene.get(&format!("/webhooks/signing/{}", subscription["signingKeyId"].as_str().unwrap())).await;
    assert_eq!(keys["keys"][0]["x"], public.as_str());
    assert_eq!(scene.standard("/b").await["publicKey"], Value::Null, "only for who asked for it");
    let mut scene = scene.restart(|_| ()).await;
    assert_eq!(scene.shown(&subscription).await["publicKey"], subscription["publicKey"], "kept over a restart");
}

#[tokio::test]
async fn s06_a_secret_has_24_to_64_bytes() {
    let mut scene = Scene::start().await;
    let encoded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![1; bytes]));
    for (given, is_good) in [
        (encoded(23), false),
        (encoded(24), true),
        (encoded(64), true),
        (encoded(65), false),
        (STANDARD.encode([1; 24]), false),
        ("whsec_no base64".to_owned(), false),
        ("whpk_AAAA".to_owned(), false),
    ] {
        let wish = with(standard(&scene.receiver.url("/a")), json!({"secret": given}));
        let answer = send(&mut scene.app, Method::POST, "/webhooks/subscriptions", &wish).await;
        if is_good {
            assert_eq!((answer.status.as_u16(), secret(&body(&answer))), (201, given.as_str()));
        } else {
            assert_eq!((answer.status.as_u16(), faults(&answer)[0].0.as_str()), (422, "secret"), "{given}");
            assert!(!body(&answer).to_string().contains(&given), "what may be a secret is not said back");
        }
    }
    let made = scene.standard("/b").await;
    assert_eq!(STANDARD.decode(secret(&made).strip_prefix("whsec_").unwrap()).unwrap().len(), 32);
}

#[tokio::test]
async fn s07_a_3xx_is_a_failure() {
    let mut scene = Scene::start().await;
    let mut subscriptions = Vec::new();
    for status in [300, 301, 302, 303, 304, 307, 308] {
        let path = format!("/{status}");
        let answer = format!("HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
        scene.receiver.usually(&path, Reply::Raw(answer.into()));
        subscriptions.push(scene.standard(&path).await);
    }
    scene.contact("C1").await;
    for subscription in &subscriptions {
        let attempt = scene.attempts(subscription, 1).await.remove(0);
        assert_eq!(attempt["outcome"], "failure");
        assert!(attempt["why"].as_str().unwrap().starts_with("retried in"), "{attempt}");
    }
    assert!(scene.receiver.received("/elsewhere").is_empty());
}

#[tokio::test]
async fn s08_a_410_disables_at_once_and_activate_begins_anew() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let elsewhere = scene.standard("/b").await;
    scene.receiver.script("/a", [Reply::Status(500), Reply::Status(410)]);
    scene.contact("waits").await;
    scene.attempts(&subscription, 1).await;
    scene.contact("gone").await;
    let shown = scene.becomes(&subscription, |shown| shown["health"]["state"] == "disabled").await;
    assert_eq!(shown["active"], true, "what its owner wishes is another matter");
    settle(&scene).await;
    assert_eq!(scene.delivery(&subscription, 2).await["state"], "dead");
    let attempt = scene.attempts(&subscription, 2).await.remove(0);
    assert!(attempt["why"].as_str().unwrap().contains("the subscription is disabled"), "{attempt}");
    scene.contact("after").await;
    scene.receiver.wait_for("/b", 3).await;
    settle(&scene).await;
    scene.pass(1000).await;
    settle(&scene).await;
    assert_eq!(entities(&scene.receiver.received("/a")), ["waits", "gone"]);
    for event in [1, 3] {
        let state = scene.get(&format!("/webhooks/deliveries/{event}-1")).await["state"].clone();
        assert_eq!(state, "suppressed", "also what was queued");
    }

    let mut scene = scene.restart(|_| ()).await;
    assert_eq!(scene.shown(&subscription).await["health"]["state"], "disabled", "a restart changes nothing");
    assert_eq!(scene.shown(&elsewhere).await["health"]["state"], "healthy");
    let active = scene.post(&at(&subscription, "/activate"), &json!({})).await;
    assert_eq!(active["health"]["state"], "healthy");
    scene.contact("anew").await;
    let received = scene.receiver.wait_for("/a", 3).await;
    assert_eq!(entities(&received), ["waits", "gone", "anew"]);
}

#[tokio::test]
async fn s08_who_shares_a_url_shares_its_health_and_its_new_begin() {
    let mut scene = Scene::start().await;
    let (one, other) = (scene.standard("/a").await, scene.standard("/a").await);
    for put in [false, true] {
        let count = scene.receiver.received("/a").len();
        scene.receiver.script("/a", [Reply::Status(410)]);
        scene.contact("gone").await;
        for subscription in [&one, &other] {
            scene.becomes(subscription, |shown| shown["health"]["state"] == "disabled").await;
        }
        settle(&scene).await;
        let count = count.max(scene.receiver.received("/a").len());
        if put {
            let active = send(&mut scene.app, Method::PUT, &at(&one, ""), &json!({"active": true})).await;
            assert_eq!(active.status, 200);
        } else {
            scene.post(&at(&one, "/activate"), &json!({})).await;
        }
        assert_eq!(scene.shown(&other).await["health"]["state"], "healthy");
        scene.contact("anew").await;
        let received = scene.receiver.wait_for("/a", count + 2).await;
        assert_eq!(entities(&received[count..]), ["anew", "anew"]);
    }
}

#[tokio::test]
async fn s09_who_asks_to_be_left_alone_is_and_nobody_else() {
    let mut scene = Scene::start().await;
    let mut asking = Vec::new();
    for status in [429, 502, 503, 504] {
        let path = format!("/{status}");
        let answer = format!("HTTP/1.1 {status} X\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n");
        scene.receiver.script(&path, [Reply::Raw(answer.into())]);
        asking.push((scene.standard(&path).await, path));
    }
    scene.standard("/b").await;
    scene.contact("C1").await;
    for (subscription, path) in &asking {
        scene.attempts(subscription, 1).await;
        let paused = scene.shown(subscription).await["health"]["pausedUntil"].clone();
        assert_eq!(until(&paused, scene.node.clock.now()).as_secs(), 120, "{path}");
    }
    scene.contact("C2").await;
    scene.receiver.wait_for("/b", 2).await;
    settle(&scene).await;
    scene.pass(119).await;
    settle(&scene).await;
    for (_, path) in &asking {
        assert_eq!(scene.receiver.received(path).len(), 1, "{path}");
    }
    scene.pass(1).await;
    for (subscription, path) in &asking {
        let mut told = entities(&scene.receiver.wait_for(path, 3).await[1..]);
        told.sort_unstable();
        assert_eq!(told, ["C1", "C2"], "{path}");
        assert_eq!(scene.shown(subscription).await["health"], json!({"state": "healthy", "pausedUntil": null}), "{path}");
    }
}

#[tokio::test]
async fn s10_retry_after_is_obeyed_up_to_a_day_and_what_is_none_is_ignored() {
    let mut scene = Scene::start().await;
    let now = scene.node.clock.now();
    let date = |seconds: i64| {
        let at = now + jiff::SignedDuration::from_secs(seconds);
        rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap()
    };
    let mut waits = Vec::new();
    for (place, (asked, seconds)) in [
        ("120".to_owned(), 120..=120),
        ("0".to_owned(), 5..=6),
        ("4".to_owned(), 5..=6),
        ("-120".to_owned(), 5..=6),
        ("+120".to_owned(), 5..=6),
        ("1e3".to_owned(), 5..=6),
        ("soon".to_owned(), 5..=6),
        (String::new(), 5..=6),
        ("86401".to_owned(), 86400..=86400),
        ("999999999999999999999999".to_owned(), 86400..=86400),
        (date(300), 300..=300),
        (date(-300), 5..=6),
        (date(3 * 86400), 86400..=86400),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{place}");
        let answer = format!("HTTP/1.1 503 X\r\nretry-after: {asked}\r\ncontent-length: 0\r\n\r\n");
        scene.receiver.usually(&path, Reply::Raw(answer.into()));
        waits.push((scene.standard(&path).await, asked, seconds));
    }
    scene.contact("C1").await;
    for (subscription, asked, seconds) in waits {
        let delivery = scene.delivery(&subscription, 1).await;
        let wait = until(&delivery["nextAttemptAt"], now).as_secs();
        assert!(seconds.contains(&wait), "{asked:?}: {wait} s");
    }
}

#[tokio::test]
async fn the_schedule_is_that_of_the_specification_with_up_to_a_fifth_more_and_ends_after_ten() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    scene.receiver.usually("/a", Reply::Status(500));
    scene.contact("C1").await;
    let hours = |hours: u64| hours * 3600;
    let schedule = [5, 300, 1800, hours(2), hours(5), hours(10), hours(14), hours(20), hours(24)];
    for (place, seconds) in schedule.into_iter().enumerate() {
        let wait = scene.leap_to_next(&subscription, place + 1).await;
        let (least, most) = (Duration::from_secs(seconds), Duration::from_secs(seconds).mul_f64(1.2));
        assert!((least..=most).contains(&wait), "{wait:?} is not {least:?} to {most:?}");
    }
    let delivery = scene.delivery(&subscription, 10).await;
    assert_eq!((&delivery["state"], &delivery["sends"]), (&json!("dead"), &json!(10)));
    assert!(delivery["attempts"][9]["why"].as_str().unwrap().contains("attempt 10 of 10"));
    assert_eq!(scene.node.metrics().await.value("bellwire_webhook_deliveries_dead_total"), 1.0);
    let policy = &scene.shown(&subscription).await["effectivePolicy"];
    assert_eq!((&policy["attempts"], &policy["scheduleSeconds"]), (&json!(10), &json!(schedule)));
}

/// Lets a receiver fail until it is unhealthy. Returns how its health is shown then.
async fn fail_five_times(scene: &mut Scene, subscription: &Value) -> Value {
    scene.receiver.usually("/a", Reply::Status(500));
    scene.contact("fails").await;
    for attempt in 1..5 {
        assert_eq!(scene.shown(subscription).await["health"]["state"], "healthy");
        scene.leap_to_next(subscription, attempt).await;
    }
    scene.becomes(subscription, |shown| shown["health"]["state"] == "unhealthy").await["health"].clone()
}

#[tokio::test]
async fn an_unhealthy_receiver_is_disabled_after_five_days_whatever_restarts_in_between() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    let health = fail_five_times(&mut scene, &subscription).await;
    assert_eq!(until(&health["disabledAt"], scene.node.clock.now()), 5 * DAY);
    assert_eq!(until(&health["since"], scene.node.clock.now()), Duration::ZERO);
    settle(&scene).await;
    scene.leap(2 * DAY);
    scene.attempts(&subscription, 6).await;
    let mut scene = scene.restart(|_| ()).await;
    scene.leap(3 * DAY - Duration::from_secs(1));
    let mut scene = {
        settle(&scene).await;
        let shown = scene.shown(&subscription).await;
        assert_eq!(shown["health"]["disabledAt"], health["disabledAt"], "neither a failure nor a restart lengthens it");
        scene.restart(|_| ()).await
    };
    assert_eq!(scene.shown(&subscription).await["health"]["state"], "unhealthy");
    scene.leap(Duration::from_secs(1));
    let mut scene = scene.restart(|_| ()).await;
    let shown = scene.becomes(&subscription, |shown| shown["health"]["state"] == "disabled").await;
    assert_eq!((&shown["health"]["since"], &shown["health"]["deletedAt"]), (&health["disabledAt"], &Value::Null));

    let count = scene.receiver.received("/a").len();
    scene.contact("suppressed").await;
    settle(&scene).await;
    scene.leap(DAY);
    settle(&scene).await;
    assert_eq!(scene.receiver.received("/a").len(), count);
    assert_eq!(scene.get("/webhooks/deliveries/2-1").await["state"], "suppressed");
    scene.receiver.usually("/a", Reply::Status(200));
    scene.post(&at(&subscription, "/activate"), &json!({})).await;
    scene.contact("anew").await;
    let received = scene.receiver.wait_for("/a", count + 1).await;
    assert_eq!(entities(&received).last().unwrap(), "anew");
}

#[tokio::test]
async fn one_success_makes_an_unhealthy_receiver_healthy() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    fail_five_times(&mut scene, &subscription).await;
    scene.receiver.usually("/a", Reply::Status(200));
    scene.leap(Duration::from_secs(30));
    scene.contact("succeeds").await;
    let shown = scene.becomes(&subscription, |shown| shown["health"]["state"] == "healthy").await;
    assert_eq!(shown["health"], json!({"state": "healthy", "pausedUntil": null}));
    settle(&scene).await;
    scene.leap(6 * DAY);
    let mut scene = scene.restart(|_| ()).await;
    settle(&scene).await;
    assert_eq!(scene.shown(&subscription).await["health"]["state"], "healthy");
}

/// The Python of an environment of its own under `target/` that has the official library; made if missing.
fn python() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("standardwebhooks-1.1.0");
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    if !complete.exists() {
        let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "standardwebhooks==1.1.0"]));
        std::fs::write(complete, "").unwrap();
    }
    python
}

const VERIFY: &str = "
import json, sys
from standardwebhooks import Webhook, WebhookVerificationError
for case in json.load(sys.stdin):
    try:
        Webhook(case['secret']).verify(case['body'], case['headers'])
        print('good')
    except WebhookVerificationError as error:
        print(error)
";

/// Has the official library verify requests. Returns what it says of each.
fn verify(cases: &Value) -> Vec<String> {
    let mut command = Command::new(python());
    let mut child = command.args(["-c", VERIFY]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    write!(child.stdin.take().unwrap(), "{cases}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn s01_s04_s05_the_official_library_accepts_what_is_sent_and_nothing_else() {
    let mut scene = Scene::start().await;
    let wish = with(standard(&scene.receiver.url("/a")), json!({"asymmetric": true}));
    let before = scene.subscribe(wish).await;
    let after = scene.post(&at(&before, "/secret/rotate"), &json!({})).await;
    scene.take(&with(contact("ABC", "C1"), json!({"new": {"id": "C1", "surname": "Søren 🏠"}}))).await;
    let received = &scene.receiver.wait_for("/a", 1).await[0];
    let headers: serde_json::Map<_, _> = received
        .head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let text = std::str::from_utf8(&received.body).unwrap();
    let case = |secret: &str, text: &str| json!({"secret": secret, "body": text, "headers": headers});
    let other = format!("whsec_{}", STANDARD.encode([1; 32]));
    let cases = json!([
        case(secret(&after), text),
        case(secret(&before), text),
        case(&other, text),
        case(secret(&after), &text.replace("ABC", "ABD")),
    ]);
    let none = "No matching signature found";
    assert_eq!(verify(&cases), ["good", "good", none, none]);
}

#[tokio::test]
async fn s09_who_says_429_and_not_for_how_long_is_left_alone_for_a_while() {
    let mut scene = Scene::start().await;
    let subscription = scene.standard("/a").await;
    scene.receiver.usually("/a", Reply::Status(429));
    for number in 0..30 {
        scene.contact(&number.to_string()).await;
    }
    scene.attempts(&subscription, 1).await;
    settle(&scene).await;
    let count = scene.receiver.received("/a").len();
    assert!(count < 30, "{count} requests at once, all of them 429");
}
