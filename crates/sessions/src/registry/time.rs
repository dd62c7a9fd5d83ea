//! Who asked to be reminded is reminded, tick by tick.
//!
//! Among ten thousand sessions forty pings are due at each tick, and as many looks at acknowledgements as events came. Where nothing
//! else happens they are seen to one after another, so that the node sleeps again: that costs least. Where events come, they are spread
//! over the tick, since an event that comes meanwhile waits for what is seen to, and for the answers to it.

use std::time::Duration;

use protocol::id::{EventId, Recipient};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Registry;
use crate::wheel::TICK;

/// How many reminders are seen to before others have their turn.
const AT_ONCE: usize = 4;
/// In how many parts a tick's reminders are seen to where events come, and how far these are apart: within the tick, though a timer of
/// tokio's can be a millisecond late.
const PARTS: usize = 16;
const APART: Duration = Duration::from_millis(4);

impl Registry {
    /// How many tasks are to run [`Registry::keep_time`].
    #[must_use]
    pub fn wheels(&self) -> usize {
        self.shared.context.session_reminders.len()
    }

    /// Wakes whoever asked to be reminded, for ever. `wheel` counts from 0; that one sees to the recipients as well.
    ///
    /// Cancel safety: what is due at that moment is not seen to any more.
    pub async fn keep_time(self, wheel: usize) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = self.metrics().queued.get();
        loop {
            ticks.tick().await;
            let events = self.metrics().queued.get();
            let pace = if events == before { Pace::AtOnce } else { Pace::Spread };
            before = events;
            let now = self.clock().running();
            let sessions = self.shared.context.session_reminders.get(wheel).map(|wheel| wheel.due(now)).unwrap_or_default();
            let look_at_sessions = see_to(&sessions, pace, |session| self.check(*session));
            if wheel > 0 {
                look_at_sessions.await;
                continue;
            }
            self.receipts().expire(now);
            let recipients = self.shared.recipient_reminders.due(now);
            let look_at_recipients = see_to(&recipients, pace, |recipient| self.look_at(*recipient, self.clock().running()));
            tokio::join!(look_at_sessions, look_at_recipients);
        }
    }

    fn check(&self, session: EventId) {
        let queue = self.queues().get(&session).cloned();
        queue.iter().for_each(|queue| queue.check(queue.moment()));
    }

    fn look_at(&self, recipient: Recipient, now: Duration) {
        if let Some(state) = self.find(&recipient) {
            self.follow(recipient, &state, &state.look(&self.shared.context, now));
        }
    }

    #[cfg(test)]
    pub(super) fn look_at_recipients(&self, now: Duration) {
        self.shared.recipient_reminders.due(now).into_iter().for_each(|recipient| self.look_at(recipient, now));
    }
}

/// How a tick's reminders are seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    Spread,
}

/// Sees to what is due, and lets what has come meanwhile go first again and again.
async fn see_to<T>(due: &[T], pace: Pace, mut see_to: impl FnMut(&T)) {
    match pace {
        Pace::AtOnce => {
            for some in due.chunks(AT_ONCE) {
                some.iter().for_each(&mut see_to);
                tokio::task::yield_now().await;
            }
        }
        Pace::Spread => {
            for some in due.chunks(due.len().div_ceil(PARTS).max(1)) {
                some.iter().for_each(&mut see_to);
                sleep(APART).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    /// When each of so many was seen to.
    async fn seen(count: usize, pace: Pace) -> Vec<Duration> {
        let (due, seen, begun) = ((0..count).collect::<Vec<_>>(), RefCell::new(Vec::new()), Instant::now());
        see_to(&due, pace, |_| seen.borrow_mut().push(begun.elapsed())).await;
        seen.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn where_events_come_few_reminders_are_seen_to_at_once_and_all_within_the_tick() {
        for count in [1, 15, 16, 17, 240, 10_000] {
            let seen = seen(count, Pace::Spread).await;
            let most = seen.chunk_by(|one, other| one == other).map(<[_]>::len).max().unwrap_or_default();
            assert_eq!((seen.len(), most), (count, count.div_ceil(PARTS)));
            assert!(seen.iter().all(|at| *at < TICK), "{count}: {seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn among_many_reminders_what_came_meanwhile_has_its_turn() {
        let (due, seen) = ((0..100).collect::<Vec<_>>(), RefCell::new(0));
        let meanwhile = async {
            tokio::task::yield_now().await;
            *seen.borrow()
        };
        let ((), seen_by_then) = tokio::join!(see_to(&due, Pace::AtOnce, |_| *seen.borrow_mut() += 1), meanwhile);
        assert_eq!(*seen.borrow(), 100);
        assert!(seen_by_then < 100, "{seen_by_then}");
    }
}
