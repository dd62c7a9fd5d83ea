//! Reminders, tick by tick: for recipients, and for sessions.
//!
//! Among ten thousand sessions forty pings are due at each tick, and one check of acknowledgements for each event. On a quiet
//! node they run in one go, so that it sleeps again: that costs least. Where events come they are spread over the tick, since an
//! event waits for the reminders before it, and for the answers to their pings.

use std::time::Duration;

use protocol::id::{EventId, Recipient};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Registry;
use crate::wheel::TICK;

/// How many reminders run before the task yields.
const TOGETHER: usize = 4;
/// In how many parts a tick's reminders run where events come, and how far these are apart: within the tick, though tokio's
/// timers can be a millisecond late.
const PARTS: usize = 16;
const APART: Duration = Duration::from_millis(4);

impl Registry {
    /// Returns how many tasks are to run [`Registry::keep_time`].
    #[must_use]
    pub fn wheels(&self) -> usize {
        self.shared.context.session_reminders.len()
    }

    /// Runs the reminders of one wheel, for ever. `wheel` counts from 0; that one reminds the recipients as well.
    ///
    /// # Cancel safety
    /// The reminders of that tick are lost.
    pub async fn keep_time(self, wheel: usize) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = self.metrics().queued.get();
        loop {
            ticks.tick().await;
            let deliveries = self.metrics().queued.get();
            let pace = Pace::after(deliveries - before);
            before = deliveries;
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
        let outbox = self.outboxes().get(&session).cloned();
        outbox.iter().for_each(|outbox| outbox.check(outbox.moment()));
    }

    fn look_at(&self, recipient: Recipient, now: Duration) {
        if let Some(state) = self.find(&recipient) {
            self.follow(&state, &state.look(&self.shared.context, now));
        }
    }

    #[cfg(test)]
    pub(super) fn look_at_recipients(&self, now: Duration) {
        self.shared.recipient_reminders.due(now).into_iter().for_each(|recipient| self.look_at(recipient, now));
    }
}

/// How a tick's reminders run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    InOneGo,
    Spread,
}

impl Pace {
    /// After a tick with so many deliveries.
    fn after(deliveries: u64) -> Self {
        if deliveries == 0 { Self::InOneGo } else { Self::Spread }
    }
}

/// Runs what is due, and yields in between, so that what has come meanwhile goes first.
async fn see_to<T>(due: &[T], pace: Pace, mut see_to: impl FnMut(&T)) {
    let part = match pace {
        Pace::InOneGo => due.len(),
        Pace::Spread => due.len().div_ceil(PARTS),
    };
    for (number, part) in due.chunks(part.max(1)).enumerate() {
        if number > 0 {
            sleep(APART).await;
        }
        for some in part.chunks(TOGETHER) {
            some.iter().for_each(&mut see_to);
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::time::Instant;

    use super::*;

    const COUNTS: [usize; 7] = [0, 1, 15, 16, 17, 240, 10_000];

    /// When each of so many was seen to, and how many at most before others had their turn.
    async fn seen(count: usize, pace: Pace) -> (Vec<Duration>, usize) {
        let (due, seen, begun) = ((0..count).collect::<Vec<_>>(), RefCell::new(Vec::new()), Instant::now());
        let mut most = 0;
        let mut seeing = pin!(see_to(&due, pace, |_| seen.borrow_mut().push(begun.elapsed())));
        poll_fn(|cx| {
            let before = seen.borrow().len();
            let polled = seeing.as_mut().poll(cx);
            most = most.max(seen.borrow().len() - before);
            polled
        })
        .await;
        (seen.borrow().clone(), most)
    }

    #[test]
    fn reminders_are_spread_as_soon_as_anything_is_delivered() {
        assert_eq!([0, 1, 1_000].map(Pace::after), [Pace::InOneGo, Pace::Spread, Pace::Spread]);
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_quiet_node_all_are_seen_to_in_one_go_and_others_have_their_turn() {
        for count in COUNTS {
            let (seen, most) = seen(count, Pace::InOneGo).await;
            assert_eq!((seen, most), (vec![Duration::ZERO; count], count.min(TOGETHER)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_events_come_all_are_seen_to_part_by_part_within_the_tick() {
        for count in COUNTS {
            let (seen, most) = seen(count, Pace::Spread).await;
            let largest = seen.chunk_by(|one, other| one == other).map(<[_]>::len).max().unwrap_or_default();
            assert_eq!((seen.len(), largest), (count, count.div_ceil(PARTS)));
            assert_eq!(most, largest.min(TOGETHER));
            assert!(seen.iter().all(|at| *at < TICK), "{count}: {seen:?}");
        }
    }
}
