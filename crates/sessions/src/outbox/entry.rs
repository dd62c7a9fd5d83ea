//! The way into a queue: what is put goes to the socket at once, or together with what else comes at this moment.

use std::sync::Arc;

use clock::Moment;
use protocol::close::CloseCode;

use super::{FRAMES_AT_ONCE, Inner, Outbox, Waiting, wake};
use crate::delivery::Item;
use crate::outbox::gather::put_off;

impl Outbox {
    /// Puts an item behind the others; where there are none, into the socket. Where there is no room, all is dropped and the session
    /// is closed as slow: its client comes back with its cursor, and nothing is lost silently. Gives whether it was put.
    pub(crate) fn put(self: &Arc<Self>, item: Item) -> bool {
        let mut inner = self.lock();
        if inner.closing.is_some() {
            return false;
        }
        if inner.gathered && (inner.frames.len() == FRAMES_AT_ONCE || !self.has_room(&inner, &item)) {
            self.bring_out_inner(&mut inner, self.moment());
        }
        if inner.gathered || (inner.line.is_some() && !inner.waits() && self.has_room(&inner, &item) && put_off(self)) {
            inner.gathered = true;
            self.push(&mut inner, item, 0);
            return true;
        }
        let written = inner.try_write(item.wire());
        if written == item.wire().len() {
            if let Item::Event(delivery) = item {
                self.written(&mut inner.life, delivery, self.moment());
                let due = inner.life.next_due();
                self.remind_at(&mut inner, due);
            }
            if inner.unflushed {
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

    /// Brings out what was gathered; what the socket does not take is left to the session's task.
    pub(crate) fn bring_out(&self, now: Moment) {
        let mut inner = self.lock();
        if inner.gathered {
            self.bring_out_inner(&mut inner, now);
            if inner.waits() {
                wake(inner);
            }
        }
    }

    pub(super) fn bring_out_inner(&self, inner: &mut Inner, now: Moment) {
        inner.gathered = false;
        if !inner.frames.is_empty() {
            let written = inner.try_write_waiting();
            self.advance(inner, written, now);
        }
    }

    fn has_room(&self, inner: &Inner, item: &Item) -> bool {
        let config = &self.context.config;
        inner.events < config.queue_events_max && inner.bytes + item.wire().len() <= config.queue_bytes_max
    }

    /// Puts an item, of which so much is out, behind the others.
    fn push(&self, inner: &mut Inner, item: Item, begun: usize) {
        let bytes = item.wire().len();
        self.context.waits(bytes);
        inner.frames.push(Waiting { item, own: false });
        (inner.begun, inner.events, inner.bytes) = (inner.begun + begun, inner.events + 1, inner.bytes + bytes);
    }
}
