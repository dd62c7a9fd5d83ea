//! How many messages a client sends.

use std::time::Duration;

use protocol::message::CLIENT_MESSAGES_PER_SECOND;

/// Counts a client's messages, second by second.
#[derive(Debug, Default)]
pub(super) struct Window {
    second: u64,
    messages: u32,
}

impl Window {
    pub(super) fn admits(&mut self, running: Duration) -> bool {
        if self.second != running.as_secs() {
            *self = Self { second: running.as_secs(), messages: 0 };
        }
        self.messages += 1;
        self.messages <= CLIENT_MESSAGES_PER_SECOND
    }
}
