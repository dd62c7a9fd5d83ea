//! What happened to each person in a call, ringing by ringing. Pure: nothing here knows what anybody was told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Call, Mark, User};
use crate::fact::Party;

/// A call that somebody takes lets it go at the others: so close together, they were not missing it.
const TOGETHER: SignedDuration = SignedDuration::from_secs(1);

/// All ringings of a call, person by person, each person's in order.
#[derive(Debug)]
pub(super) struct Ringings(BTreeMap<Party, Vec<Ringing>>);

/// One ringing, from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ringing {
    /// When it rang, or was taken; `None` where only its end is known.
    pub(super) begun: Option<Timestamp>,
    pub(super) rang: bool,
    pub(super) hunt_group: bool,
    pub(super) connected: Option<Connected>,
    pub(super) ended: Option<Ended>,
}

/// That a person took the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connected {
    pub(super) at: Timestamp,
    /// It is known that it was this person.
    pub(super) alone: bool,
}

/// That a ringing, or the talk that came of it, is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    how: Mark,
}

/// A ringing that somebody missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MissedRinging {
    /// When it rang; where that is not known, when it ended.
    pub(super) at: Timestamp,
    pub(super) begun: Option<Timestamp>,
    pub(super) hunt_group: bool,
}

/// That another took the call while it rang here.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakenByOther<'r> {
    pub(super) at: Timestamp,
    /// Who it was, where that is known.
    pub(super) by: Option<&'r Party>,
    /// When it was over for them.
    pub(super) ended: Option<Timestamp>,
}

impl Ringings {
    /// Returns what is known of everybody in a call.
    pub(super) fn of(call: &Call) -> Self {
        Self(call.users.iter().map(|(party, user)| (party.clone(), ringings(call, party, user))).collect())
    }

    /// Whether it is over for everybody.
    pub(super) fn are_over(&self) -> bool {
        self.0.values().all(|own| own.last().is_none_or(|last| last.ended.is_some()))
    }

    /// Returns everybody with their own ringings.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Party, &[Ringing])> {
        self.0.iter().map(|(party, own)| (party, own.as_slice()))
    }
}

/// Returns what a person went through, ringing by ringing.
fn ringings(call: &Call, party: &Party, user: &User) -> Vec<Ringing> {
    let mut ringings: Vec<Ringing> = Vec::new();
    let others = call.users.iter().filter(|(other, _)| *other != party).flat_map(|(_, other)| &other.marks);
    let taken: BTreeSet<_> = others.filter(|(_, mark)| matches!(mark, Mark::Connected { .. })).map(|(at, _)| *at).collect();
    let all: BTreeSet<_> =
        user.marks.iter().map(|mark| (*mark, true)).chain(call.marks.iter().map(|mark| (*mark, false))).collect();
    for ((at, mark), own) in all {
        let is_first = ringings.is_empty();
        let open = ringings.last_mut().filter(|last| last.ended.is_none());
        match (mark, open) {
            (Mark::Rang { hunt_group }, None) => ringings.push(Ringing { rang: true, hunt_group, ..Ringing::begun(at) }),
            (Mark::Connected { alone }, None) => {
                ringings.push(Ringing { connected: Some(Connected { at, alone }), ..Ringing::begun(at) });
            }
            (Mark::Rang { hunt_group }, Some(open)) => {
                // It rings again after another had taken it: that is another ringing.
                if let Some(taken) = open.taken_between(&taken, at) {
                    open.ended = Some(Ended { at: taken, how: Mark::Done });
                    ringings.push(Ringing { rang: true, hunt_group, ..Ringing::begun(at) });
                }
            }
            (Mark::Connected { alone }, Some(open)) => drop(open.connected.get_or_insert(Connected { at, alone })),
            // Those who talk stay: it was another of their telephones that was let go.
            (Mark::Unanswered, Some(open)) if open.connected.is_some() => {}
            (Mark::Unanswered | Mark::Left | Mark::Done, Some(open)) => open.ended = Some(Ended { at, how: mark }),
            // What began before anything was known.
            (Mark::Unanswered | Mark::Left | Mark::Done, None) if own && is_first => {
                ringings.push(Ringing { begun: None, ended: Some(Ended { at, how: mark }), ..Ringing::begun(at) });
            }
            (Mark::Unanswered | Mark::Left | Mark::Done, None) => {}
        }
    }
    ringings
}

impl Ringing {
    fn begun(at: Timestamp) -> Self {
        Self { begun: Some(at), rang: false, hunt_group: false, connected: None, ended: None }
    }

    /// Returns when another took the call, since it began to ring here and before `at`; `None` where it was taken here.
    fn taken_between(&self, taken: &BTreeSet<Timestamp>, at: Timestamp) -> Option<Timestamp> {
        let begun = self.begun.filter(|_| self.connected.is_none())?;
        taken.range(begun..).next().copied().filter(|taken| *taken < at)
    }

    /// Returns who else took the call while it rang here: the first, of several.
    pub(super) fn taken_by_other<'r>(&self, party: &Party, all: &'r Ringings) -> Option<TakenByOther<'r>> {
        let others = all.iter().filter(|(other, _)| *other != party);
        let ringings = others.flat_map(|(other, ringings)| ringings.iter().map(move |one| (other, one)));
        let taken = ringings.filter_map(|(other, one)| {
            let Connected { at, alone } = one.connected.filter(|connected| self.rang_at(connected.at, one))?;
            Some(TakenByOther { at, by: Some(other).filter(|_| alone), ended: one.ended.map(|ended| ended.at) })
        });
        taken.min_by_key(|taken| taken.at)
    }

    /// Whether it rang here when another took the call at `at`, in that ringing of theirs.
    fn rang_at(&self, at: Timestamp, other: &Self) -> bool {
        let had_begun = self.begun.is_none_or(|begun| at >= begun);
        match self.ended {
            None => had_begun,
            Some(ended) if at <= ended.at => had_begun,
            // The other was being rung as well, and took it at about the time at which this one was let go.
            Some(ended) => {
                ended.at.checked_add(TOGETHER).is_ok_and(|end| at <= end) && other.begun.is_some_and(|rang| rang <= ended.at)
            }
        }
    }

    /// Returns how it was missed: it rang here, or is said not to have been answered, and nobody took it.
    pub(super) fn missed(&self, party: &Party, all: &Ringings) -> Option<MissedRinging> {
        let ended = self.ended?;
        let is_unanswered = match ended.how {
            Mark::Done => false,
            Mark::Unanswered => true,
            Mark::Left | Mark::Rang { .. } | Mark::Connected { .. } => self.rang,
        };
        let is_missed = is_unanswered && self.connected.is_none() && self.taken_by_other(party, all).is_none();
        let Self { begun, hunt_group, .. } = *self;
        is_missed.then_some(MissedRinging { at: begun.unwrap_or(ended.at), begun, hunt_group })
    }
}
