//! What a callback says, whoever sent it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::people::People;
use crate::vendor::Vendor;
use crate::{apirtc, avaya, enreach};

/// A callback as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Callback<'a> {
    /// The header in which Enreach names the event.
    pub event: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// When it came, for vendors whose callbacks say no time.
    pub received: Timestamp,
}

/// Why a callback cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON.
    #[error("the body is not readable JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NoObject,
    /// A member is missing without which nothing can be said.
    #[error("{0} is missing or is no text")]
    Missing(&'static str),
}

/// What was read from a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The same for repeats of the callback and for no other.
    pub key: [u8; 32],
    /// What it says of a call, in order.
    pub facts: Vec<Fact>,
    /// Who serves a queue from now on.
    pub queue: Option<Serving>,
    /// What was left out, and why.
    pub notes: Vec<Note>,
}

/// Who serves a queue, as a vendor says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// The queue's id.
    pub queue: String,
    /// Since when.
    pub at: Timestamp,
    /// The vendor's ids of the users.
    pub users: Vec<String>,
}

/// Something that happened to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The call's id at the vendor.
    pub call: String,
    /// When it happened, by the vendor's clock.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
    /// Who calls and which number was called, as far as it is said; empty where it is no number.
    pub numbers: Option<(String, String)>,
    /// Whether the call rings for a group.
    pub hunt_group: bool,
}

/// Somebody in a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Party {
    /// A negotiator.
    Known(String),
    /// Somebody by this name who is no negotiator: they are told nothing, but may have taken the call.
    Unknown(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It rings for these.
    Rings(Vec<Party>),
    /// It rings for whoever serves this queue: as the vendor said last, else as the directory has it.
    RingsQueue(String, Vec<Party>),
    /// This person took it.
    Connected(Party),
    /// It came to this person and was taken at once.
    Joined(Party),
    /// One of these took it; who is not said.
    Taken(Vec<Party>),
    /// These did not answer.
    NotAnswered(Vec<Party>),
    /// These are out of it.
    Left(Vec<Party>),
    /// It is over for these, and was not missed.
    Done(Vec<Party>),
    /// It left those for whom it rang and who did not take it.
    Unanswered,
    /// It is over for all.
    Over,
    /// Only its numbers became known.
    Known,
}

/// What was left out of a callback, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Note {
    /// An event of this vendor that carries no telephony for a screen.
    NoTelephony,
    /// An event that is not in the vendor's documents.
    UnknownEvent,
    /// The person is not in the directory.
    UnknownUser,
    /// Nobody is known to serve the queue.
    EmptyQueue,
    /// A caller or called number that is no telephone number; `unknown` stands for it.
    NoNumber,
    /// The call's id is missing.
    NoCall,
    /// The time cannot be read; that of receipt stands for it.
    NoTime,
    /// The callback cannot be read at all, and its vendor takes no refusal.
    Unreadable,
}

impl Note {
    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoTelephony => "no_telephony",
            Self::UnknownEvent => "unknown_event",
            Self::UnknownUser => "unknown_user",
            Self::EmptyQueue => "empty_queue",
            Self::NoNumber => "no_number",
            Self::NoCall => "no_call",
            Self::NoTime => "no_time",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Reads a callback of `vendor`; `rings_for` are those for whom calls ring where the vendor names nobody.
///
/// # Errors
/// [`Unreadable`].
pub fn read(vendor: Vendor, callback: Callback<'_>, people: People<'_>, rings_for: &[String]) -> Result<Reading, Unreadable> {
    match understand(vendor, callback, people, rings_for) {
        // Avaya wants 200 whatever comes: what is an error to it disables the subscription.
        Err(_) if vendor == Vendor::Avaya => Ok(Reading::new(key(&[callback.body])).noted(Note::Unreadable)),
        read => read,
    }
}

fn understand(vendor: Vendor, callback: Callback<'_>, people: People<'_>, rings_for: &[String]) -> Result<Reading, Unreadable> {
    let value: Value = serde_json::from_slice(callback.body)?;
    let Value::Object(members) = value else { return Err(Unreadable::NoObject) };
    match vendor {
        Vendor::Enreach => enreach::read(callback, &members, people),
        Vendor::Avaya => avaya::read(callback, &members, people),
        Vendor::Apirtc => apirtc::read(callback, &members, rings_for),
    }
}

impl Reading {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, facts: Vec::new(), queue: None, notes: Vec::new() }
    }

    pub(crate) fn noted(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }
}

/// A key of what tells a callback from all others.
pub(crate) fn key(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The first of these members that is a text, or a number written as one.
pub(crate) fn text<'a>(members: &'a Map<String, Value>, names: &[&str]) -> std::borrow::Cow<'a, str> {
    let found = names.iter().find_map(|name| match members.get(*name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.as_str().into()),
        Some(Value::Number(number)) => Some(number.to_string().into()),
        Some(_) | None => None,
    });
    found.unwrap_or_default()
}

/// How many characters of a call's id are used: as many as an envelope takes.
const CALL_ID_CHARACTERS_MAX: usize = 128;

/// A call's id as an envelope can carry it, or nothing.
pub(crate) fn call_id(text: &str) -> Option<String> {
    let id: String = text.chars().filter(|c| !c.is_control()).take(CALL_ID_CHARACTERS_MAX).collect();
    (!id.is_empty()).then_some(id)
}
