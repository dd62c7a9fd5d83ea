//! Avaya Experience Platform, Digital: engagements with a telephone number become calls.
//!
//! An engagement says who calls (`customerIdentifiers.phoneNumbers`), an agent who is added to it takes the call, and one who is
//! disconnected ends it. There is no ringing in these callbacks; the pop comes when the agent is added. An engagement without a
//! telephone number is a chat or an e-mail: it is acknowledged only, as are messages, typing and errors.

use protocol::time;
use serde_json::{Map, Value};

use crate::callback::{Callback, UnreadableCallback, call_id, key, text};
use crate::fact::{Fact, Note, Party, Reading, What};
use crate::number;
use crate::people::People;

pub(crate) fn read(
    callback: Callback<'_>,
    members: &Map<String, Value>,
    people: People<'_>,
) -> Result<Reading, UnreadableCallback> {
    let event = text(members, &["eventType"]);
    // `correlationId` is the same in all samples, so that it tells no callback from another; the whole body does.
    let reading = Reading::new(key(&[callback.body]));
    match event.as_ref() {
        "" => Err(UnreadableCallback::Missing("eventType")),
        "ENGAGEMENT_CREATED" | "PARTICIPANT_ADDED" | "PARTICIPANT_DISCONNECTED" => {
            Ok(of_engagement(reading, &event, callback, members, people))
        }
        "MESSAGES" | "TYPING" | "ENGAGEMENT_ERROR" => Ok(reading.noted(Note::NoTelephony)),
        _ => Ok(reading.noted(Note::UnknownEvent)),
    }
}

fn of_engagement(
    mut reading: Reading,
    event: &str,
    callback: Callback<'_>,
    members: &Map<String, Value>,
    people: People<'_>,
) -> Reading {
    let Some(call) = call_id(&text(members, &["engagementId"])) else { return reading.noted(Note::NoCall) };
    let at = time::read(&text(members, &["eventDate"])).unwrap_or_else(|| {
        reading.notes.push(Note::NoTime);
        callback.received
    });
    let fact = |what, numbers| Fact { call: call.clone(), at, what, numbers, hunt_group: false };
    if event == "ENGAGEMENT_CREATED" {
        let Some(caller) = caller(members) else { return reading.noted(Note::NoTelephony) };
        let called = number::read(&text(members, &["sourceAddress"])).unwrap_or_default();
        reading.facts.push(fact(What::Known, Some((caller, called))));
        return reading;
    }
    let agent = || {
        let names = ["participantId", "providerParticipantId", "displayName"].map(|name| text(members, &[name]));
        people.party(&names.each_ref().map(AsRef::as_ref))
    };
    match (event, text(members, &["participantType"]).as_ref()) {
        ("PARTICIPANT_ADDED", "AGENT") => match agent() {
            Some(agent @ Party::Known(_)) => reading.facts.push(fact(What::Joined(agent), None)),
            Some(Party::Unknown(_)) | None => reading.notes.push(Note::UnknownUser),
        },
        ("PARTICIPANT_DISCONNECTED", "AGENT") => match agent() {
            Some(agent @ Party::Known(_)) => reading.facts.push(fact(What::Left(vec![agent]), None)),
            Some(Party::Unknown(_)) | None => reading.notes.push(Note::UnknownUser),
        },
        ("PARTICIPANT_DISCONNECTED", "CUSTOMER") => reading.facts.push(fact(What::Over, None)),
        _ => reading.notes.push(Note::NoTelephony),
    }
    reading
}

/// The first telephone number of the customer.
fn caller(members: &Map<String, Value>) -> Option<String> {
    let numbers = members.get("customerIdentifiers")?.get("phoneNumbers")?.as_array()?;
    numbers.iter().filter_map(Value::as_str).find_map(number::read)
}
