//! The calls of one recipient, so that a screen shows what is so and not what was. Pure.
//!
//! A call goes from incoming to answered to ended. What comes late, because the provider's posts overtook each other, is told
//! from a call that begins anew, because it was put through again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::frame::CallState;

use crate::delivery::Delivery;

/// How many calls of a recipient are known at once.
pub(crate) const CALLS_MAX: usize = 32;
/// How long after a state was set a lower one can still be late.
const LATE: Duration = Duration::from_secs(10);
/// How long after it last rang a call that nobody answered or ended is taken for over.
const RINGING: Duration = Duration::from_secs(45);
/// How long an answered call is remembered.
const ANSWERED_MAX: Duration = Duration::from_secs(12 * 3600);

/// The calls, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: VecDeque<Call>,
    /// A mark for each call, in the same order: what nearly all looks ask for lies together.
    marks: VecDeque<Mark>,
    /// Before this none is to be forgotten, so that not each event has to look through them.
    due: Option<Duration>,
}

#[derive(Debug)]
struct Call {
    /// The event that set the state; it names the call.
    delivery: Arc<Delivery>,
    set: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Of the call's id.
    hash: u16,
    state: CallState,
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
    fn is(&self, call_id: &str) -> bool {
        self.delivery.call_id() == call_id
    }

    /// When there is nothing more to remember, in this state.
    fn end(&self, state: CallState) -> Duration {
        self.set
            + match state {
                CallState::Incoming => RINGING,
                CallState::Answered => ANSWERED_MAX,
                CallState::Ended => LATE,
            }
    }
}

impl Calls {
    /// Brings a call to the state that an event says, unless the event is late. Gives also whether another call had to go.
    pub(crate) fn apply(&mut self, delivery: &Arc<Delivery>, now: Duration) -> (Fate, bool) {
        let facts = &delivery.facts;
        let (news, sign) = (Call { delivery: delivery.clone(), set: now }, Mark { hash: delivery.call_hash, state: facts.state });
        let end = news.end(sign.state);
        let same = self.place_of(delivery).and_then(|place| Some((self.marks.get_mut(place)?, self.calls.get_mut(place)?)));
        if let Some((mark, call)) = same {
            let is_lower = sign.state < mark.state;
            if is_lower && now < call.set + LATE && facts.created <= call.delivery.facts.created {
                return (Fate::Late, false);
            }
            (*mark, *call) = (sign, news);
            self.look_at(end);
            return (Fate::Deliver, false);
        }
        let crowded_out = self.calls.len() >= CALLS_MAX && self.let_one_go();
        self.calls.push_back(news);
        self.marks.push_back(sign);
        self.look_at(end);
        (Fate::Deliver, crowded_out)
    }

    /// Where the call of this event stands.
    fn place_of(&self, delivery: &Delivery) -> Option<usize> {
        let alike = self.marks.iter().enumerate().filter(|(_, mark)| mark.hash == delivery.call_hash);
        let is_it = |place: &usize| self.calls.get(*place).is_some_and(|call| call.is(delivery.call_id()));
        alike.map(|(place, _)| place).find(is_it)
    }

    /// The calls with their marks, oldest first.
    fn both(&mut self) -> impl Iterator<Item = (&mut Mark, &mut Call)> {
        self.marks.iter_mut().zip(&mut self.calls)
    }

    /// Makes room: an ended call, else the oldest that nobody answered, else the oldest. Gives whether a live one went.
    fn let_one_go(&mut self) -> bool {
        let first = |state| self.marks.iter().position(|mark| mark.state == state);
        let place = first(CallState::Ended).or_else(|| first(CallState::Incoming)).unwrap_or(0);
        self.calls.remove(place);
        self.marks.remove(place).is_some_and(|gone| gone.state != CallState::Ended)
    }

    /// Ends a call that rings, since it was missed at `created`. Gives its event, or `None` where there is no such call, or where
    /// it rang again later than that.
    pub(crate) fn miss(&mut self, call_id: &str, created: Timestamp, now: Duration) -> Option<Arc<Delivery>> {
        let rings = |(mark, call): &(&mut Mark, &mut Call)| {
            mark.state == CallState::Incoming && call.is(call_id) && call.delivery.facts.created <= created
        };
        let (mark, call) = self.both().find(rings)?;
        mark.state = CallState::Ended;
        call.set = now;
        let (delivery, end) = (call.delivery.clone(), call.end(mark.state));
        self.look_at(end);
        Some(delivery)
    }

    /// Sees to it that calls are looked through at `end`, or before.
    fn look_at(&mut self, end: Duration) {
        self.due = Some(self.due.map_or(end, |due| due.min(end)));
    }

    /// Forgets what is over. Gives the calls of which nobody said that they stopped ringing.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<Arc<Delivery>> {
        let mut silent = Vec::new();
        if self.due.is_none_or(|due| now < due) {
            return silent;
        }
        let Self { calls, marks, .. } = std::mem::take(self);
        for (mark, call) in marks.into_iter().zip(calls) {
            let end = call.end(mark.state);
            if now < end {
                self.look_at(end);
                self.calls.push_back(call);
                self.marks.push_back(mark);
            } else if mark.state == CallState::Incoming {
                silent.push(call.delivery);
            }
        }
        silent
    }

    /// The events that set the states of the live calls, oldest call first.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<Delivery>> {
        let both = self.marks.iter().zip(&self.calls);
        both.filter(|(mark, _)| mark.state != CallState::Ended).map(|(_, call)| &call.delivery)
    }

    /// The event that set the state of a live call.
    pub(crate) fn find_live(&self, call_id: &str) -> Option<&Arc<Delivery>> {
        self.live().find(|delivery| delivery.call_id() == call_id)
    }

    /// When to look for calls that are to be forgotten.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due
    }
}

#[cfg(test)]
mod tests;
