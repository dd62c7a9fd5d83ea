//! Whether a session's client is still there. Pure: it is told what happened and when, and says what is due.
//!
//! A call rings for 20 to 30 s, so a dead line that is found after a minute is found too late: an incomingCall that is not
//! acknowledged makes the session look at once.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::EventId;
use protocol::payload::CallState;
use smallvec::SmallVec;

use crate::config::Config;
use crate::delivery::Delivery;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before the next look.
    Nothing,
    /// Send a ping.
    Ping,
    /// Nobody is there any more.
    Dead,
}

#[derive(Debug)]
pub(crate) struct Life {
    config: Arc<Config>,
    /// This session's own interval, so that those that came together do not ping together.
    interval: Duration,
    next_ping: Duration,
    /// When the line counts as dead, if nothing is heard before.
    dead: Option<Duration>,
    /// What was sent, oldest first. Who acknowledges has one at most, and it lies here.
    unacknowledged: SmallVec<[Sent; 1]>,
    /// When the oldest of them was sent that makes us ask.
    silent: Option<Duration>,
}

#[derive(Debug)]
struct Sent {
    delivery: Arc<Delivery>,
    /// When it was sent, where that makes us ask, and as long as we have not.
    silent: Option<Duration>,
}

impl Life {
    pub(crate) fn new(config: Arc<Config>, session: EventId, now: Duration) -> Self {
        // The last byte of an id is random: 0.8 to 1.2 of the interval.
        let random = session.as_bytes().last().copied().unwrap_or_default();
        let interval = config.life.ping_interval.mul_f64(0.8 + 0.4 * f64::from(random) / 255.0);
        let (next_ping, unacknowledged) = (now + interval, SmallVec::new());
        Self { config, interval, next_ping, dead: None, unacknowledged, silent: None }
    }

    /// Notes that something came from the client: it is alive.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.dead = None;
        self.next_ping = now + self.interval;
    }

    /// Notes that an event was written.
    pub(crate) fn sent(&mut self, delivery: Arc<Delivery>, now: Duration) {
        // As many as a resume can send at once; acknowledgements of older ones are not counted.
        if self.unacknowledged.len() >= self.config.ring.events_max.max(self.config.queue_events_max) {
            let oldest = self.unacknowledged.remove(0);
            if oldest.silent.is_some() {
                self.look_for_silent();
            }
        }
        let silent = (delivery.facts.state == CallState::Incoming).then_some(now);
        self.silent = self.silent.or(silent);
        self.unacknowledged.push(Sent { delivery, silent });
    }

    /// Notes that the client has everything up to and including this event. Returns what that was.
    pub(crate) fn acknowledged(&mut self, id: EventId) -> SmallVec<[Arc<Delivery>; 1]> {
        let count = self.unacknowledged.iter().position(|sent| sent.delivery.facts.id == id).map_or(0, |place| place + 1);
        let received = self.unacknowledged.drain(..count).map(|sent| sent.delivery).collect();
        self.look_for_silent();
        received
    }

    fn look_for_silent(&mut self) {
        self.silent = self.unacknowledged.iter().find_map(|sent| sent.silent);
    }

    /// Returns what is due at `now`. A ping counts as sent.
    pub(crate) fn due(&mut self, now: Duration) -> Due {
        if self.dead.is_some_and(|dead| now >= dead) {
            return Due::Dead;
        }
        let patience = self.config.life.ack_timeout;
        let oldest = self.silent;
        if oldest.is_none_or(|at| now < at + patience) && now < self.next_ping {
            return Due::Nothing;
        }
        let timeout = if oldest.is_some() { patience } else { self.config.life.pong_timeout };
        // An answer to this ping vouches for all that was sent before it.
        self.unacknowledged.iter_mut().for_each(|sent| sent.silent = None);
        self.silent = None;
        self.next_ping = now + self.interval;
        self.dead = Some(self.dead.map_or(now + timeout, |dead| dead.min(now + timeout)));
        Due::Ping
    }

    /// Returns when to look again.
    pub(crate) fn next_due(&self) -> Duration {
        let silent = self.silent.map(|at| at + self.config.life.ack_timeout);
        [Some(self.next_ping), self.dead, silent].into_iter().flatten().min().unwrap_or(self.next_ping)
    }
}

#[cfg(test)]
mod tests;
