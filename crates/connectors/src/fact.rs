//! What callbacks say of calls, whoever sent them: the words that vendors' callbacks are read into, and that calls are made of.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Returns the name in metrics.
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

impl Reading {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, facts: Vec::new(), queue: None, notes: Vec::new() }
    }

    pub(crate) fn noted(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }
}
