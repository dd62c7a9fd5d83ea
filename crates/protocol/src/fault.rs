//! What is wrong with a document: every fault with its path, so that a caller mends all of them at once.

use serde::Serialize;

use crate::json::{Json, Unreadable};

/// How many faults are told of one document; a body of 64 KiB could hold thousands.
pub const FAULTS_MAX: usize = 100;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// A path such as `payload.callerId` or `targets.negotiatorId[1]`; `$` is the document itself.
    pub field: String,
    /// A sentence for the one who wrote the document.
    pub message: String,
}

/// The faults of a document, in the order in which they were found; at most [`FAULTS_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault at `field`. What comes after [`FAULTS_MAX`] of them is not told.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault { field: field.into(), message: message.into() });
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }
}

/// Why a body cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not JSON.
    #[error("the body is not readable JSON: {0}")]
    Unreadable(#[from] Unreadable),
    /// JSON, but not what it should be.
    #[error("{} faults in the body", .0.as_slice().len())]
    Invalid(Faults),
}

/// Shows a value in a message: as JSON, cut after 40 characters.
#[must_use]
pub fn shown(value: &str) -> String {
    let mut cut: String = value.chars().take(40).collect();
    if cut.len() < value.len() {
        cut.push('…');
    }
    serde_json::Value::String(cut).to_string()
}

/// How many members an object can have that are known.
const MEMBERS_MAX: usize = 32;

/// The members of one object, taken out by name; what is repeated or unknown becomes a fault.
#[derive(Debug)]
pub struct Members<'a> {
    members: Vec<(std::borrow::Cow<'a, str>, Json<'a>)>,
    path: &'static str,
}

impl<'a> Members<'a> {
    /// Opens the object at `path` (empty: the document), whose members are named `known`.
    pub fn open(json: Json<'a>, path: &'static str, known: &[&str], faults: &mut Faults) -> Option<Self> {
        let Json::Object(members) = json else {
            let field = if path.is_empty() { "$" } else { path };
            faults.add(field, format!("must be an object, got {}", json.kind()));
            return None;
        };
        let opened = Self { members, path };
        opened.check_names(known, faults);
        Some(opened)
    }

    fn check_names(&self, known: &[&str], faults: &mut Faults) {
        debug_assert!(known.len() <= MEMBERS_MAX, "there is room for each known name");
        let mut times_seen = [0_u8; MEMBERS_MAX];
        for (name, _) in &self.members {
            let seen = known.iter().position(|other| other == name).and_then(|place| times_seen.get_mut(place));
            match seen {
                None => faults.add(self.at(&visible(name)), unknown(name, known)),
                Some(times @ 0) => *times = 1,
                Some(times @ 1) => {
                    *times = 2;
                    faults.add(self.at(name), "is given more than once");
                }
                Some(_) => {}
            }
            if faults.as_slice().len() == FAULTS_MAX {
                return;
            }
        }
    }

    /// The path of the member `name`.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes the first member called `name`; `null` is the same as absent.
    pub fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let (_, value) = self.members.iter_mut().find(|(other, _)| other == name)?;
        match std::mem::replace(value, Json::Null) {
            Json::Null => None,
            value => Some(value),
        }
    }

    /// As [`Members::take`]; absence is a fault.
    pub fn require(&mut self, name: &str, faults: &mut Faults) -> Option<Json<'a>> {
        let value = self.take(name);
        if value.is_none() {
            faults.add(self.at(name), "is required");
        }
        value
    }
}

/// A member's name as a path shows it: cut, and without control characters.
fn visible(name: &str) -> String {
    name.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Says that a name is unknown, and which known one is nearest.
fn unknown(name: &str, known: &[&str]) -> String {
    let name: String = name.to_lowercase().chars().take(40).collect();
    let nearest = known
        .iter()
        .map(|other| (strsim::osa_distance(&name, &other.to_lowercase()), *other))
        .filter(|(distance, other)| distance * 2 < other.len())
        .min();
    match nearest {
        Some((_, other)) => format!("is not known here; did you mean {other}?"),
        None => format!("is not known here; known are {}", known.join(", ")),
    }
}
