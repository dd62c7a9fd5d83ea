//! Facts → what each person is to be told.
//!
//! All that is known of a person in a call is kept, in the order of the vendor's times, and what holds is worked out from all of
//! it anew: so it does not matter in which order callbacks came. What a person is told only goes forward: a screen that was told
//! that the call is over is not told of that ringing any more. A call that seemed missed, and was not, is taken back.

mod ringing; // what happened to a person, ringing by ringing
mod settle; // what holds for each person, and what of it is news to them

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::ringing::Ringings;
use crate::action::Action;
use crate::fact::{Fact, Party, What};

/// How many people of a call, and how many facts about each, are remembered.
const USERS_MAX: usize = 1_000;
const MARKS_MAX: usize = 64;

/// One call, at one vendor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Who calls and which number was called; until they are known nobody is told anything.
    numbers: Option<(String, String)>,
    #[serde(with = "pairs")]
    users: BTreeMap<Party, User>,
    /// What happened to the call as a whole.
    marks: BTreeSet<(Timestamp, Mark)>,
    /// When something of it came last.
    #[serde(skip)]
    pub(crate) touched: Duration,
}

/// What is known of one person in a call, and what they were told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct User {
    marks: BTreeSet<(Timestamp, Mark)>,
    told: Option<(Timestamp, Level)>,
    is_missed: bool,
}

/// Something that happened; of what happened at once, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Mark {
    Rang {
        hunt_group: bool,
    },
    /// `alone`: it is known that it was this person.
    Connected {
        alone: bool,
    },
    /// They did not answer; of a whole call: those who had not.
    Unanswered,
    Left,
    /// It was dealt with, whoever did it.
    Done,
}

/// How much a person was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Level {
    Rings,
    Answered,
    Over,
}

impl Call {
    /// Takes a fact in and returns what is to be done. `members` are those who serve the queue, where the fact is about one.
    pub(crate) fn take(&mut self, fact: &Fact, members: &[Party]) -> Vec<Action> {
        if let Some((caller, called)) = &fact.numbers {
            let known = self.numbers.get_or_insert_default();
            for (known, said) in [(&mut known.0, caller), (&mut known.1, called)] {
                if known.is_empty() {
                    known.clone_from(said);
                }
            }
        }
        self.note(fact, members);
        if self.numbers.is_none() { Vec::new() } else { self.settle(&fact.call) }
    }

    /// Whether it concerns a negotiator.
    pub(crate) fn names(&self, negotiator: &str) -> bool {
        self.users.keys().any(|party| matches!(party, Party::Known(known) if known == negotiator))
    }

    fn note(&mut self, fact: &Fact, members: &[Party]) {
        let rang = Mark::Rang { hunt_group: fact.hunt_group };
        let (whom, marks): (&[Party], &[Mark]) = match &fact.what {
            What::Rings(users) => (users, &[rang]),
            What::RingsQueue(..) => (members, &[rang]),
            What::Connected(user) => (std::slice::from_ref(user), &[Mark::Connected { alone: true }]),
            What::Joined(user) => (std::slice::from_ref(user), &[rang, Mark::Connected { alone: true }]),
            What::Taken(users) => (users, &[Mark::Connected { alone: false }]),
            What::NotAnswered(users) => (users, &[Mark::Unanswered]),
            What::Left(users) => (users, &[Mark::Left]),
            What::Done(users) => (users, &[Mark::Done]),
            What::Unanswered => return self.mark(fact.at, Mark::Unanswered),
            What::Over => return self.mark(fact.at, Mark::Left),
            What::Known => return,
        };
        for name in whom {
            if self.users.len() >= USERS_MAX && !self.users.contains_key(name) {
                return;
            }
            let user = self.users.entry(name.clone()).or_default();
            user.marks.extend(marks.iter().map(|mark| (fact.at, *mark)));
            while user.marks.len() > MARKS_MAX {
                user.marks.pop_first();
            }
        }
    }

    fn mark(&mut self, at: Timestamp, mark: Mark) {
        self.marks.insert((at, mark));
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_first();
        }
    }

    /// Whether it is over for all whom it concerns, so that nothing more is to be expected of it.
    pub(crate) fn is_over(&self) -> bool {
        self.numbers.is_some() && !self.users.is_empty() && Ringings::of(self).are_over()
    }
}

/// A map whose keys are no texts, as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Party, User};

    pub(super) fn serialize<S: Serializer>(users: &BTreeMap<Party, User>, serializer: S) -> Result<S::Ok, S::Error> {
        users.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Party, User>, D::Error> {
        Ok(Vec::<(Party, User)>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
