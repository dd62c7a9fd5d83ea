//! Which session has yet to hear which event, and how late each was heard.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

use crate::bench::subject::MARK;
use crate::line::State;

/// A prime, so that neighbours in time are none in the table of sessions.
const STEP: u64 = 7919;
/// How many calls ring at any time, and how far behind the oldest event that was not heard yet another can be: so none is over before it
/// rings.
pub(in crate::bench) const RINGING: u64 = 260;
/// Longer delays count as this.
const DELAY_MAX: Duration = Duration::from_secs(600);

pub(super) struct Tally {
    group: usize,
    groups: u64,
    /// For each event a bit for each session of its group that has not heard it.
    missing: Vec<u128>,
    /// How many events were heard by all that they are for.
    done: u64,
    /// All events before this one were.
    oldest: usize,
    schedule: Option<Schedule>,
    /// From when an event was due to when it was heard, in microseconds.
    delays: Histogram<u64>,
}

/// When events are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) start: Instant,
    pub(super) interval: Duration,
    /// The event that is due an interval after the start.
    pub(super) first: u64,
}

impl Schedule {
    /// How long after the start an event is due.
    pub(super) fn due(&self, event: u64) -> Duration {
        self.interval.mul_f64(crate::figures::float((event + 1).saturating_sub(self.first)))
    }

    /// How long before `at` it was due.
    pub(super) fn late(&self, event: u64, at: Instant) -> Duration {
        at.saturating_duration_since(self.start + self.due(event))
    }
}

impl Tally {
    pub(super) fn new(group: usize) -> Result<Self> {
        ensure!((1..=128).contains(&group), "groups have 1 to 128 sessions");
        Ok(Self { group, groups: 1, missing: Vec::new(), done: 0, oldest: 0, schedule: None, delays: histogram()? })
    }

    /// Expects so many more events for groups among so many sessions. Returns the number of the first.
    pub(super) fn expect(&mut self, events: u64, sessions: usize) -> Result<u64> {
        self.groups = u64::try_from(sessions / self.group)?;
        ensure!(self.groups > 0, "there are fewer sessions than a group has");
        let first = u64::try_from(self.missing.len())?;
        self.missing.resize(self.missing.len() + usize::try_from(events)?, u128::MAX >> (128 - self.group));
        self.schedule = None;
        Ok(first)
    }

    /// Notes how late events are from now on.
    pub(super) fn follow(&mut self, schedule: Schedule) -> Result<()> {
        (self.schedule, self.delays) = (Some(schedule), histogram()?);
        Ok(())
    }

    /// The first session of the group that a call is for.
    pub(super) fn first_of(&self, call: u64) -> Result<usize> {
        Ok(usize::try_from(call * STEP % self.groups)? * self.group)
    }

    pub(super) fn heard(&mut self, body: &[u8], session: usize, at: Instant) -> Result<()> {
        let Some(event) = number(body) else { return Ok(()) };
        let (call, _) = call_of(event);
        let place = session.checked_sub(self.first_of(call)?).filter(|place| *place < self.group);
        let bit = 1 << place.with_context(|| format!("event {event} came to session {session}, which it is not for"))?;
        let missing = self.missing.get_mut(usize::try_from(event)?).context("an event came that was not posted")?;
        ensure!(*missing & bit != 0, "event {event} came twice to session {session}");
        *missing &= !bit;
        self.done += u64::from(*missing == 0);
        if let Some(schedule) = &self.schedule {
            self.delays.saturating_record(u64::try_from(schedule.late(event, at).as_micros())?);
        }
        Ok(())
    }

    /// Whether an event can be posted: not before the ring of a call that it ends was heard, which would come too late behind it.
    pub(super) fn admits(&mut self, event: u64) -> bool {
        while self.missing.get(self.oldest) == Some(&0) {
            self.oldest += 1;
        }
        u64::try_from(self.oldest).is_ok_and(|oldest| event < oldest + RINGING)
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// How many events some session has yet to hear.
    pub(super) fn missing(&self) -> u64 {
        self.missing.iter().filter(|missing| **missing != 0).map(|_| 1).sum()
    }

    pub(super) fn delays(&self) -> &Histogram<u64> {
        &self.delays
    }
}

/// The call that an event tells of, and what of it. As at a switchboard, some ring all the time: of two events one says that the oldest of
/// them is over, and the other that one more rings.
pub(super) fn call_of(event: u64) -> (u64, State) {
    match event.checked_sub(RINGING) {
        None => (event, State::Incoming),
        Some(later) if later % 2 == 0 => (later / 2, State::Ended),
        Some(later) => (RINGING + later / 2, State::Incoming),
    }
}

/// Of microseconds.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, u64::try_from(DELAY_MAX.as_micros())?, 3)?)
}

/// The number of the event that a message carries.
fn number(body: &[u8]) -> Option<u64> {
    let place = body.windows(MARK.len()).position(|window| window == MARK)?;
    let digits = body.get(place + MARK.len()..)?.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(event: u64) -> Vec<u8> {
        format!(r#"{{"destinationId":"01234 {event}"}}"#).into_bytes()
    }

    #[test]
    fn an_event_is_done_when_each_of_its_sessions_has_heard_it_once() {
        let mut tally = Tally::new(3).unwrap();
        assert_eq!(tally.expect(4, 30).unwrap(), 0);
        let now = Instant::now();
        let first = tally.first_of(call_of(2).0).unwrap();
        tally.heard(&body(2), first, now).unwrap();
        tally.heard(&body(2), first + 2, now).unwrap();
        assert!(tally.heard(&body(2), first, now).is_err());
        assert!(tally.heard(&body(2), first + 3, now).is_err());
        assert!(tally.heard(&body(9), first, now).is_err());
        assert_eq!((tally.done(), tally.missing()), (0, 4));
        tally.heard(&body(2), first + 1, now).unwrap();
        assert_eq!((tally.done(), tally.missing()), (1, 3));
        assert!(tally.admits(RINGING - 1) && !tally.admits(RINGING), "the first is not heard yet");
        tally.heard(br#"{"type":"sync"}"#, first, now).unwrap();
    }

    #[test]
    fn every_call_rings_and_is_over_later_than_events_can_be_on_their_way() {
        let mut began = std::collections::BTreeMap::new();
        for (event, (call, state)) in (0..10_000).map(|event| (event, call_of(event))) {
            match state {
                State::Incoming => assert_eq!(began.insert(call, event), None, "call {call} rings twice"),
                _ => assert!(event - began.remove(&call).unwrap() >= RINGING, "call {call}"),
            }
            assert!(began.len() <= usize::try_from(RINGING).unwrap() + 1);
        }
        for first in [RINGING, 1_000, 1_001] {
            let rings = (first..first + 100).filter(|event| call_of(*event).1 == State::Incoming).count();
            assert_eq!(rings, 50, "as many ring as are over, whatever is measured");
        }
    }

    #[test]
    fn an_event_is_due_at_its_place_in_the_schedule() {
        let schedule = Schedule { start: Instant::now(), interval: Duration::from_millis(2), first: 10 };
        assert_eq!(schedule.due(10), Duration::from_millis(2));
        assert_eq!(schedule.due(15), Duration::from_millis(12));
    }
}
