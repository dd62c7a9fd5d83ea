//! Timers without a timer each: a hashed wheel (Varghese and Lauck, 1987). Ten thousand idle sessions cost one sleeping task.
//!
//! A wheel only reminds: whoever is woken looks what is really due, and asks to be reminded again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How exact a wheel is.
pub(crate) const TICK: Duration = Duration::from_millis(100);
const SLOTS: u64 = 512;

/// Reminders of keys, each due at a tick.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    // Guards the slots while one reminder is put, or those that are due are taken; nothing is called inside.
    inner: Mutex<Inner<K>>,
}

#[derive(Debug)]
struct Inner<K> {
    slots: Vec<Vec<(u64, K)>>,
    /// Every tick before this one was looked at.
    next: u64,
}

impl<K> Wheel<K> {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::new(Inner { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next: 0 }) }
    }

    /// Reminds of `key` at `due` or up to a tick later, never before.
    pub(crate) fn remind(&self, key: K, due: Duration) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let tick = ticks(due + TICK - Duration::from_nanos(1)).max(inner.next);
        if let Some(slot) = slot(&mut inner.slots, tick) {
            slot.push((tick, key));
        }
    }

    /// Takes all that is due at `now`.
    pub(crate) fn due(&self, now: Duration) -> Vec<K> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let last = ticks(now);
        let mut due = Vec::new();
        // After a long sleep one turn of the wheel sees every slot.
        for tick in inner.next..=last.min(inner.next.saturating_add(SLOTS - 1)) {
            if let Some(slot) = slot(&mut inner.slots, tick) {
                due.extend(slot.extract_if(.., |(tick, _)| *tick <= last).map(|(_, key)| key));
                if slot.is_empty() {
                    *slot = Vec::new();
                }
            }
        }
        inner.next = inner.next.max(last + 1);
        due
    }
}

fn ticks(at: Duration) -> u64 {
    u64::try_from(at.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX)
}

fn slot<K>(slots: &mut [Vec<(u64, K)>], tick: u64) -> Option<&mut Vec<(u64, K)>> {
    slots.get_mut(usize::try_from(tick % SLOTS).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_reminder_comes_once_not_before_its_time_and_at_most_a_tick_after() {
        for due in [0, 1, 99, 100, 101, 51_200, 51_234, 200_000] {
            let wheel = Wheel::new();
            wheel.remind("key", millis(due));
            let came: Vec<_> = (0..2500).map(|tick| millis(tick * 100)).filter(|now| !wheel.due(*now).is_empty()).collect();
            assert_eq!(came.len(), 1, "due at {due}");
            assert!(came[0] >= millis(due) && came[0] < millis(due) + TICK, "due at {due}, came at {came:?}");
        }
    }

    #[test]
    fn a_long_sleep_or_a_late_reminder_loses_nothing() {
        let wheel = Wheel::new();
        (0..1000).for_each(|number| wheel.remind(number, millis(number * 77)));
        let mut due = wheel.due(Duration::from_secs(3600));
        due.sort_unstable();
        assert_eq!(due, (0..1000).collect::<Vec<_>>());
        wheel.remind(7, millis(1));
        assert!(wheel.due(Duration::from_secs(3600)).is_empty());
        assert_eq!(wheel.due(Duration::from_secs(3601)), [7], "the past is due with the next tick");
    }
}
