//! ApiRTC (Apizee): the states of a ticket are those of a call; a conversation is known by its end alone.
//!
//! These callbacks name neither a person nor a telephone number, so the connector says for whom calls ring, and `unknown` stands
//! for the numbers. They have no id either: the body is its own.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::callback::{Callback, UnreadableCallback, call_id, key, text};
use crate::fact::{Fact, Note, Party, Reading, What};

/// What the states of a ticket make of a call.
const STATES: [(&str, Says); 11] = [
    ("invited", Says::Rings),
    ("inprogress", Says::Connected),
    ("done", Says::Over),
    ("closed", Says::Over),
    ("expired", Says::Unanswered),
    ("declined", Says::Unanswered),
    ("rejected", Says::Unanswered),
    ("new", Says::Nothing),
    ("open", Says::Nothing),
    ("opened", Says::Nothing),
    ("updated", Says::Nothing),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Rings,
    Connected,
    Unanswered,
    Over,
    Nothing,
}

pub(crate) fn read(
    callback: Callback<'_>,
    members: &Map<String, Value>,
    rings_for: &[String],
) -> Result<Reading, UnreadableCallback> {
    let object = text(members, &["object"]);
    let reading = Reading::new(key(&[callback.body]));
    let props = members.get("props").and_then(Value::as_object);
    let property = |name: &str| props.map(|props| text(props, &[name])).unwrap_or_default();
    let rings_for: Vec<_> = rings_for.iter().cloned().map(Party::Known).collect();
    let says = match object.as_ref() {
        "" => return Err(UnreadableCallback::Missing("object")),
        "ticket" if text(members, &["event"]) == "delete" => Says::Over,
        "ticket" => match STATES.iter().find(|(name, _)| *name == property("state")) {
            Some((_, says)) => *says,
            None => return Ok(reading.noted(Note::UnknownEvent)),
        },
        "conversation" if property("eventType") == "conversationEnded" => Says::Over,
        "media" | "smsmessage" | "conversation" => Says::Nothing,
        _ => return Ok(reading.noted(Note::UnknownEvent)),
    };
    let what = match says {
        Says::Rings => What::Rings(rings_for),
        // Who took it is not said: it is taken for all.
        Says::Connected => What::Taken(rings_for),
        Says::Unanswered => What::Unanswered,
        Says::Over => What::Done(rings_for),
        Says::Nothing => return Ok(reading.noted(Note::NoTelephony)),
    };
    Ok(of_call(reading, what, &object, callback, members))
}

fn of_call(mut reading: Reading, what: What, object: &str, callback: Callback<'_>, members: &Map<String, Value>) -> Reading {
    let id = text(members, &["objectId"]);
    let Some(call) = call_id(&id).map(|id| format!("{object}-{id}")).and_then(|id| call_id(&id)) else {
        return reading.noted(Note::NoCall);
    };
    let at = members.get("time").and_then(Value::as_i64).and_then(|seconds| Timestamp::from_second(seconds).ok());
    let at = at.unwrap_or_else(|| {
        reading.notes.push(Note::NoTime);
        callback.received
    });
    let numbers = Some((String::new(), String::new()));
    reading.facts.push(Fact { call, at, what, numbers, hunt_group: false });
    reading
}
