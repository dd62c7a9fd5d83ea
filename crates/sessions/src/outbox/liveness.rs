//! Whether the client is there and what it has received: kept beside the queue, since whoever writes an event notes it here.

use std::time::Duration;

use clock::Moment;
use jiff::Timestamp;
use protocol::id::EventId;

use super::{Inner, Outbox, wake};
use crate::outbox::life::Due;
use crate::receipts::Word;
use crate::ws::codec::ping_frame;

impl Outbox {
    /// Something came from the client: it is alive.
    pub(crate) fn heard(&self, now: Duration) {
        self.lock().life.heard(now);
    }

    /// The client has received everything up to and including this event.
    pub(crate) fn acknowledged(&self, id: EventId) {
        let events = self.lock().life.acknowledged(id);
        let now = self.moment();
        for delivery in events {
            delivery.trail.iter().for_each(|trail| trail.note(&self.who, Word::Acknowledged, now.wall));
            self.context.metrics.acknowledged.inc();
            self.context.metrics.taken_to_acknowledged.observe(now.running.saturating_sub(delivery.taken).as_secs_f64());
        }
    }

    /// Looks what is due, since a reminder says so. A ping is written at once, and the session's task sleeps on: only what ends a
    /// session is its own business.
    pub(crate) fn check(&self, now: Moment) {
        let mut inner = self.lock();
        // An earlier one that was overtaken fires as well; it puts nothing new into the wheel.
        if now.running >= inner.reminder {
            inner.reminder = Duration::MAX;
        }
        if inner.closing.is_some() || inner.has_ended {
            return;
        }
        // Behind what waits a ping would count from now on, and not from when it is out.
        let is_its_own = inner.line.is_none() || inner.waits() || now.wall >= inner.token_end;
        let due = if is_its_own { Due::Dead } else { inner.life.due(now.running) };
        match due {
            Due::Dead => {
                inner.check = true;
                return wake(inner);
            }
            Due::Ping => inner.say(ping_frame()),
            Due::Nothing => {}
        }
        self.remind_in(&mut inner, now);
        if inner.waits() {
            wake(inner);
        }
    }

    /// What is due, for the session itself; where that is a ping, it counts as sent.
    pub(crate) fn due(&self, now: Duration) -> Due {
        self.lock().life.due(now)
    }

    /// Sees to it that somebody looks again when something is due: at `token_end` at the latest.
    pub(crate) fn remind(&self, token_end: Timestamp) {
        let mut inner = self.lock();
        inner.token_end = token_end;
        self.remind_in(&mut inner, self.moment());
    }

    fn remind_in(&self, inner: &mut Inner, now: Moment) {
        let left = Duration::try_from(inner.token_end.duration_since(now.wall)).unwrap_or_default();
        self.remind_at(inner, inner.life.next_due().min(now.running + left));
    }

    pub(super) fn remind_at(&self, inner: &mut Inner, due: Duration) {
        if due < inner.reminder {
            inner.reminder = due;
            self.context.remind_session(self.who.session, due);
        }
    }
}
