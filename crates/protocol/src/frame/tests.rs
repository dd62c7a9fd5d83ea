use std::collections::BTreeSet;

use super::*;
use crate::authorise::{Caller, Event, Grant, Identity, Stamp, authorise};
use crate::envelope::Envelope;
use crate::id::{ClientId, CustomerId};

fn event(body: &str) -> Event<'_> {
    let known = [Product::parse("AgencyCloud").unwrap()].iter().collect();
    let caller = Box::leak(Box::new(Caller {
        client_id: ClientId::parse("app").ok().map(Box::new),
        scopes: BTreeSet::from(["notifications.telephony.write".to_owned()]),
        identity: Identity::Application,
        expires: Timestamp::MAX,
    }));
    let envelope = Envelope::parse(body.as_bytes(), &known).expect("an envelope");
    let stamp = Stamp { id: EventId::new(1, [7; 10]), at: time::read("2026-11-22T03:00:00.5").unwrap() };
    authorise(caller, CustomerId::parse("SBOX").unwrap(), Grant::Everything, envelope, stamp).expect("authorised")
}

fn live(body: &str) -> Live<'_> {
    match event(body) {
        Event::Live(live) => live,
        Event::Missed(missed) => panic!("{missed:?}"),
    }
}

fn body(sub_type: &str, payload: &str) -> String {
    format!(
        r#"{{"type":"telephony","subType":"{sub_type}","products":["AgencyCloud","AgencyCloud"],
            "targets":{{"negotiatorId":["ADV"]}},"payload":{payload}}}"#
    )
}

#[test]
fn an_incoming_call_is_written_with_its_end_and_without_its_targets() {
    let body = body(
        "incomingCall",
        r#"{"created":"2023-11-01T10:28:00","huntGroup":false,"answeredById":null,"destinationId":"01234 567890","callerId":"Withheld","id":"caf\u00e9"}"#,
    );
    let event = live(&body);
    let frame = encode(&event);
    let expected = concat!(
        r#"{"type":"event","id":"00000000000177078707070707070707","callId":"café","at":"2026-11-22T03:00:00.500Z","#,
        r#""expires":"2026-11-22T03:00:45.500Z","customerId":"SBOX","notification":{"type":"telephony","subType":"incomingCall","#,
        r#""products":["AgencyCloud"],"payload":{"id":"café","created":"2023-11-01T10:28:00","callerId":"Withheld","#,
        r#""destinationId":"01234 567890","huntGroup":false}}}"#,
    );
    assert_eq!(std::str::from_utf8(&frame.text).unwrap(), expected);
}

#[test]
fn a_call_without_an_id_is_called_by_its_event() {
    let body = body("endedCall", r#"{"created":"2023-11-01T10:28:00","callerId":"1","destinationId":"2"}"#);
    let event = live(&body);
    let frame = encode(&event);
    assert!(frame.facts.expires.is_none());
    let json: serde_json::Value = serde_json::from_slice(&frame.text).unwrap();
    assert_eq!(json["callId"], json["id"]);
    assert!(json.get("expires").is_none());
}

#[test]
fn whatever_stands_in_a_call_id_is_written_as_json() {
    for id in [r#"a \" quote"#, r"a \\ backslash", "caf\u{e9} \u{1f600}", r"a / slash", r"\u2028"] {
        for sub_type in ["endedCall", "missedCall"] {
            let payload = format!(r#"{{"id":"{id}","created":"2023-11-01T10:28:00","callerId":"1","destinationId":"2"}}"#);
            let body = body(sub_type, &payload);
            let (event, sent) = (event(&body), serde_json::from_str::<serde_json::Value>(&body).unwrap());
            let written = match &event {
                Event::Live(live) => {
                    let frame: serde_json::Value = serde_json::from_slice(&encode(live).text).unwrap();
                    assert_eq!(frame["callId"], sent["payload"]["id"]);
                    frame["notification"].to_string()
                }
                Event::Missed(missed) => encode_notification(missed),
            };
            for text in [encode_told(&event), written] {
                let written: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(written["payload"]["id"], sent["payload"]["id"]);
            }
        }
    }
}
