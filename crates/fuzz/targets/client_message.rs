//! What a client says in a session: what is taken is what `protocol/asyncapi.yaml` publishes, and nothing published is refused.
#![no_main]

use std::sync::LazyLock;

use jsonschema::Validator;
use libfuzzer_sys::fuzz_target;
use protocol::message::{ClientFault, ClientMessage, ClientMessageKind, MessageErrorCode};
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_norway::from_str(include_str!("../../../protocol/asyncapi.yaml")).unwrap());
static PUBLISHED: LazyLock<[Validator; 5]> = LazyLock::new(|| ClientMessageKind::TYPES.map(schema));
static ERROR: LazyLock<Validator> = LazyLock::new(|| schema("error"));

fn schema(name: &str) -> Validator {
    let reference = format!("#/components/messages/{name}/payload");
    jsonschema::validator_for(&json!({"$ref": reference, "components": DOCUMENT["components"]})).unwrap()
}

/// The message as another client would write it.
fn written(message: &ClientMessage) -> Value {
    let mut json = match &message.kind {
        ClientMessageKind::Ack(id) => json!({"type": "ack", "id": id}),
        ClientMessageKind::Shown(call) => json!({"type": "shown", "callId": call}),
        ClientMessageKind::Dismissed(call) => json!({"type": "dismissed", "callId": call}),
        ClientMessageKind::Refresh(token) => json!({"type": "refresh", "token": token}),
        ClientMessageKind::Ping => json!({"type": "ping"}),
    };
    if let Some(reference) = &message.reference {
        json["ref"] = json!(reference);
    }
    json
}

fn is_published(json: &Value) -> bool {
    let place = ClientMessageKind::TYPES.iter().position(|name| json["type"] == *name);
    place.is_some_and(|place| PUBLISHED[place].is_valid(json))
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let json = serde_json::from_str::<Value>(text);
    match (ClientMessage::parse(text), json) {
        (Ok(message), Ok(json)) => {
            assert!(is_published(&json), "taken, but not published: {json}");
            let written = written(&message);
            for (member, value) in written.as_object().unwrap() {
                assert_eq!(json[member], *value, "{member} is not what was said");
            }
            assert_eq!(ClientMessage::parse(&written.to_string()), Ok(message), "written and read again");
        }
        (Err(ClientFault::Message(error)), Ok(json)) => {
            // An id is opaque to clients: which are ours is not published.
            let of_another_form =
                json["type"] == "ack" && error.code == MessageErrorCode::BadMessage && error.message.contains("id");
            assert!(of_another_form || !is_published(&json), "published, but refused: {json}: {error}");
            let answer: Value = serde_json::from_slice(&error.encode()).unwrap();
            assert!(ERROR.is_valid(&answer), "the answer is not published: {answer}");
            assert!(answer["ref"].is_null() || answer["ref"] == json["ref"], "the mark is not the client's: {answer}");
        }
        (Err(ClientFault::Unreadable), Err(_)) => {}
        (outcome, json) => panic!("JSON or not: {outcome:?} of {json:?}"),
    }
});
