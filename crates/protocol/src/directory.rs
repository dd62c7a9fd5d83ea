//! The directory of a customer: who their negotiators are, by which names telephone systems know them, and who serves which queue.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::fault::{Faults, shown};
use crate::id::{CustomerId, NegotiatorId};

/// How many people, and how many queues, a directory can hold.
pub const ENTRIES_MAX: usize = 5_000;
/// How many extensions, numbers or other names an entry can have, each.
pub const NAMES_MAX: usize = 32;
/// For how many of the people who are not here the nearest is named.
const NEAREST_MAX: usize = 10;
/// How many characters a name can have.
pub const NAME_CHARACTERS_MAX: usize = 256;

/// The directory of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Directory {
    /// The negotiators.
    pub people: Vec<Person>,
    /// The queues of their telephone systems.
    #[serde(default)]
    pub queues: Vec<Queue>,
}

/// A negotiator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Person {
    /// Their id, unique within the customer.
    pub negotiator_id: NegotiatorId,
    /// How people call them.
    pub name: String,
    /// Their e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Their extensions.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// Their telephone numbers, the work number first.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Whether they work here at present.
    #[serde(default = "yes")]
    pub active: bool,
    /// What telephone systems call them: a user's id or name.
    #[serde(default)]
    pub vendor_users: Vec<String>,
    /// When they came into the directory; set by the broker.
    #[serde(default)]
    pub created: Timestamp,
    /// When they were last changed; set by the broker.
    #[serde(default)]
    pub modified: Timestamp,
}

/// A queue, hunt group or service pool of a telephone system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// What telephone systems call it: an id, a name, a number.
    pub names: Vec<String>,
    /// Who serves it.
    pub members: Vec<NegotiatorId>,
}

fn yes() -> bool {
    true
}

impl Directory {
    /// Everything that is wrong with it; a name must stand for one person, and a queue's members be people.
    #[must_use]
    pub fn check(&self) -> Faults {
        let mut faults = Faults::default();
        for (list, length) in [("people", self.people.len()), ("queues", self.queues.len())] {
            if length > ENTRIES_MAX {
                faults.add(list, format!("must have at most {ENTRIES_MAX} entries, got {length}"));
            }
        }
        let (mut ids, mut owners) = (BTreeSet::new(), BTreeMap::new());
        for (place, person) in self.people.iter().enumerate() {
            let at = |member: &str| format!("people[{place}].{member}");
            if !ids.insert(person.negotiator_id) {
                faults.add(at("negotiatorId"), format!("{} is named more than once", person.negotiator_id));
            }
            person.check(&at, &mut faults);
            for name in person.names() {
                let owner = owners.entry(name.to_lowercase()).or_insert(person.negotiator_id);
                if *owner != person.negotiator_id {
                    faults.add(at("vendorUsers"), format!("{} stands for {owner} already", shown(name)));
                }
            }
        }
        let mut names = BTreeSet::new();
        for (place, queue) in self.queues.iter().enumerate() {
            let at = format!("queues[{place}]");
            queue.check(&at, &ids, &mut faults);
            for name in queue.names.iter().filter(|name| !names.insert(name.to_lowercase())) {
                faults.add(format!("{at}.names"), format!("{} stands for a queue already", shown(name)));
            }
        }
        faults
    }

    /// Notes when each person came and was last changed, beside what was known `before`.
    pub fn stamp(&mut self, before: Option<&Self>, now: Timestamp) {
        for person in &mut self.people {
            let known = before.and_then(|before| before.person(person.negotiator_id));
            person.created = known.map_or(now, |known| known.created);
            person.modified = known.map_or(now, |known| known.modified);
            if known.is_none_or(|known| known != person) {
                person.modified = now;
            }
        }
    }

    /// The person with this id.
    #[must_use]
    pub fn person(&self, id: NegotiatorId) -> Option<&Person> {
        self.people.iter().find(|person| person.negotiator_id == id)
    }

    /// The person whom a telephone system calls by one of these names, tried in this order.
    #[must_use]
    pub fn find(&self, names: &[&str]) -> Option<&Person> {
        let known_as =
            |name: &str| self.people.iter().find(|person| person.names().any(|other| other.eq_ignore_ascii_case(name)));
        names.iter().filter(|name| !name.is_empty()).find_map(|name| known_as(name))
    }

    /// The members of a queue that a telephone system calls by one of these names, tried in this order.
    #[must_use]
    pub fn members(&self, names: &[&str]) -> Option<&[NegotiatorId]> {
        let called =
            |name: &str| self.queues.iter().find(|queue| queue.names.iter().any(|other| other.eq_ignore_ascii_case(name)));
        names.iter().find_map(|name| called(name)).map(|queue| queue.members.as_slice())
    }

    /// The faults of an envelope that names people who are not here.
    #[must_use]
    pub fn check_envelope(&self, envelope: &Envelope<'_>, customer: CustomerId) -> Faults {
        let mut faults = Faults::default();
        for (place, target) in envelope.targets.iter().enumerate() {
            self.check_known(*target, customer, || format!("targets.negotiatorId[{place}]"), &mut faults);
        }
        if let Some(id) = envelope.payload.answered_by_id {
            self.check_known(id, customer, || "payload.answeredById".to_owned(), &mut faults);
        }
        faults
    }

    fn check_known(&self, id: NegotiatorId, customer: CustomerId, field: impl Fn() -> String, faults: &mut Faults) {
        if self.person(id).is_some() {
            return;
        }
        let near = |person: &Person| (strsim::osa_distance(id.as_str(), person.negotiator_id.as_str()), person.negotiator_id);
        // A body can name a hundred people, and each is held against all.
        let is_early = faults.as_slice().len() < NEAREST_MAX;
        let message = match self.people.iter().take_while(|_| is_early).map(near).min() {
            Some((_, nearest)) => format!("{id} is not in the directory of {customer}; the nearest there is {nearest}"),
            None => format!("{id} is not in the directory of {customer}"),
        };
        faults.add(field(), message);
    }
}

impl Person {
    /// All names by which a telephone system may call them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.vendor_users, &self.extensions, &self.numbers].into_iter().flatten().map(String::as_str);
        self.email.as_deref().into_iter().chain(lists)
    }

    fn check(&self, at: &impl Fn(&str) -> String, faults: &mut Faults) {
        check_name(&self.name, || at("name"), faults);
        if let Some(email) = &self.email {
            check_name(email, || at("email"), faults);
        }
        for (member, names) in [("extensions", &self.extensions), ("numbers", &self.numbers), ("vendorUsers", &self.vendor_users)]
        {
            check_names(names, &at(member), faults);
        }
    }
}

impl Queue {
    fn check(&self, at: &str, people: &BTreeSet<NegotiatorId>, faults: &mut Faults) {
        check_names(&self.names, &format!("{at}.names"), faults);
        if self.names.is_empty() {
            faults.add(format!("{at}.names"), "must have at least one entry");
        }
        for (place, member) in self.members.iter().enumerate() {
            if !people.contains(member) {
                faults.add(format!("{at}.members[{place}]"), format!("{member} is not among the people"));
            }
        }
    }
}

fn check_names(names: &[String], at: &str, faults: &mut Faults) {
    if names.len() > NAMES_MAX {
        faults.add(at, format!("must have at most {NAMES_MAX} entries, got {}", names.len()));
    }
    for (place, name) in names.iter().enumerate() {
        check_name(name, || format!("{at}[{place}]"), faults);
    }
}

fn check_name(name: &str, at: impl Fn() -> String, faults: &mut Faults) {
    let length = name.chars().count();
    if !(1..=NAME_CHARACTERS_MAX).contains(&length) {
        faults.add(at(), format!("must have 1 to {NAME_CHARACTERS_MAX} characters, got {length}"));
    } else if name.chars().any(char::is_control) {
        faults.add(at(), "must not hold control characters");
    }
}

#[cfg(test)]
mod tests;
