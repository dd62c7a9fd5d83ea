//! One recipient, as the node's operator sees it.

use protocol::id::{DeviceId, EventId, Product};
use protocol::message::SyncAction;
use protocol::payload::CallState;

use super::{Context, RecipientState};
use crate::recipient::calls::Calls;

impl RecipientState {
    /// Returns the sessions, oldest first.
    pub(crate) fn members(&self) -> Vec<(EventId, Product, Option<DeviceId>)> {
        self.lock()
            .sessions
            .iter()
            .map(|member| (member.outbox.who.session, member.product, member.outbox.who.device.as_deref().copied()))
            .collect()
    }

    /// Drops the ring and all calls, and takes calls that ring off the screens. Returns how many events and live calls were
    /// dropped. A client that comes back with an older cursor begins anew.
    pub(crate) fn purge(&self, context: &Context) -> (usize, usize) {
        let mut inner = self.lock();
        let (mut events, mut freed) = (0, 0);
        loop {
            match inner.ring.drop_oldest() {
                0 => break,
                bytes => freed += bytes,
            }
            events += 1;
        }
        context.freed(freed);
        let live: Vec<_> = inner.calls.live().cloned().collect();
        inner.calls = Calls::default();
        for call in live.iter().filter(|call| call.facts.state == CallState::Incoming) {
            inner.sync(call, SyncAction::Expired, None);
        }
        (events, live.len())
    }
}
