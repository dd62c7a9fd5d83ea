//! One endpoint: its window, what it holds, how much it is trusted with, its breaker.

mod purge; // deliveries that are gone

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use protocol::id::CustomerId;

use super::Lane;
use super::shares::Share;
use crate::book::Endpoint;

/// Deliveries of one endpoint in memory at most.
const WINDOW_MAX: usize = 128;
/// When the window has fewer, more are read.
const WINDOW_LOW: usize = 32;
/// How many are read at once while memory is short.
const ROWS_WHEN_SHORT: usize = 4;
/// With how many requests at once an endpoint goes on after its first answer.
const LIMIT_FIRST: usize = 8;
/// After so many failures one after another the breaker opens.
const BREAKER_FAILURES: u32 = 5;
const BREAKER_FIRST: Duration = Duration::from_secs(30);
const BREAKER_MAX: Duration = Duration::from_secs(600);
/// How long after a failed read it is tried again.
const READ_AGAIN_MILLIS: i64 = 1_000;

/// What orders deliveries: the hash of the event's key. Two keys that meet wait for one another, no more.
pub(crate) type Key = u64;

/// A delivery in memory.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) event: i64,
    pub(crate) due: i64,
    pub(crate) failures: u32,
    pub(crate) sends: u32,
    pub(crate) taken: i64,
    pub(crate) customer: CustomerId,
    pub(crate) key: Option<Key>,
    pub(crate) document: Arc<str>,
}

impl Item {
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.document.len()
    }

    /// Whether it was never attempted: only then does its key count.
    pub(crate) fn is_first(&self) -> bool {
        self.failures == 0
    }

    pub(crate) fn key_of(text: &str) -> Key {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    }
}

/// How an attempt went, as far as the schedule is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Whether the receiver answered in time, whatever it said.
    pub(crate) answered: bool,
    /// Whether the receiver is in trouble: no answer, or a 5xx.
    pub(crate) failed: bool,
    /// Whether that took longer than an answer should.
    pub(crate) was_slow: bool,
    /// How long it asks to be left alone.
    pub(crate) pause: Option<Duration>,
}

/// What is to be read of an endpoint's deliveries: those that are due first.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) endpoint: i64,
    pub(crate) rows_max: usize,
    /// Events that are not to be brought.
    pub(crate) held: HashSet<i64>,
}

/// What comes of an endpoint's turn.
#[derive(Debug)]
pub(super) enum Taken {
    Item(Item),
    /// What there is waits for these customers to have fewer on their way, or for the first attempt of an earlier event of its key.
    Blocked(Vec<CustomerId>),
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) queued: i64,
    pub(super) in_ring: bool,
    /// The slots that it was given while it waited: it has its turn now, and what it does not use is for others.
    pub(super) given: Vec<Share>,
    pub(super) host: Arc<str>,
    pub(super) timer: Option<i64>,
    /// Whether it did not answer lately.
    pub(super) is_slow: bool,
    /// Whether it has answered at all.
    is_proven: bool,
    /// Until when nothing is sent.
    pub(super) closed_until: Option<i64>,
    window: VecDeque<Item>,
    held: HashSet<i64>,
    /// What was held when something was queued anew: it may be among it, and the read that follows leaves out what is held.
    recheck: HashSet<i64>,
    /// What was held when all that was queued was ended: its end is counted already.
    uncounted: HashSet<i64>,
    busy: Vec<Key>,
    in_flight: usize,
    limit: usize,
    failures: u32,
    breaker_wait: Duration,
    /// Whether more is due on disk than stands in the window.
    more: bool,
    /// Whether a read failed, so that it is not known what is due on disk.
    behind: bool,
    /// When the first delivery on disk that is not due yet falls due.
    next_due: Option<i64>,
    reading: Option<Reading>,
    stopped: bool,
}

/// A read that is under way.
#[derive(Debug)]
struct Reading {
    /// Whether something was written meanwhile that the read may not see.
    again: bool,
    /// Whether the endpoint was stopped meanwhile: what the read saw may have been ended since.
    is_void: bool,
}

impl Queue {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            queued: 0,
            in_ring: false,
            given: Vec::new(),
            host: Arc::from(endpoint.url.authority()),
            timer: None,
            is_slow: false,
            is_proven: false,
            closed_until: None,
            window: VecDeque::new(),
            held: HashSet::new(),
            recheck: HashSet::new(),
            uncounted: HashSet::new(),
            busy: Vec::new(),
            in_flight: 0,
            // The first answer adds one.
            limit: LIMIT_FIRST - 1,
            failures: 0,
            breaker_wait: BREAKER_FIRST,
            more: false,
            behind: false,
            next_due: None,
            reading: None,
            stopped: false,
            endpoint,
        }
    }

    /// Goes on with the endpoint's new form.
    pub(super) fn replace(&mut self, endpoint: Arc<Endpoint>) {
        self.host = Arc::from(endpoint.url.authority());
        self.endpoint = endpoint;
    }

    /// Goes on after a stop.
    pub(super) fn go_on(&mut self) {
        self.stopped = false;
    }

    /// Notes that deliveries were queued anew. Of one that is stopped they are read when it goes on.
    pub(super) fn requeued(&mut self, count: i64, due: i64) {
        self.queued += count;
        self.recheck.clone_from(&self.held);
        if !self.stopped {
            self.note_due(Some(due));
        }
    }

    pub(super) fn note_due(&mut self, due: Option<i64>) {
        self.next_due = self.next_due.into_iter().chain(due).min();
        if let Some(reading) = &mut self.reading {
            reading.again |= due.is_some();
        }
    }

    /// Empties the window and returns how many bytes that were.
    pub(super) fn stop(&mut self) -> usize {
        self.stopped = true;
        (self.more, self.behind, self.next_due, self.closed_until) = (false, false, None, None);
        if let Some(reading) = &mut self.reading {
            reading.is_void = true;
        }
        let items = std::mem::take(&mut self.window);
        self.held.retain(|event| items.iter().all(|item| item.event != *event));
        items.iter().map(Item::bytes).sum()
    }

    /// Notes that all events up to a number have ended, and how many later ones are queued.
    pub(super) fn emptied(&mut self, upto: i64, queued: i64) {
        self.queued = queued;
        self.uncounted = self.held.iter().copied().filter(|event| *event <= upto).collect();
    }

    /// Takes a new delivery into the window, if all that is due before it stands there, and returns the bytes it takes.
    pub(super) fn offer(&mut self, item: Item, has_room: bool, now: i64) -> usize {
        if self.held.contains(&item.event) {
            // A read has brought it before its writer came to tell.
            return 0;
        }
        let is_due_before = self.next_due.is_some_and(|due| due <= now.max(item.due));
        let is_caught_up = !self.more && !self.behind && !is_due_before && self.reading.is_none();
        if !is_caught_up || self.window.len() >= WINDOW_MAX || !has_room || self.stopped {
            self.more = !self.stopped && !self.behind;
            if let Some(reading) = &mut self.reading {
                reading.again = true;
            }
            return 0;
        }
        let bytes = item.bytes();
        self.held.insert(item.event);
        self.window.push_back(item);
        bytes
    }

    pub(super) fn wants_read(&self) -> bool {
        self.more && self.reading.is_none() && self.window.len() < WINDOW_LOW
    }

    /// Returns what to read: what is held now, is not to be brought, even if the read sees it as it was.
    pub(super) fn begin_read(&mut self, has_room: bool) -> Read {
        self.reading = Some(Reading { again: false, is_void: false });
        let rows_max = if has_room { WINDOW_MAX } else { ROWS_WHEN_SHORT };
        Read { endpoint: self.endpoint.subscription.number, rows_max, held: self.held.clone() }
    }

    /// Takes in what was read, as far as there is room, but a few in any case, and returns the bytes it takes.
    pub(super) fn read(&mut self, rows: Vec<Item>, is_all: bool, room: usize, now: i64) -> usize {
        let Some(Reading { again, is_void }) = self.reading.take() else { return 0 };
        if self.stopped {
            return 0;
        }
        if is_void {
            self.more |= again;
            return 0;
        }
        self.more = again || !is_all;
        let (mut bytes, mut taken) = (0, 0);
        for item in rows {
            if self.held.contains(&item.event) {
                continue;
            }
            if item.due > now {
                // The rows are in order: all that follow are due later still.
                self.more = again;
                self.next_due = self.next_due.into_iter().chain([item.due]).min();
                break;
            }
            if bytes >= room && taken >= ROWS_WHEN_SHORT {
                self.more = true;
                break;
            }
            taken += 1;
            bytes += item.bytes();
            self.held.insert(item.event);
            self.window.push_back(item);
        }
        bytes
    }

    pub(super) fn read_failed(&mut self, now: i64) {
        self.reading = None;
        if self.stopped {
            return;
        }
        (self.more, self.behind) = (false, true);
        self.next_due = Some(now + READ_AGAIN_MILLIS);
    }

    /// Takes the first delivery that can go.
    pub(super) fn take(&mut self, is_free: impl Fn(CustomerId) -> bool) -> Taken {
        let (mut skipped, mut blocked) = (Vec::new(), Vec::new());
        for place in 0..self.window.len() {
            let Some(item) = self.window.get(place) else { break };
            let key = item.key.filter(|_| item.is_first());
            if key.is_some_and(|key| self.busy.contains(&key) || skipped.contains(&key)) {
                continue;
            }
            if !is_free(item.customer) {
                if !blocked.contains(&item.customer) {
                    blocked.push(item.customer);
                }
                skipped.extend(key);
                continue;
            }
            let Some(item) = self.window.remove(place) else { break };
            self.busy.extend(key);
            self.in_flight += 1;
            return Taken::Item(item);
        }
        Taken::Blocked(blocked)
    }

    pub(super) fn finished(&mut self, key: Option<Key>, how: Finished, limit_max: usize, now: i64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(place) = key.and_then(|key| self.busy.iter().position(|other| *other == key)) {
            self.busy.swap_remove(place);
        }
        if how.failed {
            self.failures = self.failures.saturating_add(1);
            self.limit = (self.limit / 2).min(limit_max).max(1);
        } else {
            (self.failures, self.breaker_wait) = (0, BREAKER_FIRST);
            self.limit = (self.limit + 1).min(limit_max);
        }
        self.is_proven |= how.answered;
        let is_broken = self.endpoint.profile.breaker && self.failures >= BREAKER_FAILURES;
        let falters = how.failed && !self.endpoint.profile.breaker;
        self.is_slow = !how.answered || how.was_slow || falters || is_broken || how.pause.is_some();
        // Those that were on their way when it opened do not open it for longer.
        let opens = is_broken && self.closed_until.is_none_or(|until| until <= now);
        let wait = opens.then_some(self.breaker_wait).max(how.pause.map(|pause| pause.min(BREAKER_MAX)));
        if opens {
            self.breaker_wait = (self.breaker_wait * 2).min(BREAKER_MAX);
        }
        if let Some(wait) = wait {
            let until = now + i64::try_from(wait.as_millis()).unwrap_or(0);
            self.closed_until = self.closed_until.max(Some(until));
        }
    }

    pub(super) fn settled(&mut self, event: i64, next_due: Option<i64>) {
        self.held.remove(&event);
        let is_counted = !self.uncounted.remove(&event);
        if next_due.is_none() && is_counted {
            self.queued -= 1;
        }
        let rechecked = self.recheck.remove(&event);
        if self.stopped {
            return;
        }
        self.next_due = self.next_due.into_iter().chain(next_due).min();
        self.more |= rechecked;
        if let Some(reading) = &mut self.reading {
            reading.again |= rechecked || next_due.is_some();
        }
    }

    pub(super) fn wake(&mut self, now: i64) {
        if self.next_due.is_some_and(|due| due <= now) {
            self.next_due = None;
            (self.more, self.behind) = (true, false);
            if let Some(reading) = &mut self.reading {
                reading.again = true;
            }
        }
    }

    pub(super) fn lane(&self) -> Lane {
        if self.is_slow { Lane::Slow } else { Lane::Answering }
    }

    pub(super) fn is_closed(&self, now: i64) -> bool {
        self.stopped || self.closed_until.is_some_and(|until| until > now)
    }

    pub(super) fn is_runnable(&self, now: i64) -> bool {
        let limit = if self.is_slow || !self.is_proven { 1 } else { self.limit };
        !self.is_closed(now) && self.in_flight < limit && (!self.window.is_empty() || self.wants_read())
    }

    pub(super) fn next_wake(&self, now: i64) -> Option<i64> {
        if self.stopped {
            return None;
        }
        let opens = self.closed_until.filter(|until| *until > now && (!self.window.is_empty() || self.more));
        self.next_due.into_iter().chain(opens).min()
    }
}
