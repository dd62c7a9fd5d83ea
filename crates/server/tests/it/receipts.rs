//! What became of an event, for who posted it.

use std::time::Duration;

use client::session::Session;
use serde_json::{Value, json};

use crate::support::*;

const REPRESENT: (&str, &str) = ("prefer", "return=representation");

async fn post(node: &TestNode, sub_type: &str) -> String {
    let answer = node.post(event(sub_type, &["ADV", "JAS"]).to_string(), &[REPRESENT]).await;
    body(&answer)["id"].as_str().unwrap().to_owned()
}

async fn receipts(node: &TestNode, id: &str) -> Value {
    let answer = Caller::application(&node.api).get(&format!("/notifications/{id}/receipts"), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")), "{:?}", answer.body);
    let receipts = body(&answer);
    assert_eq!(receipts["id"], id);
    receipts["targets"].clone()
}

/// Says something and waits until the node has heard it.
async fn say(session: &mut Session, message: Value) {
    session.send(&message).await.unwrap();
    assert_silent(session).await;
}

#[tokio::test]
async fn each_device_has_a_line_from_sent_to_shown() {
    let node = TestNode::start().await;
    let mut desk = node.session("SBOX", "ADV", "?device=desk").await;
    let mut unnamed = node.session("SBOX", "ADV", "").await;
    let id = post(&node, "incomingCall").await;
    for session in [&mut desk, &mut unnamed] {
        assert_eq!(next_event(session).await["id"], id.as_str());
        assert_silent(session).await;
    }
    let sent = node.clock.now();
    node.clock.advance(Duration::from_secs(1));
    say(&mut desk, json!({"type": "ack", "id": id})).await;
    say(&mut desk, json!({"type": "shown", "callId": "ax2uyio8p"})).await;
    node.clock.advance(Duration::from_secs(1));
    say(&mut desk, json!({"type": "dismissed", "callId": "ax2uyio8p"})).await;
    assert_eq!(message(&mut unnamed).await["action"], "dismissed");

    let targets = receipts(&node, &id).await;
    let millis = |seconds: i64| {
        let at = sent + jiff::SignedDuration::from_secs(seconds);
        at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    };
    let first = &targets[0]["devices"][0];
    let (session_id, second) = (first["sessionId"].clone(), targets[0]["devices"][1].clone());
    let expected = json!({
        "device": "desk", "sessionId": session_id, "sent": millis(0), "acknowledged": millis(1), "shown": millis(1),
        "dismissed": millis(2),
    });
    assert_eq!(first, &expected);
    assert_eq!(second, json!({"sessionId": second["sessionId"], "sent": millis(0)}));
    assert_eq!(targets[1], json!({"negotiatorId": "JAS", "devices": []}), "nobody was logged in");
}

#[tokio::test]
async fn a_late_event_says_so() {
    let node = TestNode::start().await;
    let answered = post(&node, "answeredCall").await;
    let overtaken = post(&node, "incomingCall").await;
    assert_eq!(receipts(&node, &answered).await[0], json!({"negotiatorId": "ADV", "devices": []}));
    assert_eq!(receipts(&node, &overtaken).await[0], json!({"negotiatorId": "ADV", "late": true, "devices": []}));
}

#[tokio::test]
async fn they_are_for_who_posted_the_event_and_for_the_resume_window() {
    let node = TestNode::start().await;
    let id = post(&node, "incomingCall").await;
    let path = format!("/notifications/{id}/receipts");
    let other = token(&json!({"client_id": "other", "scope": "notifications.telephony.write"}));
    let reader = token(&json!({"client_id": "app", "scope": "notifications.telephony.read"}));
    for (token, customer, status) in [
        (application_token(), "SBOX", 200),
        (application_token(), "RES", 404),
        (other, "SBOX", 404),
        (reader, "SBOX", 403),
        (person("SBOX", "ADV", "AgencyCloud"), "SBOX", 403),
    ] {
        let mut caller = Caller { api: client::api::Api::new(&node.api), token, customer: Some(customer.to_owned()) };
        assert_eq!(caller.get(&path, &[]).await.status.as_u16(), status);
    }
    let mut caller = Caller::application(&node.api);
    let missed = post(&node, "missedCall").await;
    for path in [format!("/notifications/{missed}/receipts"), "/notifications/what/receipts".to_owned()] {
        let answer = caller.get(&path, &[]).await;
        let expected = "There are no receipts of this event for this application; they are kept for 180 s at most";
        assert_eq!((answer.status.as_u16(), &body(&answer)["description"]), (404, &json!(expected)));
    }
    assert_eq!(caller.get(&format!("{path}?a=b"), &[]).await.status.as_u16(), 400);
    assert_eq!(caller.post("{}", &[]).await.status.as_u16(), 422);
    node.clock.advance(Duration::from_secs(180));
    assert_eq!(caller.get(&path, &[]).await.status.as_u16(), 404);
}

/// The devices of a target by name, with what is known of each beside when it was sent.
fn devices(target: &Value) -> Vec<(String, Vec<String>)> {
    let device = |device: &Value| {
        let known = device.as_object().unwrap().keys().filter(|name| !["device", "sessionId", "sent"].contains(&name.as_str()));
        (device["device"].as_str().unwrap_or_default().to_owned(), known.cloned().collect())
    };
    target["devices"].as_array().unwrap().iter().map(device).collect()
}

fn line(device: &str, known: &[&str]) -> (String, Vec<String>) {
    (device.to_owned(), known.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn they_hold_over_a_graceful_restart_and_go_on_there() {
    let node = TestNode::start().await;
    let mut desk = node.session("SBOX", "ADV", "?device=desk").await;
    post(&node, "answeredCall").await;
    let late = post(&node, "incomingCall").await;
    let mut ringing = event("incomingCall", &["ADV", "JAS"]);
    ringing["payload"]["id"] = json!("ringing");
    let answer = node.post(ringing.to_string(), &[REPRESENT]).await;
    let id = body(&answer)["id"].as_str().unwrap().to_owned();
    while next_event(&mut desk).await["id"] != id.as_str() {}
    assert_silent(&mut desk).await;
    let before = (receipts(&node, &late).await, receipts(&node, &id).await);
    let (clock, (folder, _)) = (node.clock.clone(), tokio::join!(node.stop(), close_code(&mut desk)));
    let node = TestNode::start_in(folder, clock, |_| ()).await;
    assert_eq!((receipts(&node, &late).await, receipts(&node, &id).await), before);

    let mut desk = node.session("SBOX", "ADV", &format!("?device=desk&resume={id}")).await;
    say(&mut desk, json!({"type": "dismissed", "callId": "ringing"})).await;
    let mut phone = node.session("SBOX", "ADV", "?device=phone").await;
    say(&mut phone, json!({"type": "shown", "callId": "ringing"})).await;
    let targets = receipts(&node, &id).await;
    // The cursor says that the desk had it; the phone was told by its welcome.
    assert_eq!(devices(&targets[0]), [line("desk", &["acknowledged", "dismissed"]), line("phone", &["shown"])]);
    assert_eq!(targets[1], json!({"negotiatorId": "JAS", "devices": []}));
}

#[tokio::test]
async fn what_is_shown_is_the_call_as_it_rings_now() {
    let node = TestNode::start().await;
    let mut desk = node.session("SBOX", "ADV", "?device=desk").await;
    let first = post(&node, "incomingCall").await;
    let ended = post(&node, "endedCall").await;
    node.clock.advance(Duration::from_secs(11));
    let again = post(&node, "incomingCall").await;
    while next_event(&mut desk).await["id"] != again.as_str() {}
    say(&mut desk, json!({"type": "shown", "callId": "ax2uyio8p"})).await;
    for (id, known) in [(first, &[][..]), (ended, &[]), (again, &["shown"])] {
        assert_eq!(devices(&receipts(&node, &id).await[0]), [line("desk", known)]);
    }
}

#[tokio::test]
async fn one_acknowledgement_covers_all_that_a_resume_brings() {
    let node = TestNode::start().await;
    let mut ids = Vec::new();
    for _ in 0..128 {
        let mut call = event("endedCall", &["ADV"]);
        call["payload"]["id"] = json!(format!("call-{}", ids.len()));
        let answer = node.post(call.to_string(), &[REPRESENT]).await;
        ids.push(body(&answer)["id"].as_str().unwrap().to_owned());
        if ids.len() == 1 {
            node.session("SBOX", "ADV", "?device=desk").await.close().await;
        }
    }
    let mut desk = node.session("SBOX", "ADV", &format!("?device=desk&resume={}", ids[0])).await;
    while next_event(&mut desk).await["id"] != ids[127].as_str() {}
    say(&mut desk, json!({"type": "ack", "id": ids[127]})).await;
    for id in &ids[1..] {
        assert_eq!(devices(&receipts(&node, id).await[0]), [line("desk", &["acknowledged"])]);
    }
}

#[tokio::test]
async fn none_are_kept_beyond_the_bound() {
    let node = TestNode::start_with(|config| config.sessions.receipts_max = 3).await;
    let first = post(&node, "incomingCall").await;
    let second = post(&node, "answeredCall").await;
    let answer = Caller::application(&node.api).get(&format!("/notifications/{first}/receipts"), &[]).await;
    assert_eq!(answer.status.as_u16(), 404);
    receipts(&node, &second).await;
    assert_eq!(node.metrics().await.value("bellwire_receipts"), 2.0);
}
