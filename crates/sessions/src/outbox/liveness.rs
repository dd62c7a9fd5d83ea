//! Whether the client is there and what it has received: kept beside the backlog, since whoever writes an event notes it here.

use std::time::Duration;

use clock::Moment;
use jiff::Timestamp;
use protocol::id::EventId;

use super::life::{Due, Life};
use super::{Outbox, Request, wake};
use crate::context::Context;
use crate::receipts::Word;
use crate::ws::codec::ping_frame;

/// What is known of the client, and when to look again.
#[derive(Debug)]
pub(super) struct Liveness {
    pub(super) life: Life,
    /// The next reminder that is under way.
    reminder: Duration,
    /// When the token ends, with its grace.
    token_end: Timestamp,
}

impl Liveness {
    pub(super) fn new(context: &Context, session: EventId) -> Self {
        let life = Life::new(context.config.clone(), session, context.clock.running());
        Self { life, reminder: Duration::MAX, token_end: Timestamp::MAX }
    }
}

impl Outbox {
    /// Notes that something came from the client: it is alive.
    pub(crate) fn heard(&self, now: Duration) {
        self.lock().liveness.life.heard(now);
    }

    /// Notes that the client has received everything up to and including this event.
    pub(crate) fn acknowledged(&self, id: EventId) {
        let events = self.lock().liveness.life.acknowledged(id);
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
        if now.running >= inner.liveness.reminder {
            inner.liveness.reminder = Duration::MAX;
        }
        if !inner.takes_events() {
            return;
        }
        // Behind what waits a ping would count from now on, and not from when it is out.
        let is_its_own = !inner.line.is_open() || inner.waits() || now.wall >= inner.liveness.token_end;
        let due = if is_its_own { Due::Dead } else { inner.liveness.life.due(now.running) };
        match due {
            Due::Dead => {
                inner.ask(Request::Check);
                return wake(inner);
            }
            Due::Ping => inner.say(ping_frame()),
            Due::Nothing => {}
        }
        self.remind_of_all(&mut inner.liveness, now);
        if inner.waits() {
            wake(inner);
        }
    }

    /// Returns what is due, for the session itself; where that is a ping, it counts as sent.
    pub(crate) fn due(&self, now: Duration) -> Due {
        self.lock().liveness.life.due(now)
    }

    /// Sees to it that somebody looks again when something is due: at `token_end` at the latest.
    pub(crate) fn remind(&self, token_end: Timestamp) {
        let mut inner = self.lock();
        inner.liveness.token_end = token_end;
        self.remind_of_all(&mut inner.liveness, self.moment());
    }

    fn remind_of_all(&self, liveness: &mut Liveness, now: Moment) {
        let left = Duration::try_from(liveness.token_end.duration_since(now.wall)).unwrap_or_default();
        let due = liveness.life.next_due().min(now.running + left);
        self.remind_at(liveness, due);
    }

    /// As [`Outbox::remind`], where the token has not changed.
    pub(super) fn remind_of_life(&self, liveness: &mut Liveness) {
        let due = liveness.life.next_due();
        self.remind_at(liveness, due);
    }

    fn remind_at(&self, liveness: &mut Liveness, due: Duration) {
        if due < liveness.reminder {
            liveness.reminder = due;
            self.context.remind_session(self.who.session, due);
        }
    }
}
