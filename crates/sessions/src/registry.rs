//! Recipient → ring, calls and sessions. Sharded; a shard's lock is held for a look-up only, never while anything is done.

mod seat; // a session's place
mod operators; // for who runs the node
mod time; // who asked to be reminded

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashSet;
use jiff::Timestamp;
use protocol::close::CloseCode;
use protocol::frame::EncodedFrame;
use protocol::id::{EventId, Recipient};

pub use self::operators::{OpenSession, PurgedStates};
pub(crate) use self::seat::Seat;

use crate::config::Config;
use crate::context::Context;
use crate::delivery::Delivery;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::outbox::gather::flush_many;
use crate::receipts::{Poster, Receipts, SavedReceipts, TargetReceipts, Who};
use crate::recipient::saved::{SavedEvent, SavedRecipient};
use crate::recipient::{Delivered, FollowUp, Joined, Joining, RecipientState};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::wheel::Wheel;
use clock::{Clock, Moment};

/// How much time closing takes for each thousand sessions, and the least that it takes.
const DRAIN_PER_THOUSAND: Duration = Duration::from_secs(1);
const DRAIN_MIN: Duration = Duration::from_secs(1);

/// Returns when a new token of a recipient ends; `None` where it is not valid, or is somebody else's.
pub type Renew = Arc<dyn Fn(&Recipient, &str) -> Option<Timestamp> + Send + Sync>;

/// The times of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// When the node had it whole ([`Clock::running`]).
    pub taken: Duration,
    /// When it is delivered.
    pub now: Moment,
}

/// All sessions of this node, and what they can come back for; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    recipients: DashSet<Known, ahash::RandomState>,
    /// Every open session, for closing them all and for finding the slowest.
    // Guards the map while a session comes, goes or all are copied; nothing is called inside.
    outboxes: Mutex<HashMap<EventId, Arc<Outbox>>>,
    closing: AtomicBool,
    context: Arc<Context>,
    recipient_reminders: Wheel<Recipient>,
    renew: Renew,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("recipients", &self.recipients.len()).finish_non_exhaustive()
    }
}

/// The state of a recipient, found by who it is. The table holds pointers only, so that most of it stays in the processor's
/// cache: each event looks for other recipients.
#[derive(Debug, Clone)]
struct Known(Arc<RecipientState>);

impl Borrow<Recipient> for Known {
    fn borrow(&self) -> &Recipient {
        self.0.recipient()
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.0.recipient() == other.0.recipient()
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.recipient().hash(state);
    }
}

impl Registry {
    /// A registry without sessions.
    #[must_use]
    pub fn new(config: Config, clock: Clock, metrics: Metrics, renew: Renew) -> Self {
        let shared = Shared {
            recipients: DashSet::default(),
            outboxes: Mutex::default(),
            closing: AtomicBool::new(false),
            context: Arc::new(Context::new(config, clock, metrics)),
            recipient_reminders: Wheel::new(),
            renew,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Delivers an event to the ring of every recipient, and to the socket, or else the backlog, of each session whose product is
    /// told.
    ///
    /// Returns how many sessions took it, recipient by recipient. A session without room is closed as slow and not counted. Never
    /// waits.
    pub fn deliver(
        &self,
        frame: EncodedFrame<'_>,
        poster: Poster,
        recipients: impl Iterator<Item = Recipient> + Clone,
        when: When,
    ) -> Vec<usize> {
        let negotiators = recipients.clone().map(|recipient| recipient.negotiator);
        let When { taken, now: Moment { running: now, .. } } = when;
        let trail = self.receipts().begin(frame.facts.id, poster, negotiators, now);
        let delivery = Arc::new(Delivery::new(frame, taken, Some(trail)));
        let counts: Vec<_> = recipients.map(|recipient| self.deliver_to(recipient, &delivery, now)).collect();
        flush_many();
        // Behind what somebody waits for.
        self.receipts().expire(now);
        self.metrics().queued.inc_by(counts.iter().sum::<usize>() as u64);
        if self.shared.context.waiting_bytes() > self.config().queues_bytes_max {
            self.shed();
        }
        counts
    }

    fn deliver_to(&self, recipient: Recipient, delivery: &Arc<Delivery>, now: Duration) -> usize {
        loop {
            let state = self.state(recipient, now);
            match state.deliver(delivery, &self.shared.context, now) {
                Ok((Delivered::Late, next)) => {
                    delivery.trail.iter().for_each(|trail| trail.late(recipient.negotiator));
                    self.follow(&state, &next);
                    return 0;
                }
                Ok((Delivered::Queued(taken), next)) => {
                    self.follow(&state, &next);
                    return taken;
                }
                Err(_forgotten) => self.forget(&state),
            }
        }
    }

    /// Closes the sessions with the most waiting, until what waits in all outboxes is well within its bound.
    fn shed(&self) {
        // A tenth is freed at once, so that not each event has to look for the slowest.
        let enough = self.config().queues_bytes_max / 10 * 9;
        let outboxes: Vec<_> = self.outboxes().values().cloned().collect();
        let mut outboxes: Vec<_> =
            outboxes.into_iter().map(|outbox| (outbox.bytes(), outbox)).filter(|(bytes, _)| *bytes > 0).collect();
        outboxes.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (_, slowest) in outboxes {
            if self.shared.context.waiting_bytes() <= enough {
                return;
            }
            slowest.shed();
        }
    }

    /// Ends a call that rings, since it was missed at `created`, and tells the devices. The missed call itself is kept by the
    /// store.
    pub fn miss(&self, recipient: &Recipient, call_id: &str, created: Timestamp) {
        if let Some(state) = self.find(recipient) {
            state.miss(call_id, created, self.clock().running());
        }
    }

    /// Closes the sessions of a recipient. Returns how many there were.
    #[must_use]
    pub fn close(&self, recipient: &Recipient, code: CloseCode) -> usize {
        self.find(recipient).map_or(0, |state| state.close(code))
    }

    /// Returns how many sessions a recipient has.
    #[must_use]
    pub fn sessions_of(&self, recipient: &Recipient) -> usize {
        self.find(recipient).map_or(0, |state| state.sessions())
    }

    /// Returns what became of an event at each negotiator that it was for; `None` where this poster posted no such event within
    /// the resume window.
    #[must_use]
    pub fn receipts_of(&self, id: EventId, poster: Poster) -> Option<Vec<TargetReceipts>> {
        self.receipts().find(id, poster, self.clock().running())
    }

    /// Returns how many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.outboxes().len()
    }

    /// Tells every session when it will be closed, each with a slot of its own, so that they do not all come back at once.
    /// One that comes from now on is closed at once.
    pub fn drain(&self, window_max: Duration) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let outboxes: Vec<_> = self.outboxes().values().cloned().collect();
        let count = u32::try_from(outboxes.len()).unwrap_or(u32::MAX).max(1);
        let window = (DRAIN_PER_THOUSAND * count / 1000).max(DRAIN_MIN).min(window_max);
        for (place, outbox) in (0..count).zip(outboxes) {
            outbox.go_away(window * place / count);
        }
    }

    /// Asks every session to close after what waits for it.
    pub fn close_all(&self, code: CloseCode) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let outboxes: Vec<_> = self.outboxes().values().cloned().collect();
        outboxes.iter().for_each(|outbox| outbox.close(code));
    }

    /// Returns what the next run of the node needs to know of the receipts. That run restores them before it calls
    /// [`Registry::restore`].
    #[must_use]
    pub fn save_receipts(&self) -> Vec<SavedReceipts> {
        self.receipts().save(self.clock().running(), self.clock().now())
    }

    /// Goes on with the receipts of an earlier run.
    pub fn restore_receipts(&self, saved: Vec<SavedReceipts>) {
        self.receipts().restore(saved, self.clock().running(), self.clock().now());
    }

    /// Returns what the next run of the node needs to know of each recipient.
    #[must_use]
    pub fn save(&self) -> Vec<(Recipient, SavedRecipient)> {
        let known: Vec<_> = self.shared.recipients.iter().map(|known| known.clone()).collect();
        known.into_iter().map(|Known(state)| (*state.recipient(), state.save())).collect()
    }

    /// Goes on from what an earlier run knew.
    pub fn restore(&self, saved: Vec<(Recipient, SavedRecipient)>) {
        let (now, wall) = (self.clock().running(), self.clock().now());
        let age = |event: &SavedEvent| Duration::try_from(wall.duration_since(event.at())).unwrap_or_default();
        for (recipient, saved) in saved {
            let state = Arc::new(RecipientState::restore(recipient, &saved, &self.shared.context, now, age));
            self.shared.recipients.insert(Known(state.clone()));
            self.metrics().recipients.inc();
            self.follow(&state, &state.look(&self.shared.context, now));
        }
    }

    /// Adds a session: what it missed is returned, and every event from now on goes into its outbox.
    pub(crate) fn join(&self, recipient: Recipient, who: Who, how: Joining) -> (Seat, Joined) {
        let session = who.session;
        let outbox = Arc::new(Outbox::new(who, self.shared.context.clone()));
        let now = self.clock().running();
        self.outboxes().insert(session, outbox.clone());
        self.metrics().open.inc();
        self.metrics().opened.inc();
        let (state, joined) = loop {
            let state = self.state(recipient, now);
            match state.join(&outbox, how, &self.shared.context, now) {
                Ok(joined) => break (state, joined),
                Err(_forgotten) => self.forget(&state),
            }
        };
        // Read after the insertion: either `drain` sees the outbox, or this sees its mark.
        if self.shared.closing.load(Ordering::SeqCst) {
            outbox.close(CloseCode::Restarting);
        }
        (Seat { outbox, registry: self.clone(), state }, joined)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.context.config
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.context.clock
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.context.metrics
    }

    pub(crate) fn receipts(&self) -> &Receipts {
        &self.shared.context.receipts
    }

    pub(crate) fn renew(&self, recipient: &Recipient, token: &str) -> Option<Timestamp> {
        (self.shared.renew)(recipient, token)
    }

    fn find(&self, recipient: &Recipient) -> Option<Arc<RecipientState>> {
        self.shared.recipients.get(recipient).map(|known| known.0.clone())
    }

    /// Returns the state of a recipient, which is made where there is none.
    fn state(&self, recipient: Recipient, now: Duration) -> Arc<RecipientState> {
        loop {
            if let Some(state) = self.find(&recipient) {
                return state;
            }
            // Nothing comes of it where another thread was first.
            if self.shared.recipients.insert(Known(Arc::new(RecipientState::new(recipient, now)))) {
                self.metrics().recipients.inc();
            }
        }
    }

    fn follow(&self, state: &Arc<RecipientState>, next: &FollowUp) {
        match next {
            FollowUp::Nothing => {}
            FollowUp::Remind(due) => self.shared.recipient_reminders.remind(*state.recipient(), *due),
            FollowUp::Forget => self.forget(state),
        }
    }

    /// Drops a forgotten state, unless another already stands in its place.
    fn forget(&self, state: &Arc<RecipientState>) {
        if self.shared.recipients.remove_if(state.recipient(), |known| Arc::ptr_eq(&known.0, state)).is_some() {
            self.metrics().recipients.dec();
        }
    }

    fn outboxes(&self) -> MutexGuard<'_, HashMap<EventId, Arc<Outbox>>> {
        lock(&self.shared.outboxes)
    }
}

#[cfg(all(test, feature = "model"))]
mod model;
#[cfg(test)]
mod tests;
