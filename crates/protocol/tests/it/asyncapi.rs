//! `protocol/asyncapi.yaml` and the code agree: on every message, and on the close codes.

use jiff::Timestamp;
use protocol::close::{CloseCode, Reaction, reaction};
use protocol::id::EventId;
use protocol::message::{
    ClientMessage, ClientMessageKind, MessageError, MessageErrorCode, Resume, SyncAction, Welcome, encode_go_away, encode_pong,
    encode_refreshed, encode_sync,
};
use serde_json::{Value, json};

use crate::published;

fn document() -> Value {
    let text = std::fs::read_to_string(published("asyncapi.yaml")).unwrap();
    serde_norway::from_str(&text).unwrap()
}

/// The schema of a message, with what it refers to.
fn schema(document: &Value, name: &str) -> jsonschema::Validator {
    let schema = json!({
        "$ref": format!("#/components/messages/{name}/payload"),
        "components": document["components"],
    });
    jsonschema::validator_for(&schema).unwrap()
}

fn messages(document: &Value) -> Vec<String> {
    document["components"]["messages"].as_object().unwrap().keys().cloned().collect()
}

/// One of each message that the code writes.
fn written() -> Vec<Value> {
    let id = EventId::new(1, [0; 10]);
    let event = r#"{"type":"event","id":"a","callId":"c","at":"2026-11-22T03:00:00.500Z","customerId":"SBOX",
        "notification":{"type":"telephony","subType":"answeredCall","products":[],"payload":{}}}"#;
    let welcome = |resume| Welcome {
        session_id: id,
        cursor: id,
        resume,
        calls: vec![event],
        ping_seconds: 25,
        resume_seconds: 180,
        token_expires: Timestamp::UNIX_EPOCH,
        now: Timestamp::UNIX_EPOCH,
    };
    let mut texts: Vec<_> = [Resume::New, Resume::Full, Resume::None].map(|resume| welcome(resume).encode()).into();
    texts.extend([SyncAction::Dismissed, SyncAction::Expired, SyncAction::Missed].map(|action| encode_sync("c", action)));
    texts.extend(MessageErrorCode::ALL.map(|code| MessageError { code, message: "m".to_owned(), reference: None }.encode()));
    texts.extend([
        encode_go_away(5),
        encode_refreshed(Timestamp::UNIX_EPOCH, Some("r")),
        encode_pong(None),
        encode_pong(Some("r")),
    ]);
    texts.iter().map(|text| serde_json::from_slice(text).unwrap()).collect()
}

#[test]
fn every_example_is_what_its_schema_says() {
    let document = document();
    for name in messages(&document) {
        let (schema, message) = (schema(&document, &name), &document["components"]["messages"][&name]);
        let examples = message["examples"].as_array().unwrap_or_else(|| panic!("{name} has no example"));
        for example in examples {
            let errors: Vec<_> = schema.iter_errors(&example["payload"]).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            assert!(!schema.is_valid(&json!({"type": "other"})), "{name} takes anything");
        }
    }
}

#[test]
fn every_message_that_the_code_writes_is_published_as_it_is() {
    let document = document();
    for message in written() {
        let name = message["type"].as_str().unwrap();
        let errors: Vec<_> = schema(&document, name).iter_errors(&message).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{message}: {errors:?}");
        let known = document["components"]["messages"][name]["payload"]["properties"].as_object().unwrap();
        assert!(
            message.as_object().unwrap().keys().all(|member| known.contains_key(member)),
            "{message} has unpublished members"
        );
    }
}

#[test]
fn every_client_message_that_is_published_is_understood_and_no_other() {
    let document = document();
    let heard = document["operations"]["hear"]["messages"].as_array().unwrap();
    let mut names: Vec<_> = heard.iter().map(|message| message["$ref"].as_str().unwrap().rsplit('/').next().unwrap()).collect();
    for name in &names {
        for example in document["components"]["messages"][*name]["examples"].as_array().unwrap() {
            let understood = ClientMessage::parse(&example["payload"].to_string());
            assert!(understood.is_ok(), "{name}: {understood:?}");
        }
    }
    names.sort_unstable();
    let mut known = ClientMessageKind::TYPES;
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn the_close_codes_of_code_and_document_are_the_same() {
    let document = document();
    let client = |code| match reaction(code) {
        Reaction::Stop => "stop",
        Reaction::ReportAndTryOnce => "report",
        Reaction::BackOff => "back off",
        Reaction::Resume => "resume",
    };
    let of_code: Vec<_> = CloseCode::ALL
        .map(CloseCode::on_the_wire)
        .iter()
        .map(|&(code, reason)| json!({"code": code, "reason": reason, "client": client(code)}))
        .collect();
    assert_eq!(document["x-close-codes"], json!(of_code));
}
