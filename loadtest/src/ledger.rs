//! What was posted against what was heard. Pure: it is told facts with their times, and returns the account at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::line::{DesktopLine, Resume, State, What};
use crate::people::{Negotiator, People};
use crate::provider::Posted;

/// After so long an unanswered call neither pops nor is live, in milliseconds.
const RING: i64 = 45_000;
/// How far times of different processes are trusted, in milliseconds.
const SLACK: i64 = 5_000;
/// How long a place is kept.
const WINDOW: i64 = 180_000;
/// How long a desktop reads nothing at most.
const STALL_MAX: i64 = 20_000;

/// The account.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Account {
    /// Live events that were answered 202, and those that were not taken in 30 s.
    pub(crate) posted: u64,
    pub(crate) refused: u64,
    /// Posts beyond the first try.
    pub(crate) tried_again: u64,
    /// Live events × the desktops that they were for.
    pub(crate) due: u64,
    pub(crate) received: u64,
    /// For desktops that had not logged in yet.
    pub(crate) not_there: u64,
    /// Left out by the client, since they had come before.
    pub(crate) repeated: u64,
    /// The same state of a call twice: a post that was repeated over a crash.
    pub(crate) posted_twice: u64,
    /// The telephone had stopped ringing before the desktop was back.
    pub(crate) expired: u64,
    /// Known to the broker when it was killed, or taken by the next before the desktop was back with its old place.
    pub(crate) lost_with_the_node: u64,
    /// None of these.
    pub(crate) missing: u64,
    /// Calls that popped though they were over or had stopped ringing, and calls in a welcome that were over.
    pub(crate) stale: u64,
    /// Calls that came just as they were not to pop any more, or that a desktop read only later since it read nothing for a
    /// while; its client left them out.
    pub(crate) too_late: u64,
    /// The same, at a desktop that had read all the time.
    pub(crate) sent_late: u64,
    /// Sessions that ended for good.
    pub(crate) stopped: u64,
    /// Live calls that a welcome did not name.
    pub(crate) calls_unnamed: u64,
    pub(crate) out_of_order: u64,
    pub(crate) missed_calls: u64,
    pub(crate) missed_calls_lost: u64,
    pub(crate) missed_calls_twice: u64,
    /// Sessions by how they began, and those that began with `none` by cause.
    pub(crate) sessions: BTreeMap<String, u64>,
    pub(crate) none: BTreeMap<String, u64>,
    /// What ended sessions, as the desktops saw it.
    pub(crate) ends: BTreeMap<u16, u64>,
    /// What is known of some events that are missing, to look into.
    pub(crate) examples: Vec<String>,
}

/// How many examples are kept.
const EXAMPLES_MAX: usize = 10;

impl Account {
    /// Whether nothing was lost, nothing popped that was over, and no place was lost but by a crash.
    pub(crate) fn is_clean(&self) -> bool {
        let lost = self.missing + self.missed_calls_lost + self.missed_calls_twice + self.calls_unnamed;
        let wrong = self.stale + self.sent_late + self.stopped + self.out_of_order + self.refused;
        lost + wrong == 0 && self.none.keys().all(|cause| cause == AFTER_A_KILL)
    }
}

const AFTER_A_KILL: &str = "the broker was killed";

#[derive(Debug, Default)]
struct Call {
    targets: Vec<Negotiator>,
    /// From when to when each event was posted; the end is `None` where it was never taken.
    events: BTreeMap<State, (i64, Option<i64>)>,
}

#[derive(Debug, Default)]
struct Desk {
    opened: Vec<(i64, Resume, Vec<u64>)>,
    left: Vec<i64>,
    /// From when to when nothing was read.
    stalls: Vec<(i64, i64)>,
    heard: HashMap<u64, Vec<(State, i64)>>,
    too_late: HashMap<u64, i64>,
    cursor: Option<String>,
}

/// An event of a call, and between which times it was posted and taken.
#[derive(Debug, Clone, Copy)]
struct Event {
    call: u64,
    state: State,
    from: i64,
    taken: i64,
}

pub(crate) struct Ledger {
    people: People,
    calls: HashMap<u64, Call>,
    desks: Vec<Desk>,
    kills: Vec<i64>,
    account: Account,
}

impl Ledger {
    pub(crate) fn new(people: People) -> Self {
        let desks = (0..people.desktops()).map(|_| Desk::default()).collect();
        Self { people, calls: HashMap::new(), desks, kills: Vec::new(), account: Account::default() }
    }

    pub(crate) fn posted(&mut self, posted: &Posted) {
        self.account.tried_again += u64::from(posted.tries.saturating_sub(1));
        match (posted.taken, posted.state) {
            (None, _) => self.account.refused += 1,
            (Some(_), State::Missed) => self.account.missed_calls += 1,
            (Some(_), State::Incoming | State::Answered | State::Ended) => self.account.posted += 1,
        }
        let call = self.calls.entry(posted.call).or_default();
        call.targets.clone_from(&posted.targets);
        call.events.insert(posted.state, (posted.from, posted.taken));
    }

    pub(crate) fn heard(&mut self, line: DesktopLine) {
        let Some(desk) = self.desks.get_mut(line.desktop) else { return };
        match line.what {
            What::Opened { resume, cursor, calls } => {
                desk.cursor = Some(cursor);
                desk.opened.push((line.at, resume, calls));
            }
            What::Event { call, state, cursor } => {
                desk.cursor = Some(cursor);
                desk.heard.entry(call).or_default().push((state, line.at));
            }
            What::TooLate { call, cursor } => {
                desk.cursor = Some(cursor);
                desk.too_late.insert(call, line.at);
            }
            What::Away { code } | What::Stopped { code } => {
                desk.left.push(line.at);
                self.account.stopped += u64::from(matches!(line.what, What::Stopped { .. }));
                *self.account.ends.entry(code).or_default() += 1;
            }
            What::Repeats { count } => self.account.repeated += count,
            What::Stalls { millis } => desk.stalls.push((line.at, line.at + millis)),
        }
    }

    /// The process of this desktop was killed.
    pub(crate) fn left(&mut self, desktop: usize, at: i64) {
        if let Some(desk) = self.desks.get_mut(desktop) {
            desk.left.push(at);
        }
    }

    /// The broker was killed without warning.
    pub(crate) fn killed(&mut self, at: i64) {
        self.kills.push(at);
    }

    /// Where a desktop stands, as far as it has told.
    pub(crate) fn cursor(&self, desktop: usize) -> Option<&str> {
        self.desks.get(desktop).and_then(|desk| desk.cursor.as_deref())
    }

    /// Who must find which missed calls.
    pub(crate) fn missed_calls(&self) -> BTreeMap<Negotiator, HashSet<u64>> {
        let mut all: BTreeMap<_, HashSet<u64>> = BTreeMap::new();
        for (number, call) in &self.calls {
            if call.taken(State::Missed).is_some() {
                for target in &call.targets {
                    all.entry(*target).or_default().insert(*number);
                }
            }
        }
        all
    }

    /// What a negotiator found, call by call.
    pub(crate) fn found_missed(&mut self, expected: &HashSet<u64>, found: &[u64]) {
        let different: HashSet<_> = found.iter().copied().collect();
        self.account.missed_calls_lost += expected.difference(&different).count() as u64;
        self.account.missed_calls_twice += (found.len() - different.len()) as u64;
    }

    /// The account, once nothing more can come.
    pub(crate) fn account(mut self) -> Account {
        self.account_for_events();
        self.account_for_sessions();
        self.account_for_order();
        self.account
    }

    fn account_for_order(&mut self) {
        for desk in &self.desks {
            for states in desk.heard.values() {
                let (mut highest, mut seen) = (None, HashSet::new());
                for (state, _) in states {
                    self.account.posted_twice += u64::from(!seen.insert(*state));
                    let is_over = highest.is_some_and(|highest| highest > *state);
                    match state {
                        State::Incoming => self.account.stale += u64::from(is_over),
                        State::Answered | State::Ended | State::Missed => self.account.out_of_order += u64::from(is_over),
                    }
                    highest = highest.max(Some(*state));
                }
            }
        }
    }

    fn account_for_events(&mut self) {
        for (call, Call { targets, events }) in &self.calls {
            let live = events.iter().filter(|(state, _)| **state != State::Missed);
            for event in live.filter_map(|(&state, &(from, taken))| Some(Event { call: *call, state, from, taken: taken? })) {
                for desk in targets.iter().flat_map(|target| self.people.of(*target)).filter_map(|desk| self.desks.get(desk)) {
                    let account = &mut self.account;
                    let fate = desk.fate(event, &self.kills);
                    account.due += u64::from(fate != Fate::NotYetThere);
                    if fate == Fate::Missing && account.examples.len() < EXAMPLES_MAX {
                        account.examples.push(format!("{event:?}, kills {:?}, {}", self.kills, desk.around(event.from)));
                    }
                    *match fate {
                        Fate::Received => &mut account.received,
                        Fate::Stale => &mut account.stale,
                        Fate::TooLate => &mut account.too_late,
                        Fate::SentLate => &mut account.sent_late,
                        Fate::Expired => &mut account.expired,
                        Fate::LostWithTheNode => &mut account.lost_with_the_node,
                        Fate::Missing => &mut account.missing,
                        Fate::NotYetThere => &mut account.not_there,
                    } += 1;
                }
            }
        }
    }

    fn account_for_sessions(&mut self) {
        let mut calls_of: HashMap<Negotiator, Vec<(u64, &Call)>> = HashMap::new();
        for (number, call) in &self.calls {
            call.targets.iter().for_each(|target| calls_of.entry(*target).or_default().push((*number, call)));
        }
        for (number, desk) in self.desks.iter().enumerate() {
            let own = calls_of.get(&self.people.at(number).0).map(Vec::as_slice).unwrap_or_default();
            let mut before = None;
            for (at, resume, calls) in &desk.opened {
                let name = Resume::ALL.iter().find(|(other, _)| other == resume).map_or("", |(_, name)| name);
                *self.account.sessions.entry(name.to_owned()).or_default() += 1;
                if *resume == Resume::None || (*resume == Resume::New && before.is_some()) {
                    let cause = cause(&self.kills, before, *at);
                    *self.account.none.entry(cause.to_owned()).or_default() += 1;
                }
                before = Some(*at);
                // A welcome may be read long after it was written by one who stalls.
                if desk.stalled(*at - STALL_MAX, *at) {
                    continue;
                }
                let killed = self.kills.iter().filter(|kill| **kill <= *at).max().copied().unwrap_or_default();
                for (number, call) in own {
                    let named = calls.contains(number);
                    self.account.stale += u64::from(named && call.is_over(*at));
                    self.account.calls_unnamed += u64::from(!named && call.is_live(*at, killed));
                }
            }
        }
    }
}

/// Why a place was not known any more.
fn cause(kills: &[i64], before: Option<i64>, at: i64) -> &'static str {
    match before {
        Some(before) if was_killed(kills, before, at) => AFTER_A_KILL,
        Some(before) if at - before > WINDOW => "away for too long, or quiet for so long before",
        Some(_) => "unexplained",
        None => "the first session",
    }
}

/// Whether the broker was killed between these sessions, or while the first of them was opened.
fn was_killed(kills: &[i64], before: i64, at: i64) -> bool {
    kills.iter().any(|kill| before - SLACK <= *kill && *kill <= at)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Received,
    Stale,
    TooLate,
    SentLate,
    Expired,
    LostWithTheNode,
    Missing,
    NotYetThere,
}

impl Desk {
    fn fate(&self, event: Event, kills: &[i64]) -> Fate {
        let heard = self.heard.get(&event.call).and_then(|heard| heard.iter().find(|(state, _)| *state == event.state));
        match heard {
            Some((State::Incoming, at)) if *at > event.taken + RING + SLACK => return Fate::Stale,
            Some(_) => return Fate::Received,
            None => {}
        }
        match self.too_late.get(&event.call).filter(|_| event.state == State::Incoming) {
            // A client reckons with a clock that is ahead of its own by as long as its session took to open.
            Some(at) if *at <= event.taken + RING + SLACK || self.stalled(event.from, *at) => Fate::TooLate,
            Some(_) => Fate::SentLate,
            None => self.fate_of_unheard(event, kills),
        }
    }

    /// Goes through the sessions from the one that was open then: the first that should have brought the event decides.
    fn fate_of_unheard(&self, Event { state, from, taken, .. }: Event, kills: &[i64]) -> Fate {
        let mut before = None;
        for (place, (at, resume, _)) in self.opened.iter().enumerate() {
            let next = self.opened.get(place + 1).map_or(i64::MAX, |(next, ..)| *next);
            let left = self.left.iter().copied().filter(|left| left >= at).min().unwrap_or(i64::MAX);
            let end = left.min(next);
            let was_killed = before.is_some_and(|before| was_killed(kills, before, *at));
            before = Some(*at);
            if end < from {
                continue;
            }
            let begins = (*at).max(taken);
            match resume {
                // Who logs in for the first time is told by the welcome what is live.
                Resume::New if place == 0 && *at >= from => return Fate::NotYetThere,
                Resume::None | Resume::New if *at >= from => {
                    return if was_killed { Fate::LostWithTheNode } else { Fate::Missing };
                }
                Resume::Full if state == State::Incoming && *at >= taken + RING - 1000 => return Fate::Expired,
                Resume::Full | Resume::New | Resume::None => {}
            }
            // Long enough to have read it, or to have been told by the broker that the line was dead.
            if end - begins >= SLACK && !self.stalled(begins - STALL_MAX, begins + SLACK) {
                return Fate::Missing;
            }
        }
        Fate::Missing
    }

    /// What happened at this desktop a minute before and after.
    fn around(&self, at: i64) -> String {
        let near = |other: i64| (at - 60_000..at + 120_000).contains(&other);
        let opened: Vec<_> = self.opened.iter().filter(|(at, ..)| near(*at)).map(|(at, resume, _)| (at, resume)).collect();
        let left: Vec<_> = self.left.iter().filter(|left| near(**left)).collect();
        let stalls: Vec<_> = self.stalls.iter().filter(|(begins, _)| near(*begins)).collect();
        let heard = self.heard.iter().flat_map(|(call, heard)| heard.iter().map(move |(state, at)| (at, call, state)));
        let mut heard: Vec<_> = heard.filter(|(at, ..)| near(**at)).collect();
        heard.sort();
        format!("opened {opened:?}, left {left:?}, stalls {stalls:?}, heard {heard:?}")
    }

    fn stalled(&self, from: i64, to: i64) -> bool {
        self.stalls.iter().any(|(begins, ends)| *begins <= to && *ends >= from)
    }
}

impl Call {
    fn taken(&self, state: State) -> Option<i64> {
        self.events.get(&state).and_then(|(_, taken)| *taken)
    }

    /// Whether it had been over for a while at this time.
    fn is_over(&self, at: i64) -> bool {
        let ended = self.taken(State::Ended).or(self.taken(State::Missed));
        // Nobody says of some calls that they stopped ringing: then it is over when it must have.
        let rang_out = self.taken(State::Incoming).filter(|_| !self.events.contains_key(&State::Answered));
        ended.is_some_and(|ended| ended + SLACK < at) || rang_out.is_some_and(|ringing| ringing + RING + SLACK < at)
    }

    /// Whether it had been live for a while at this time, to a broker that was killed at `killed`.
    fn is_live(&self, at: i64, killed: i64) -> bool {
        let is_over = |state| self.events.get(&state).is_some_and(|(from, _)| *from <= at);
        let Some(ringing) = self.taken(State::Incoming) else { return false };
        let known = match self.taken(State::Answered) {
            Some(answered) if answered + SLACK < at => answered > killed,
            // Answered just now, or later than it rang out.
            Some(_) | None => ringing > killed && ringing + SLACK < at && at < ringing + RING - SLACK,
        };
        known && !is_over(State::Ended) && !is_over(State::Missed)
    }
}

#[cfg(test)]
mod tests;
