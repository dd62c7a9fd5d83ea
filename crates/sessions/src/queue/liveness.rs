//! Whether the client is there and what it has received: kept beside the queue, since whoever writes an event notes it here.

use std::time::Duration;

use protocol::id::EventId;

use super::{Inner, Queue};
use crate::life::Due;
use crate::receipts::Word;

impl Queue {
    /// Something came from the client: it is alive.
    pub(crate) fn heard(&self, now: Duration) {
        self.lock().life.heard(now);
    }

    /// The client has received everything up to and including this event.
    pub(crate) fn acknowledged(&self, id: EventId) {
        let events = self.lock().life.acknowledged(id);
        let wall = self.context.clock.now();
        for delivery in events {
            delivery.trail.iter().for_each(|trail| trail.note(&self.who, Word::Acknowledged, wall));
            self.context.metrics.acknowledged.inc();
            self.context.metrics.taken_to_acknowledged.observe(delivery.taken.elapsed().as_secs_f64());
        }
    }

    /// What is due; where that is a ping, it counts as sent.
    pub(crate) fn due(&self, now: Duration) -> Due {
        let mut inner = self.lock();
        if now >= inner.reminder {
            inner.reminder = Duration::MAX;
        }
        inner.life.due(now)
    }

    /// Sees to it that the session looks again when something is due: at `token_end` at the latest.
    pub(crate) fn remind(&self, token_end: Duration) {
        let mut inner = self.lock();
        let due = inner.life.next_due().min(token_end);
        self.remind_at(&mut inner, due);
    }

    pub(super) fn remind_at(&self, inner: &mut Inner, due: Duration) {
        if due < inner.reminder {
            inner.reminder = due;
            self.context.remind_session(self.who.session, due);
        }
    }
}
