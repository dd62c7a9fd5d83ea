//! A thousand sessions, twenty thousand events by sixteen connections: everyone gets exactly their own.

use std::collections::HashMap;

use client::session::{Heard, Session};
use futures::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use crate::support::*;

const SESSIONS: usize = 1_000;
const CONNECTIONS: usize = 16;
const EVENTS: usize = 20_000;

/// The call id of event `number` of `connection`, and who gets it.
fn plan(connection: usize, number: usize) -> (String, usize) {
    let recipient = (number * 7 + connection * 131) % SESSIONS;
    (format!("{connection}-{number}"), recipient)
}

async fn provide(node: &TestNode, connection: usize) {
    let mut provider = Caller::application(&node.api);
    for number in 0..EVENTS / CONNECTIONS {
        let (id, recipient) = plan(connection, number);
        let mut call = event("incomingCall", &[&format!("N{recipient}")]);
        call["payload"]["id"] = json!(id);
        assert_eq!(provider.post(call.to_string(), &[]).await.status, 202);
    }
}

/// Reads until `expected` events have come. Returns their call ids in order.
async fn listen(mut session: Session, expected: usize) -> (Session, Vec<String>) {
    let mut ids = Vec::with_capacity(expected);
    while ids.len() < expected {
        match timeout(PATIENCE * 6, session.next()).await.expect("an event in time") {
            Heard::Message(message) => ids.push(message["callId"].as_str().unwrap().to_owned()),
            closed @ Heard::Closed { .. } => panic!("{closed:?}"),
        }
    }
    (session, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_gets_exactly_their_own_in_order() {
    let node = TestNode::start().await;
    let mut expected: HashMap<usize, Vec<String>> = HashMap::new();
    for connection in 0..CONNECTIONS {
        for number in 0..EVENTS / CONNECTIONS {
            let (id, recipient) = plan(connection, number);
            expected.entry(recipient).or_default().push(id);
        }
    }
    let opened = join_all((0..SESSIONS).map(|number| {
        let node = &node;
        async move { node.session("SBOX", &format!("N{number}"), "").await }
    }));
    let sessions = opened.await;
    let listeners = sessions.into_iter().enumerate().map(|(number, session)| listen(session, expected[&number].len()));
    let providers = join_all((0..CONNECTIONS).map(|connection| provide(&node, connection)));
    let (heard, _) = tokio::join!(join_all(listeners), providers);

    for (number, (mut session, ids)) in heard.into_iter().enumerate() {
        let own = &expected[&number];
        for connection in 0..CONNECTIONS {
            let of_connection = |ids: &[String]| {
                let prefix = format!("{connection}-");
                ids.iter().filter(|id| id.starts_with(&prefix)).cloned().collect::<Vec<_>>()
            };
            assert_eq!(of_connection(&ids), of_connection(own), "session {number}: none missing, none twice, in order");
        }
        assert_eq!(ids.len(), own.len(), "session {number}: nothing of others");
        assert_silent(&mut session).await;
    }
    let metrics = node.metrics().await;
    let events = EVENTS as f64;
    for name in [
        "bellwire_events_total{sub_type=\"incomingCall\"}",
        "bellwire_deliveries_queued_total",
        "bellwire_deliveries_written_total",
        "bellwire_event_taken_to_queued_seconds_count",
        "bellwire_event_taken_to_written_seconds_count",
    ] {
        assert_eq!(metrics.value(name), events, "{name}");
    }
    assert_eq!(metrics.value("bellwire_session_queue_events"), 0.0);
}
