//! One recipient: ring, calls and sessions under one lock. The order in which events pass that lock is the order of the ring, and
//! the order in which every session of the recipient gets them, on the live path and on resume.

mod ring; // what a client may come back for
mod calls; // what is ringing, answered, over
pub mod saved; // what a run hands to the next
mod operators; // for who runs the node

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use protocol::close::CloseCode;
use protocol::id::{DeviceId, EventId, Product, Recipient};
use protocol::message::{Resume, SyncAction, encode_sync};
use protocol::payload::CallState;
use smallvec::SmallVec;

use self::calls::{Calls, Fate};
use self::ring::Ring;
use crate::context::Context;
use crate::delivery::{Delivery, Item};
use crate::outbox::Outbox;
use crate::receipts::{Who, Word};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::ws::codec::text_frame;

/// A recipient that is logged in, or was of late, or for whom something happened.
// In this order, so that who finds it has what comes next at hand.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RecipientState {
    recipient: Recipient,
    // Guards the order of events. Inside, outboxes and their sockets are touched; nothing is awaited.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ring: Ring,
    calls: Calls,
    /// Oldest first. The first lies here, as most recipients have one, and each piece of memory that an event touches costs it
    /// time.
    sessions: SmallVec<[Member; 1]>,
    /// When the last session left or the last event came.
    touched: Duration,
    /// The next reminder that is under way: one, not one for each event.
    reminder: Option<Duration>,
    /// Set when nothing is left to remember: whoever holds this state by now must look the recipient up again.
    forgotten: bool,
}

#[derive(Debug)]
struct Member {
    product: Product,
    outbox: Arc<Outbox>,
}

/// How a session joins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joining {
    pub(crate) product: Product,
    /// When, by the broker's clock.
    pub(crate) at: Timestamp,
    /// The cursor that the client brought; `Some(None)` where that was no cursor at all.
    pub(crate) resume: Option<Option<EventId>>,
    /// The cursor that the ring begins with, where it has none yet.
    pub(crate) fresh: EventId,
}

/// What a session finds when it joins.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) cursor: EventId,
    pub(crate) resume: Resume,
    pub(crate) calls: Vec<Arc<Delivery>>,
    /// What happened since the cursor. What happens from now on comes into the outbox, after it.
    pub(crate) missed: Vec<Arc<Delivery>>,
    /// Frames that take those of these calls off the screen that stopped ringing without an event.
    pub(crate) over: Vec<Bytes>,
}

/// The state was forgotten in the meantime: look the recipient up again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forgotten;

/// What became of an event at a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// So many sessions took it.
    Queued(usize),
    /// A later state of its call had overtaken it.
    Late,
}

/// What is to be done for a recipient next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FollowUp {
    /// Nothing: a reminder is under way, or none is needed.
    Nothing,
    /// Look at it again at this time.
    Remind(Duration),
    /// Drop it: nothing is left to remember.
    Forget,
}

impl RecipientState {
    pub(crate) fn new(recipient: Recipient, now: Duration) -> Self {
        Self::with(recipient, Ring::default(), Calls::default(), now)
    }

    fn with(recipient: Recipient, ring: Ring, calls: Calls, now: Duration) -> Self {
        let inner = Inner { ring, calls, sessions: SmallVec::new(), touched: now, reminder: None, forgotten: false };
        Self { recipient, inner: Mutex::new(inner) }
    }

    /// Returns who it is.
    pub(crate) fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// Adds a session: it gets every event from now on, and finds what it missed.
    pub(crate) fn join(&self, outbox: &Arc<Outbox>, how: Joining, context: &Context, now: Duration) -> Result<Joined, Forgotten> {
        let mut inner = self.lock();
        if inner.forgotten {
            return Err(Forgotten);
        }
        inner.expire(context, now);
        inner.make_room(outbox.who.device.as_deref(), context);
        let Joining { product, at, resume, fresh } = how;
        let found = resume.flatten().and_then(|cursor| Some((cursor, inner.ring.after(cursor, product)?)));
        let end = inner.ring.end(product, fresh);
        let calls = inner.calls.live().filter(|call| call.tells(product)).cloned().collect();
        let (cursor, resume, missed) = match (found, resume) {
            // A client that breaks off again before it got what it missed still has its place.
            (Some((cursor, missed)), _) => (cursor, Resume::Full, missed),
            (None, Some(_)) => (end, Resume::None, Vec::new()),
            (None, None) => (end, Resume::New, Vec::new()),
        };
        let over = inner.over(&missed);
        if resume == Resume::Full {
            inner.acknowledge(cursor, &outbox.who, at);
        }
        inner.sessions.push(Member { product, outbox: outbox.clone() });
        Ok(Joined { cursor, resume, calls, missed, over })
    }

    /// Removes a session.
    pub(crate) fn leave(&self, session: EventId, context: &Context, now: Duration) -> FollowUp {
        let mut inner = self.lock();
        inner.sessions.retain(|member| member.outbox.who.session != session);
        inner.touched = now;
        inner.next(context, now)
    }

    /// Puts an event into the ring and into the outbox of each session whose product is told.
    pub(crate) fn deliver(
        &self,
        delivery: &Arc<Delivery>,
        context: &Context,
        now: Duration,
    ) -> Result<(Delivered, FollowUp), Forgotten> {
        let mut inner = self.lock();
        if inner.forgotten {
            return Err(Forgotten);
        }
        // The ring drops what is old when it takes this event; where that is late, at its reminder.
        inner.expire_calls(now);
        inner.touched = now;
        let (fate, crowded_out) = inner.calls.apply(delivery, now);
        if crowded_out {
            context.metrics.calls_dropped.inc();
        }
        if fate == Fate::Late {
            context.metrics.late.inc();
            return Ok((Delivered::Late, inner.next(context, now)));
        }
        let told = inner.sessions.iter().filter(|member| delivery.tells(member.product));
        let taken = told.filter(|member| member.outbox.put(Item::Event(delivery.clone()))).count();
        inner.remember(delivery.clone(), context, now);
        Ok((Delivered::Queued(taken), inner.next(context, now)))
    }

    /// Ends a call that rings, since it was missed, and tells the devices. The missed call itself is kept by the store.
    pub(crate) fn miss(&self, call_id: &str, created: Timestamp, now: Duration) {
        let mut inner = self.lock();
        if let Some(call) = inner.calls.miss(call_id, created, now) {
            inner.sync(&call, SyncAction::Missed, None);
        }
    }

    /// Notes that the person at this device saw a call. Returns `false` where there is no such live call.
    pub(crate) fn shown(&self, call_id: &str, by: &Who, at: Timestamp) -> bool {
        let inner = self.lock();
        let is_known = inner.live_call(call_id, by).is_some();
        if is_known {
            inner.note(call_id, by, Word::Shown, at);
        }
        is_known
    }

    /// Notes that the person at this device dismissed a call, and tells the other devices. Returns `false` where there is no such
    /// live call.
    pub(crate) fn dismissed(&self, call_id: &str, by: &Who, at: Timestamp) -> bool {
        let inner = self.lock();
        let call = inner.live_call(call_id, by);
        if let Some(call) = call {
            inner.note(call_id, by, Word::Dismissed, at);
            inner.sync(call, SyncAction::Dismissed, Some(by.session));
        }
        call.is_some()
    }

    /// Drops what is due: old events, calls that rang to the end without a word that they stopped, at last the recipient itself.
    pub(crate) fn look(&self, context: &Context, now: Duration) -> FollowUp {
        let mut inner = self.lock();
        if inner.reminder.is_some_and(|reminder| now >= reminder) {
            inner.reminder = None;
        }
        inner.expire(context, now);
        inner.next(context, now)
    }

    /// Returns how many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Closes all sessions with this code. Returns how many there were.
    pub(crate) fn close(&self, code: CloseCode) -> usize {
        let inner = self.lock();
        inner.sessions.iter().for_each(|member| member.outbox.close(code));
        inner.sessions.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn sync_frame(call: &Delivery, action: SyncAction) -> Bytes {
    text_frame(&encode_sync(call.call_id(), action))
}

impl Inner {
    /// Closes the older session of the same device, and the oldest where there are too many.
    fn make_room(&mut self, device: Option<&DeviceId>, context: &Context) {
        self.sessions.retain(|member| {
            let is_replaced = device.is_some() && member.outbox.who.device.as_deref() == device;
            if is_replaced {
                member.outbox.close(CloseCode::Replaced);
            }
            !is_replaced
        });
        while self.sessions.len() >= context.config.sessions_per_negotiator_max {
            self.sessions.remove(0).outbox.close(CloseCode::Evicted);
        }
    }

    /// Puts an event into the ring, which drops what exceeds its own bound or the node's.
    fn remember(&mut self, delivery: Arc<Delivery>, context: &Context, now: Duration) {
        let ring = &context.config.ring;
        let mut freed = self.ring.make_room(ring);
        let total = context.kept(self.ring.push(delivery, now));
        freed += self.ring.expire(ring, now);
        while total.saturating_sub(freed) > ring.bytes_max {
            match self.ring.drop_oldest() {
                0 => break,
                more => freed += more,
            }
        }
        context.freed(freed);
    }

    fn expire(&mut self, context: &Context, now: Duration) {
        context.freed(self.ring.expire(&context.config.ring, now));
        self.expire_calls(now);
    }

    fn expire_calls(&mut self, now: Duration) {
        if !self.calls.is_due(now) {
            return;
        }
        for call in self.calls.expire(now) {
            self.sync(&call, SyncAction::Expired, None);
        }
    }

    /// Returns a frame for each call that would pop from these events and rings no longer: it was missed.
    fn over(&self, missed: &[Arc<Delivery>]) -> Vec<Bytes> {
        let mut last: Vec<&Arc<Delivery>> = Vec::new();
        for delivery in missed {
            last.retain(|earlier| !earlier.is_of_the_call_of(delivery));
            last.push(delivery);
        }
        let rings_no_longer = |delivery: &&&Arc<Delivery>| {
            delivery.facts.state == CallState::Incoming && self.calls.find_live(delivery.call_id()).is_none()
        };
        last.iter().filter(rings_no_longer).map(|delivery| sync_frame(delivery, SyncAction::Missed)).collect()
    }

    /// Returns the event that set the state of a live call, if this session is told of it.
    fn live_call(&self, call_id: &str, who: &Who) -> Option<&Arc<Delivery>> {
        let member = self.sessions.iter().find(|member| member.outbox.who.session == who.session)?;
        self.calls.find_live(call_id).filter(|call| call.tells(member.product))
    }

    /// Notes what a device says of a call in the receipts of all its events, back to when it last began to ring.
    fn note(&self, call_id: &str, who: &Who, word: Word, at: Timestamp) {
        for delivery in self.ring.entries().rev().filter(|delivery| delivery.is_of(call_id)) {
            delivery.trail.iter().for_each(|trail| trail.note(who, word, at));
            if delivery.facts.state == CallState::Incoming {
                return;
            }
        }
    }

    /// Notes that a device has received everything up to the cursor that it brings.
    fn acknowledge(&self, cursor: EventId, who: &Who, at: Timestamp) {
        let up_to_it = self.ring.entries().rev().skip_while(|delivery| delivery.facts.id != cursor);
        up_to_it.filter_map(|delivery| delivery.trail.as_ref()).for_each(|trail| trail.note(who, Word::Acknowledged, at));
    }

    fn sync(&self, call: &Delivery, action: SyncAction, except: Option<EventId>) {
        let item = Item::frame(sync_frame(call, action));
        let others = self.sessions.iter().filter(|member| Some(member.outbox.who.session) != except);
        for member in others.filter(|member| call.tells(member.product)) {
            member.outbox.put(item.clone());
        }
    }

    /// Marks the recipient as forgotten where nothing is left to remember. Returns what is to be done next.
    fn next(&mut self, context: &Context, now: Duration) -> FollowUp {
        let idle_end = self.sessions.is_empty().then_some(self.touched + context.config.ring.age_max);
        let calls = self.calls.next_due().filter(|_| idle_end.is_none() || !context.is_crowded());
        let ring = self.ring.next_due(&context.config.ring);
        let later = |due: Option<Duration>| due.filter(|due| *due > now).unwrap_or(Duration::MAX);
        let first = later(ring).min(later(calls)).min(later(idle_end));
        if idle_end.is_some() && first == Duration::MAX {
            self.forgotten = true;
            context.freed(self.ring.bytes());
            self.ring = Ring::default();
            return FollowUp::Forget;
        }
        if first >= self.reminder.unwrap_or(Duration::MAX) {
            return FollowUp::Nothing;
        }
        self.reminder = Some(first);
        FollowUp::Remind(first)
    }
}
