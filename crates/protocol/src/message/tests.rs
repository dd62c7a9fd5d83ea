use super::*;

fn error_of(text: &str) -> serde_json::Value {
    match ClientMessage::parse(text) {
        Err(ClientFault::Message(error)) => serde_json::from_slice(&error.encode()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_ack_names_an_event_and_a_ping_may_carry_a_ref() {
    let id = EventId::new(1, [0; 10]);
    assert_eq!(
        ClientMessage::parse(&format!(r#"{{"type":"ack","id":"{id}","more":1}}"#)),
        Ok(ClientMessage { kind: ClientMessageKind::Ack(id), reference: None })
    );
    let longest = "r".repeat(64);
    let ping = ClientMessage::parse(&format!(r#"{{"type":"ping","ref":"{longest}"}}"#));
    assert_eq!(ping, Ok(ClientMessage { kind: ClientMessageKind::Ping, reference: Some(longest) }));
    assert_eq!(encode_pong(Some("a")), br#"{"type":"pong","ref":"a"}"#);
    assert_eq!(encode_pong(None), br#"{"type":"pong"}"#);
}

#[test]
fn what_is_not_json_ends_the_session_and_what_is_no_message_does_not() {
    assert_eq!(ClientMessage::parse("{"), Err(ClientFault::Unreadable));
    assert_eq!(error_of("[]")["code"], "bad_message");
    assert_eq!(error_of("{}")["code"], "bad_message");
    assert_eq!(error_of(r#"{"type":1}"#)["code"], "bad_message");
    assert_eq!(error_of(r#"{"type":"ack"}"#)["code"], "bad_message");
    assert_eq!(error_of(r#"{"type":"ack","id":"no"}"#)["code"], "bad_message");
    assert_eq!(error_of(&format!(r#"{{"type":"ping","ref":"{}"}}"#, "r".repeat(65)))["code"], "bad_message");
    let unknown = error_of(r#"{"type":"sing","ref":"r1"}"#);
    assert_eq!(unknown["code"], "unknown_type");
    assert_eq!(unknown["ref"], "r1");
}

#[test]
fn the_id_of_a_call_has_1_to_128_characters() {
    let dismissed = |id: &str| format!(r#"{{"type":"dismissed","callId":"{id}"}}"#);
    let longest = "ä".repeat(128);
    let kind = ClientMessage::parse(&dismissed(&longest)).map(|message| message.kind);
    assert_eq!(kind, Ok(ClientMessageKind::Dismissed(longest.clone())));
    for id in [String::new(), longest + "a"] {
        assert_eq!(error_of(&dismissed(&id))["code"], "bad_message", "{id}");
    }
}

#[test]
fn a_ref_that_is_null_is_as_good_as_none() {
    let ping = ClientMessage::parse(r#"{"type":"ping","ref":null}"#);
    assert_eq!(ping, Ok(ClientMessage { kind: ClientMessageKind::Ping, reference: None }));
}
