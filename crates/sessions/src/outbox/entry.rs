//! The way into an outbox: an event goes to the socket at once, or together with what else comes at this moment.

use std::sync::Arc;

use clock::Moment;
use protocol::close::CloseCode;

use super::backlog::FRAMES_AT_ONCE;
use super::gather::defer;
use super::{Inner, Outbox, wake};
use crate::delivery::Item;

impl Outbox {
    /// Puts an event behind the others; where there are none, into the socket. Returns whether it was taken.
    ///
    /// Where there is no room, all is dropped and the session is closed as slow: its client comes back with its cursor, and
    /// nothing is lost silently.
    pub(crate) fn put(self: &Arc<Self>, item: Item) -> bool {
        let mut inner = self.lock();
        if !inner.takes_events() {
            return false;
        }
        if inner.line.is_deferred() && (inner.backlog.len() == FRAMES_AT_ONCE || !self.has_room(&inner, &item)) {
            self.flush_deferred(&mut inner, self.moment());
        }
        if inner.line.is_deferred() || (inner.is_clear() && self.has_room(&inner, &item) && defer(self)) {
            inner.line.defer();
            self.push(&mut inner, item, 0);
            return true;
        }
        let written = inner.try_write(item.wire());
        if written == item.wire().len() {
            if let Item::Event(delivery) = item {
                self.written(&mut inner.liveness, delivery, self.moment());
                self.remind_of_life(&mut inner.liveness);
            }
            if inner.line.is_held() {
                wake(inner);
            }
            return true;
        }
        // What the socket has in part must follow.
        let has_room = written > 0 || self.has_room(&inner, &item);
        if has_room {
            self.push(&mut inner, item, written);
        } else {
            self.abandon(&mut inner, CloseCode::Slow);
        }
        wake(inner);
        has_room
    }

    /// Writes what was deferred; what the socket does not take is left to the session's task.
    pub(super) fn flush(&self, now: Moment) {
        let mut inner = self.lock();
        if inner.line.is_deferred() {
            self.flush_deferred(&mut inner, now);
            if inner.waits() {
                wake(inner);
            }
        }
    }

    pub(super) fn flush_deferred(&self, inner: &mut Inner, now: Moment) {
        inner.line.undefer();
        let Inner { backlog, line, .. } = inner;
        if let Some(mut way) = line.way().filter(|_| !backlog.is_empty()) {
            let written = way.try_write(&backlog.slices());
            self.advance(inner, written, now);
        }
    }

    fn has_room(&self, inner: &Inner, item: &Item) -> bool {
        inner.backlog.has_room(item, &self.context.config)
    }

    fn push(&self, inner: &mut Inner, item: Item, begun: usize) {
        self.context.waits(item.wire().len());
        inner.backlog.push(item, begun);
    }
}
