//! A session's place in the registry.

use std::sync::Arc;

use protocol::id::Recipient;

use super::Registry;
use crate::context::Context;
use crate::outbox::Outbox;
use crate::recipient::RecipientState;

/// A session's place in the registry; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) registry: Registry,
    pub(super) state: Arc<RecipientState>,
}

impl Seat {
    pub(crate) fn context(&self) -> &Context {
        &self.registry.shared.context
    }

    /// Returns whose it is.
    pub(crate) fn recipient(&self) -> &Recipient {
        self.state.recipient()
    }

    /// Notes that the person at this device saw a call. Returns `false` where there is no such live call.
    pub(crate) fn shown(&self, call_id: &str) -> bool {
        self.state.shown(call_id, &self.outbox.who, self.context().clock.now())
    }

    /// Notes that they dismissed it, and tells the other devices. Returns `false` where there is no such live call.
    pub(crate) fn dismissed(&self, call_id: &str) -> bool {
        self.state.dismissed(call_id, &self.outbox.who, self.context().clock.now())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Registry { shared } = &self.registry;
        self.registry.outboxes().remove(&self.outbox.who.session);
        let next = self.state.leave(self.outbox.who.session, &shared.context, shared.context.clock.running());
        self.registry.follow(&self.state, &next);
        shared.context.metrics.open.dec();
    }
}
