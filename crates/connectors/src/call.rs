//! Facts → what each person is to be told.
//!
//! All that is known of a person in a call is kept, in the order of the vendor's times, and what holds is worked out from all of it
//! anew: so it does not matter in which order callbacks came. What a person is told only goes forward: a screen that was told that
//! the call is over is not told of that ringing any more. A call that seemed missed, and was not, is taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use protocol::envelope::TARGETS_MAX;
use protocol::payload::SubType;
use serde::{Deserialize, Serialize};

use crate::action::{Action, Post};
use crate::fact::{Fact, Party, What};

/// A call that somebody takes lets it go at the others: so close together, they were not missing it.
const TOGETHER: SignedDuration = SignedDuration::from_secs(1);
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
    told: Option<(Timestamp, Told)>,
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
enum Told {
    Rings,
    Answered,
    Over,
}

/// One ringing, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ringing {
    /// When it rang, or was taken; `None` where only its end is known.
    begun: Option<Timestamp>,
    rang: bool,
    hunt_group: bool,
    connected: Option<(Timestamp, bool)>,
    ended: Option<(Timestamp, Mark)>,
}

/// What holds for a person: how much, since when, who took it, and whether for a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Holds {
    told: Told,
    at: Timestamp,
    by: Option<Party>,
    hunt_group: bool,
}

impl Call {
    /// Takes a fact in, `members` being those who serve the queue where it is about one; gives what is to be done.
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

    /// Whether a negotiator has to do with it.
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

    /// Compares what holds with what each was told.
    fn settle(&mut self, call: &str) -> Vec<Action> {
        let ringings: BTreeMap<_, _> = self.users.iter().map(|(name, user)| (name.clone(), self.ringings(name, user))).collect();
        let (mut told, mut missed, mut actions) = (BTreeMap::<Holds, Vec<String>>::new(), BTreeMap::new(), Vec::new());
        for (party, user) in &mut self.users {
            // Who is not known is told nothing; that they took a call matters to the others.
            let (Party::Known(name), Some(own)) = (party, ringings.get(party)) else { continue };
            let was_missed = own.iter().rposition(|one| one.is_missed(party, &ringings));
            let was_missed = was_missed.filter(|place| own.iter().skip(*place).all(|later| later.connected.is_none()));
            match (was_missed.and_then(|place| own.get(place)), user.is_missed) {
                (Some(one), false) => {
                    let at = one.begun.or(one.ended.map(|(at, _)| at)).unwrap_or_default();
                    missed.entry((at, one.hunt_group)).or_insert_with(Vec::new).push(name.clone());
                }
                (None, true) => actions.push(Action::Retract { negotiator: name.clone(), call: call.to_owned() }),
                (Some(_), true) | (None, false) => {}
            }
            let missed_at = was_missed.filter(|_| !user.is_missed).and_then(|place| own.get(place)?.begun);
            user.is_missed = was_missed.is_some();
            for holds in own.last().map(|last| last.holds(party, &ringings)).into_iter().flatten() {
                if !user.knows(own.last(), holds.told) {
                    let begun = own.last().and_then(|last| last.begun).unwrap_or(holds.at);
                    let before = user.told.replace((begun, holds.told));
                    // A missed call takes its ringing off the screen; nothing else.
                    let takes_off = |(rang, told)| told == Told::Rings && missed_at.is_some_and(|missed| rang <= missed);
                    let is_clear = before.map_or(user.is_missed && own.len() == 1, takes_off);
                    if !(is_clear && holds.told == Told::Over) {
                        told.entry(holds).or_default().push(name.clone());
                    }
                }
            }
        }
        let missed = missed.into_iter().map(|((at, group), names)| (SubType::MissedCall, at, (None, group), names));
        let told =
            told.into_iter().map(|(Holds { told, at, by, hunt_group }, names)| (told.sub_type(), at, (by, hunt_group), names));
        let mut events: Vec<_> = told.chain(missed).collect();
        events.sort_by_key(|(sub_type, at, ..)| (*at, *sub_type as u8));
        actions.extend(events.into_iter().flat_map(|event| self.posts(call, event)).map(Action::Post));
        actions
    }

    /// What a person went through, ringing by ringing.
    fn ringings(&self, name: &Party, user: &User) -> Vec<Ringing> {
        let mut ringings: Vec<Ringing> = Vec::new();
        let others = self.users.iter().filter(|(other, _)| *other != name).flat_map(|(_, other)| &other.marks);
        let taken: BTreeSet<_> = others.filter(|(_, mark)| matches!(mark, Mark::Connected { .. })).map(|(at, _)| *at).collect();
        let all: BTreeSet<_> =
            user.marks.iter().map(|mark| (*mark, true)).chain(self.marks.iter().map(|mark| (*mark, false))).collect();
        for ((at, mark), own) in all {
            let is_first = ringings.is_empty();
            let open = ringings.last_mut().filter(|last| last.ended.is_none());
            match (mark, open) {
                (Mark::Rang { hunt_group }, None) => ringings.push(Ringing { rang: true, hunt_group, ..Ringing::begun(at) }),
                (Mark::Connected { alone }, None) => {
                    ringings.push(Ringing { connected: Some((at, alone)), ..Ringing::begun(at) })
                }
                // It rings again after another had taken it: that is another ringing.
                (Mark::Rang { hunt_group }, Some(open)) if open.connected.is_none() && open.was_taken(&taken, at).is_some() => {
                    open.ended = open.was_taken(&taken, at).map(|taken| (taken, Mark::Done));
                    ringings.push(Ringing { rang: true, hunt_group, ..Ringing::begun(at) });
                }
                (Mark::Rang { .. }, Some(_)) => {}
                (Mark::Connected { alone }, Some(open)) => drop(open.connected.get_or_insert((at, alone))),
                // Those who talk stay: it was another of their telephones that was let go.
                (Mark::Unanswered, Some(open)) if open.connected.is_some() => {}
                (Mark::Unanswered | Mark::Left | Mark::Done, Some(open)) => open.ended = Some((at, mark)),
                // What began before anything was known.
                (Mark::Unanswered | Mark::Left | Mark::Done, None) if own && is_first => {
                    ringings.push(Ringing { begun: None, ended: Some((at, mark)), ..Ringing::begun(at) });
                }
                (Mark::Unanswered | Mark::Left | Mark::Done, None) => {}
            }
        }
        ringings
    }

    fn posts(
        &self,
        call: &str,
        (sub_type, at, (by, hunt_group), names): (SubType, Timestamp, (Option<Party>, bool), Vec<String>),
    ) -> Vec<Post> {
        let (caller, called) = self.numbers.clone().unwrap_or_default();
        let answered_by = match by {
            Some(Party::Known(name)) => Some(name),
            Some(Party::Unknown(_)) | None => None,
        };
        let posts = names.chunks(TARGETS_MAX).map(|targets| Post {
            sub_type,
            targets: targets.to_vec(),
            call: call.to_owned(),
            at,
            caller: caller.clone(),
            called: called.clone(),
            hunt_group,
            answered_by: answered_by.clone(),
        });
        posts.collect()
    }

    /// Whether it is over for all who are known, so that nothing more is to come of it.
    pub(crate) fn is_over(&self) -> bool {
        let over = |(name, user)| self.ringings(name, user).last().is_none_or(|last| last.ended.is_some());
        self.numbers.is_some() && !self.users.is_empty() && self.users.iter().all(over)
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

type Ringings = BTreeMap<Party, Vec<Ringing>>;

impl Ringing {
    fn begun(at: Timestamp) -> Self {
        Self { begun: Some(at), rang: false, hunt_group: false, connected: None, ended: None }
    }

    /// When another took the call, since it began to ring here and before `at`.
    fn was_taken(&self, taken: &BTreeSet<Timestamp>, at: Timestamp) -> Option<Timestamp> {
        let begun = self.begun?;
        taken.range(begun..).next().copied().filter(|taken| *taken < at)
    }

    /// Who else took the call while it rang here, when, and until when they had it.
    fn taken_by_other<'a>(&self, party: &Party, all: &'a Ringings) -> Option<(&'a Party, Timestamp, &'a Self)> {
        let begun = self.begun.unwrap_or(Timestamp::MIN);
        let others = all.iter().filter(|(other, _)| *other != party);
        let took = others.flat_map(|(other, ringings)| ringings.iter().map(move |one| (other, one)));
        let took = took.filter_map(|(other, one)| Some((other, one.connected?.0, one)));
        let while_it_rang = |(_, at, one): &(&Party, Timestamp, &Self)| match self.ended {
            None => *at >= begun,
            Some((ended, _)) if *at <= ended => *at >= begun,
            // The other was being rung as well, and took it at about the time at which this one was let go.
            Some((ended, _)) => {
                ended.checked_add(TOGETHER).is_ok_and(|end| *at <= end) && one.begun.is_some_and(|rang| rang <= ended)
            }
        };
        took.filter(while_it_rang).min_by_key(|(_, at, _)| *at)
    }

    /// Whether it rang here, or is said not to have been answered, and nobody took it.
    fn is_missed(&self, party: &Party, all: &Ringings) -> bool {
        let is_unanswered = match self.ended {
            None | Some((_, Mark::Done)) => false,
            Some((_, Mark::Unanswered)) => true,
            Some((_, Mark::Left | Mark::Rang { .. } | Mark::Connected { .. })) => self.rang,
        };
        is_unanswered && self.connected.is_none() && self.taken_by_other(party, all).is_none()
    }

    /// What holds now, in the order in which it is to be told.
    fn holds(&self, party: &Party, all: &Ringings) -> Vec<Holds> {
        let hunt_group = self.hunt_group;
        let holds = |told, at, by: Option<&Party>| Holds { told, at, by: by.cloned(), hunt_group };
        let other = self
            .taken_by_other(party, all)
            .map(|(other, at, one)| (one.connected.filter(|(_, alone)| *alone).map(|_| other), at, one));
        match (self.connected, self.ended, other) {
            (Some((_, alone)), Some((ended, _)), _) => vec![holds(Told::Over, ended, Some(party).filter(|_| alone))],
            (Some((at, alone)), None, _) => {
                // Where both became known at once, the pop comes first.
                let rings = self.begun.filter(|_| self.rang).map(|begun| holds(Told::Rings, begun, None));
                rings.into_iter().chain([holds(Told::Answered, at, Some(party).filter(|_| alone))]).collect()
            }
            // It is over here when it is over for the one who took it.
            (None, _, Some((by, _, Self { ended: Some((ended, _)), .. }))) => vec![holds(Told::Over, *ended, by)],
            (None, _, Some((by, at, Self { ended: None, .. }))) => vec![holds(Told::Answered, at, by)],
            (None, Some((ended, _)), None) => vec![holds(Told::Over, ended, None)],
            (None, None, None) => self.begun.map(|begun| holds(Told::Rings, begun, None)).into_iter().collect(),
        }
    }
}

impl User {
    /// Whether they were told as much of this ringing.
    fn knows(&self, last: Option<&Ringing>, told: Told) -> bool {
        let begun = last.and_then(|last| last.begun).unwrap_or(Timestamp::MIN);
        self.told.is_some_and(|(at, before)| at >= begun && before >= told)
    }
}

impl Told {
    fn sub_type(self) -> SubType {
        match self {
            Self::Rings => SubType::IncomingCall,
            Self::Answered => SubType::AnsweredCall,
            Self::Over => SubType::EndedCall,
        }
    }
}

#[cfg(test)]
mod tests;
