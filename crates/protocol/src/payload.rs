//! The letter in the envelope: what a call event says. One table for all four sub-types.
//!
//! The rules are those of Reapit's published notification types, which leave the texts' lengths and characters open; the limits
//! here are ours and stand in `protocol/schemas/`.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, Members, shown};
use crate::id::NegotiatorId;
use crate::json::Json;
use crate::time;

/// What happened to the call, in the order in which a call goes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubType {
    /// It rings.
    IncomingCall,
    /// Somebody took it.
    AnsweredCall,
    /// It is over.
    EndedCall,
    /// Nobody took it.
    MissedCall,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallState {
    /// It rings.
    Incoming,
    /// Somebody took it.
    Answered,
    /// It is over.
    Ended,
}

impl SubType {
    /// All of them, in the order in which a call goes through them.
    pub const ALL: [Self; 4] = [Self::IncomingCall, Self::AnsweredCall, Self::EndedCall, Self::MissedCall];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IncomingCall => "incomingCall",
            Self::AnsweredCall => "answeredCall",
            Self::EndedCall => "endedCall",
            Self::MissedCall => "missedCall",
        }
    }

    /// What it makes of a call that is shown live; `None`: it is kept until the product asks.
    #[must_use]
    pub fn state(self) -> Option<CallState> {
        match self {
            Self::IncomingCall => Some(CallState::Incoming),
            Self::AnsweredCall => Some(CallState::Answered),
            Self::EndedCall => Some(CallState::Ended),
            Self::MissedCall => None,
        }
    }

    /// Whether somebody can have answered.
    fn takes_answered_by(self) -> bool {
        match self {
            Self::AnsweredCall | Self::EndedCall => true,
            Self::IncomingCall | Self::MissedCall => false,
        }
    }
}

/// A call event's members, as they were sent; absent and null ones are left out when it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload<'a> {
    /// Links the events of one call.
    pub id: Option<Cow<'a, str>>,
    /// When it happened, by the provider's clock.
    pub created: Created<'a>,
    /// Who calls.
    pub caller_id: Cow<'a, str>,
    /// Which number was called.
    pub destination_id: Cow<'a, str>,
    /// Whether the call rings for a group.
    pub hunt_group: Option<bool>,
    /// Who took it.
    pub answered_by_id: Option<NegotiatorId>,
}

/// A time as it was sent, and as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Created<'a> {
    /// As it was sent.
    pub text: Cow<'a, str>,
    /// As it was read.
    pub at: Timestamp,
}

const MEMBERS: [&str; 6] = ["id", "created", "callerId", "destinationId", "huntGroup", "answeredById"];
/// How long the id of a call can be.
pub(crate) const ID_CHARACTERS_MAX: usize = 128;
const NUMBER_CHARACTERS_MAX: usize = 32;

/// The words that stand where a caller's number is not known, in any case.
pub const NUMBERLESS: [&str; 3] = ["unknown", "withheld", "anonymous"];

/// What a payload says, before each text is held against its rules.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Texts<'a> {
    id: Option<&'a str>,
    created: &'a str,
    caller_id: &'a str,
    destination_id: &'a str,
    hunt_group: Option<bool>,
    answered_by_id: Option<&'a str>,
}

impl<'a> Payload<'a> {
    /// Takes a payload whose texts are all as they should be.
    pub(crate) fn of_texts(texts: Texts<'a>, sub_type: SubType) -> Option<Self> {
        let good = |check: Check<'a, Cow<'a, str>>, text: &'a str| check(Cow::Borrowed(text)).ok();
        let id = optional(texts.id.map(|id| good(call_id, id)))?;
        let created = created(Cow::Borrowed(texts.created)).ok()?;
        let (caller_id, destination_id) = (good(number, texts.caller_id)?, good(number, texts.destination_id)?);
        let answered_by_id = optional(texts.answered_by_id.map(|id| NegotiatorId::parse(id).ok()))?;
        let is_for_all = answered_by_id.is_none() || sub_type.takes_answered_by();
        let payload = Self { id, created, caller_id, destination_id, hunt_group: texts.hunt_group, answered_by_id };
        is_for_all.then_some(payload)
    }

    /// Reads the payload of a `sub_type`; what is wrong goes to `faults`.
    pub fn parse(json: Json<'a>, sub_type: SubType, faults: &mut Faults) -> Option<Self> {
        let mut members = Members::open(json, "payload", &MEMBERS, faults)?;
        let id = members.take("id").map(|json| {
            let checked = text(json).and_then(call_id);
            checked.map_err(|message| faults.add("payload.id", message)).ok()
        });
        let created = required(&mut members, "created", faults, created);
        let caller_id = required(&mut members, "callerId", faults, number);
        let destination_id = required(&mut members, "destinationId", faults, number);
        let hunt_group = members.take("huntGroup").map(|json| hunt_group(&json, faults));
        let answered_by_id = members.take("answeredById").map(|json| answered_by(&json, sub_type, faults));
        Some(Self {
            id: optional(id)?,
            created: created?,
            caller_id: caller_id?,
            destination_id: destination_id?,
            hunt_group: optional(hunt_group)?,
            answered_by_id: optional(answered_by_id)?,
        })
    }
}

/// Turns "absent, or given and good or bad" into "bad, or absent or good".
fn optional<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(None) => None,
        Some(good) => Some(good),
    }
}

type Check<'a, T> = fn(Cow<'a, str>) -> Result<T, String>;

fn required<'a, T>(members: &mut Members<'a>, name: &str, faults: &mut Faults, check: Check<'a, T>) -> Option<T> {
    let json = members.require(name, faults)?;
    let checked = text(json).and_then(check);
    checked.map_err(|message| faults.add(members.at(name), message)).ok()
}

fn text(json: Json<'_>) -> Result<Cow<'_, str>, String> {
    match json {
        Json::String(text) => Ok(text),
        other => Err(format!("must be a string, got {}", other.kind())),
    }
}

fn call_id(id: Cow<'_, str>) -> Result<Cow<'_, str>, String> {
    let length = id.chars().count();
    match length {
        1..=ID_CHARACTERS_MAX if !id.chars().any(char::is_control) => Ok(id),
        1..=ID_CHARACTERS_MAX => Err("must not hold control characters".to_owned()),
        _ => Err(format!("must have 1 to {ID_CHARACTERS_MAX} characters, got {length}")),
    }
}

fn created(text: Cow<'_, str>) -> Result<Created<'_>, String> {
    if let Some(at) = time::read(&text) {
        return Ok(Created { text, at });
    }
    Err(format!("must be a time such as 2023-11-01T10:28:00 or 2023-11-01T10:28:00.5+01:00; got {}", shown(&text)))
}

fn number(text: Cow<'_, str>) -> Result<Cow<'_, str>, String> {
    if NUMBERLESS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Ok(text);
    }
    let allowed = text.bytes().all(|b| b.is_ascii_digit() || b" +-()".contains(&b));
    if !allowed || text.is_empty() {
        return Err(format!("must be digits, spaces, + - ( ), or one of {}; got {}", NUMBERLESS.join(", "), shown(&text)));
    }
    if !text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(format!("must hold at least one digit; got {}", shown(&text)));
    }
    if text.len() > NUMBER_CHARACTERS_MAX {
        return Err(format!("must have at most {NUMBER_CHARACTERS_MAX} characters, got {}", text.len()));
    }
    Ok(text)
}

fn hunt_group(json: &Json<'_>, faults: &mut Faults) -> Option<bool> {
    if let Json::Bool(flag) = json {
        return Some(*flag);
    }
    faults.add("payload.huntGroup", format!("must be true or false, got {}", json.kind()));
    None
}

fn answered_by(json: &Json<'_>, sub_type: SubType, faults: &mut Faults) -> Option<NegotiatorId> {
    if !sub_type.takes_answered_by() {
        faults.add("payload.answeredById", format!("is for answeredCall and endedCall only, this is {}", sub_type.name()));
        return None;
    }
    negotiator(json).map_err(|message| faults.add("payload.answeredById", message)).ok()
}

/// Reads a negotiator's id.
pub(crate) fn negotiator(json: &Json<'_>) -> Result<NegotiatorId, String> {
    let Json::String(text) = json else {
        return Err(format!("must be a string, got {}", json.kind()));
    };
    NegotiatorId::parse(text).map_err(|error| format!("{error}; got {}", shown(text)))
}

#[cfg(test)]
mod tests;
