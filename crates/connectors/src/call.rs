//! Facts → what each person is to be told.
//!
//! What holds for a person follows from all that is known of the call, by the times that the vendor gives, whatever the order in
//! which the callbacks came. It only ever goes forward: a screen that was told that the call is over is not told of its ringing
//! any more. A call that seemed missed, and was not, is taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use protocol::envelope::TARGETS_MAX;
use protocol::payload::SubType;

use crate::action::{Action, Post};
use crate::callback::{Fact, What};

/// A call that somebody takes lets it go at the others: so close together, they were not missing it.
const TOGETHER: SignedDuration = SignedDuration::from_secs(1);

/// One call, at one vendor.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    /// Who calls and which number was called; until they are known nobody is told anything.
    numbers: Option<(String, String)>,
    hunt_group: bool,
    users: BTreeMap<String, User>,
    over: Option<Timestamp>,
    /// When it left those for whom it rang.
    unanswered: BTreeSet<Timestamp>,
    /// When something of it came last.
    pub(crate) touched: Duration,
}

/// What is known of one person in a call.
#[derive(Debug, Clone, Default)]
struct User {
    rang: Option<Timestamp>,
    connected: Option<Timestamp>,
    left: Option<Timestamp>,
    told: Told,
    is_missed: bool,
    /// The vendor says that the call was dealt with, whoever did it.
    is_done: bool,
}

/// How much a person was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    #[default]
    Nothing,
    Rings,
    Answered,
    Over,
}

/// What holds for a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    Nothing,
    Rings(Timestamp),
    /// Since when, and by whom where it is known.
    Answered(Timestamp, Option<String>),
    Over(Timestamp, Option<String>),
    Missed(Timestamp),
}

impl Call {
    /// Takes a fact in, `members` being those who serve the queue where it is about one; gives what is to be done.
    pub(crate) fn take(&mut self, fact: &Fact, members: &[String]) -> Vec<Action> {
        if let Some((caller, called)) = &fact.numbers {
            let known = self.numbers.get_or_insert_default();
            for (known, said) in [(&mut known.0, caller), (&mut known.1, called)] {
                if known.is_empty() {
                    known.clone_from(said);
                }
            }
        }
        self.hunt_group |= fact.hunt_group;
        self.note(fact, members);
        if self.numbers.is_none() { Vec::new() } else { self.settle(&fact.call) }
    }

    fn note(&mut self, fact: &Fact, members: &[String]) {
        let at = fact.at;
        match &fact.what {
            What::Rings(users) => users.iter().for_each(|user| self.begin(user, at).rings(at)),
            What::RingsQueue(..) => members.iter().for_each(|user| self.begin(user, at).rings(at)),
            What::Connected(user) => self.begin(user, at).connects(at),
            What::Taken(users) => users.iter().for_each(|user| self.begin(user, at).connects(at)),
            What::Left(users) => users.iter().for_each(|user| self.users.entry(user.clone()).or_default().leaves(at)),
            What::Done(users) => users.iter().for_each(|user| {
                let user = self.users.entry(user.clone()).or_default();
                user.leaves(at);
                user.is_done = true;
            }),
            What::Unanswered => drop(self.unanswered.insert(at)),
            What::Over => self.over = Some(self.over.map_or(at, |over| over.max(at))),
            What::Known => {}
        }
    }

    /// The person for whom something begins: anew, where they or the call had been out of it before.
    fn begin(&mut self, name: &str, at: Timestamp) -> &mut User {
        if let Some(over) = self.over.filter(|over| at > *over) {
            // The call is back; what was over stays over.
            self.users.values_mut().for_each(|user| user.leaves(over));
            self.over = None;
        }
        let user = self.users.get(name).cloned().unwrap_or_default();
        let is_anew = self.left(&user).is_some_and(|left| at > left) && user.begun().is_some();
        let user = if is_anew { User::default() } else { user };
        let entry = self.users.entry(name.to_owned()).or_default();
        *entry = user;
        entry
    }

    /// When a person was out of the call, if they are.
    fn left(&self, user: &User) -> Option<Timestamp> {
        let begun = user.begun();
        let over = self.over.filter(|over| begun.is_none_or(|begun| *over >= begun));
        let unanswered =
            begun.filter(|_| user.connected.is_none()).and_then(|begun| self.unanswered.range(begun..).next().copied());
        [user.left, over, unanswered].into_iter().flatten().min()
    }

    /// Compares what holds with what each was told.
    fn settle(&mut self, call: &str) -> Vec<Action> {
        let holds: Vec<_> = self.users.iter().map(|(name, user)| (name.clone(), self.holds(name, user))).collect();
        let (mut told, mut actions) = (BTreeMap::<Holds, Vec<String>>::new(), Vec::new());
        for (name, holds) in holds {
            let Some(user) = self.users.get_mut(&name) else { continue };
            let is_missed = matches!(holds, Holds::Missed(_));
            if user.is_missed && !is_missed {
                actions.push(Action::Retract { negotiator: name.clone(), call: call.to_owned() });
            }
            let is_news = holds.told() > user.told || (is_missed && !user.is_missed);
            user.is_missed = is_missed;
            user.told = user.told.max(holds.told());
            if is_news {
                told.entry(holds).or_default().push(name);
            }
        }
        let posts = told.into_iter().flat_map(|(holds, names)| self.posts(call, &holds, &names));
        actions.extend(posts.map(Action::Post).collect::<Vec<_>>());
        actions
    }

    fn holds(&self, name: &str, user: &User) -> Holds {
        let left = self.left(user);
        let by_other = user.rang.and_then(|rang| self.answered_by_other(name, rang, left));
        match (user.connected, by_other, left) {
            (Some(_), _, Some(left)) => Holds::Over(left, self.answerer(Some(name))),
            (Some(connected), _, None) => Holds::Answered(connected, self.answerer(Some(name))),
            // It is over here when it is over for the one who took it.
            (None, Some((other, at)), _) => match self.users.get(other).and_then(|user| self.left(user)) {
                Some(left) => Holds::Over(left, self.answerer(Some(other))),
                None => Holds::Answered(at, self.answerer(Some(other))),
            },
            (None, None, Some(left)) => match user.rang.filter(|_| !user.is_done) {
                Some(rang) => Holds::Missed(rang),
                // Or what was before is not known: whatever is on the screen is over.
                None => Holds::Over(left, None),
            },
            (None, None, None) => user.rang.map_or(Holds::Nothing, Holds::Rings),
        }
    }

    /// Who else took the call while it rang here.
    fn answered_by_other(&self, name: &str, rang: Timestamp, left: Option<Timestamp>) -> Option<(&str, Timestamp)> {
        let end = left.and_then(|left| left.checked_add(TOGETHER).ok()).unwrap_or(Timestamp::MAX);
        let others = self.users.iter().filter(|(other, _)| *other != name);
        let took = others.filter_map(|(other, user)| Some((other.as_str(), user.connected?)));
        took.filter(|(_, at)| (rang..=end).contains(at)).min_by_key(|(_, at)| *at)
    }

    /// The one who took it, where it is one.
    fn answerer(&self, name: Option<&str>) -> Option<String> {
        let all_at_once = self.users.values().filter(|user| user.connected.is_some()).count() > 1
            && self.users.values().filter_map(|user| user.connected).collect::<BTreeSet<_>>().len() == 1;
        name.filter(|_| !all_at_once).map(str::to_owned)
    }

    fn posts(&self, call: &str, holds: &Holds, names: &[String]) -> Vec<Post> {
        let (sub_type, at, answered_by) = match holds {
            Holds::Nothing => return Vec::new(),
            Holds::Rings(at) => (SubType::IncomingCall, *at, None),
            Holds::Answered(at, by) => (SubType::AnsweredCall, *at, by.clone()),
            Holds::Over(at, by) => (SubType::EndedCall, *at, by.clone()),
            Holds::Missed(at) => (SubType::MissedCall, *at, None),
        };
        let (caller, called) = self.numbers.clone().unwrap_or_default();
        let posts = names.chunks(TARGETS_MAX).map(|targets| Post {
            sub_type,
            targets: targets.to_vec(),
            call: call.to_owned(),
            at,
            caller: caller.clone(),
            called: called.clone(),
            hunt_group: self.hunt_group,
            answered_by: answered_by.clone(),
        });
        posts.collect()
    }

    /// Whether somebody talks, so that it may last.
    pub(crate) fn is_connected(&self) -> bool {
        self.over.is_none() && self.users.values().any(|user| user.connected.is_some() && user.left.is_none())
    }
}

impl User {
    fn begun(&self) -> Option<Timestamp> {
        self.rang.into_iter().chain(self.connected).min()
    }

    fn rings(&mut self, at: Timestamp) {
        self.rang = Some(self.rang.map_or(at, |rang| rang.min(at)));
    }

    fn connects(&mut self, at: Timestamp) {
        self.connected = Some(self.connected.map_or(at, |connected| connected.min(at)));
    }

    /// What was before the ringing that is known concerns an earlier one.
    fn leaves(&mut self, at: Timestamp) {
        if self.begun().is_none_or(|begun| at >= begun) {
            self.left = Some(self.left.map_or(at, |left| left.min(at)));
        }
    }
}

impl Holds {
    fn told(&self) -> Told {
        match self {
            Self::Nothing => Told::Nothing,
            Self::Rings(_) => Told::Rings,
            Self::Answered(..) => Told::Answered,
            Self::Over(..) | Self::Missed(_) => Told::Over,
        }
    }
}

#[cfg(test)]
mod tests;
