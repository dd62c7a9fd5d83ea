//! The calls of one recipient: a screen shows their latest state, whatever order events come in. Pure.
//!
//! A call goes from incoming to answered to ended. An event that comes late, because the provider's posts overtook each other,
//! must not set it back; a call that begins anew, because it was put through again, must. The two are told apart by their times.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::payload::CallState;
use smallvec::SmallVec;

use crate::delivery::Delivery;

/// How many calls of a recipient are known at once.
pub(crate) const CALLS_MAX: usize = 32;
/// For how many of them the hashes lie in the struct itself.
const HASHES_HERE: usize = 16;
/// How long after a state was set a lower one can still be late.
const LATE: Duration = Duration::from_secs(10);
/// How long after it last rang a call counts as ringing, where nobody says that it was answered or ended.
const RINGING: Duration = Duration::from_secs(45);
/// How long an answered call is remembered.
const ANSWERED_MAX: Duration = Duration::from_secs(12 * 3600);

/// The calls, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: VecDeque<Call>,
    /// Hashes of their ids, in the same order. Most searches end here, so they lie together.
    hashes: SmallVec<[u16; HASHES_HERE]>,
    /// No call is to be forgotten before this, so that an event need not look through them.
    due: Option<Duration>,
}

#[derive(Debug)]
struct Call {
    /// The event that set the state; it names the call.
    delivery: Arc<Delivery>,
    state: CallState,
    set: Duration,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is news.
    Deliver,
    /// It was overtaken: it is counted and not delivered.
    Late,
}

impl Call {
    /// Returns when the call is forgotten.
    fn end(&self) -> Duration {
        self.set
            + match self.state {
                CallState::Incoming => RINGING,
                CallState::Answered => ANSWERED_MAX,
                CallState::Ended => LATE,
            }
    }
}

impl Calls {
    /// Sets a call to the state that an event says, unless the event is late. Returns as well whether another live call had to
    /// go.
    pub(crate) fn apply(&mut self, delivery: &Arc<Delivery>, now: Duration) -> (Fate, bool) {
        let news = Call { delivery: delivery.clone(), state: delivery.facts.state, set: now };
        let end = news.end();
        if let Some(call) = self.find(delivery) {
            let is_lower = news.state < call.state;
            if is_lower && now < call.set + LATE && delivery.facts.created <= call.delivery.facts.created {
                return (Fate::Late, false);
            }
            *call = news;
            self.look_at(end);
            return (Fate::Deliver, false);
        }
        let crowded_out = self.calls.len() >= CALLS_MAX && self.drop_one();
        self.push(news);
        self.look_at(end);
        (Fate::Deliver, crowded_out)
    }

    /// Returns the call of this event.
    fn find(&mut self, delivery: &Delivery) -> Option<&mut Call> {
        // Several are compared at a time, and nearly always there is none.
        if !self.hashes.contains(&delivery.call_hash) {
            return None;
        }
        let is_it = |(hash, call): (&u16, &Call)| *hash == delivery.call_hash && call.delivery.is_of_the_call_of(delivery);
        let place = self.hashes.iter().zip(&self.calls).position(is_it)?;
        self.calls.get_mut(place)
    }

    fn push(&mut self, call: Call) {
        self.hashes.push(call.delivery.call_hash);
        self.calls.push_back(call);
    }

    /// Drops an ended call, else the oldest that nobody answered, else the oldest. Returns whether it was live.
    fn drop_one(&mut self) -> bool {
        let first = |state| self.calls.iter().position(|call| call.state == state);
        let place = first(CallState::Ended).or_else(|| first(CallState::Incoming)).unwrap_or(0);
        self.hashes.remove(place);
        self.calls.remove(place).is_some_and(|call| call.state != CallState::Ended)
    }

    /// Ends a call that rings, since it was missed at `created`. Returns its event; `None` where there is no such call, or where
    /// it rang again later than that.
    pub(crate) fn miss(&mut self, call_id: &str, created: Timestamp, now: Duration) -> Option<Arc<Delivery>> {
        let rings = |call: &&mut Call| {
            call.state == CallState::Incoming && call.delivery.is_of(call_id) && call.delivery.facts.created <= created
        };
        let call = self.calls.iter_mut().find(rings)?;
        (call.state, call.set) = (CallState::Ended, now);
        let (delivery, end) = (call.delivery.clone(), call.end());
        self.look_at(end);
        Some(delivery)
    }

    /// Has the calls looked through at `end` at the latest.
    fn look_at(&mut self, end: Duration) {
        self.due = Some(self.due.map_or(end, |due| due.min(end)));
    }

    /// Whether there may be something to forget.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    /// Forgets what is over. Returns the calls that rang to the end without a word that they stopped.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<Arc<Delivery>> {
        let mut silent = Vec::new();
        for call in std::mem::take(self).calls {
            let end = call.end();
            if now < end {
                self.look_at(end);
                self.push(call);
            } else if call.state == CallState::Incoming {
                silent.push(call.delivery);
            }
        }
        silent
    }

    /// Returns the events that set the states of the live calls, oldest call first.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<Delivery>> {
        self.calls.iter().filter(|call| call.state != CallState::Ended).map(|call| &call.delivery)
    }

    /// Returns the event that set the state of a live call.
    pub(crate) fn find_live(&self, call_id: &str) -> Option<&Arc<Delivery>> {
        self.live().find(|delivery| delivery.is_of(call_id))
    }

    /// Returns when to look for calls that are to be forgotten.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due
    }
}

#[cfg(test)]
mod tests;
