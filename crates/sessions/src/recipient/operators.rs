//! One recipient, for who runs the node.

use protocol::frame::CallState;
use protocol::id::{DeviceId, EventId, Product};
use protocol::message::SyncAction;

use super::{Context, RecipientState};
use crate::recipient::calls::Calls;

impl RecipientState {
    /// The sessions, oldest first.
    pub(crate) fn members(&self) -> Vec<(EventId, Product, Option<DeviceId>)> {
        self.lock()
            .sessions
            .iter()
            .map(|member| (member.outbox.who.session, member.product, member.outbox.who.device.as_deref().copied()))
            .collect()
    }

    /// Lets go what clients could come back for, and all calls; those that ring go from the screens. Gives how many events and live
    /// calls that were. A client that comes back with an older place begins anew.
    pub(crate) fn purge(&self, context: &Context) -> (usize, usize) {
        let mut inner = self.lock();
        let (mut events, mut freed) = (0, 0);
        loop {
            match inner.ring.let_oldest_go() {
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
