//! Whose turn is it? Endpoints take turns, not deliveries. Pure: no clock, no disk, no socket; times are Unix milliseconds.
//!
//! Each endpoint has a short window of deliveries in memory; what does not fit stays on disk and is read when the window runs low.
//! Whatever is in memory, on its way, or waits for its outcome to be on disk is *held*, so that a read does not bring it again.
//!
//! There are two lanes, each with a part of all slots: endpoints that answer, or are new, and endpoints that did not answer lately.
//! An endpoint that never answered, or did not lately, gets one request at a time, and a request that takes long is counted to the
//! second lane from then on. So a thousand endpoints that hang fill their own lane and no more.

mod limits; // how much is on its way at once
mod shares; // what hosts and customers have on their way, and who waits for them
mod queue; // one endpoint: its window, what it holds, its breaker

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::id::CustomerId;

pub use self::limits::SendLimits;
use crate::book::Endpoint;
pub(crate) use queue::{Finished, Item, Key, Read};
use queue::{Queue, Taken};
use shares::{Share, Shares};

/// An attempt that runs for longer than this is counted to the second lane.
const SLOW_MILLIS: i64 = 1_000;
/// Requests that hang leave the first lane, so that the others go on; but never are there more on their way than so many times the
/// slots.
const IN_ALL_TIMES: usize = 2;

/// Something to do.
#[derive(Debug)]
pub(crate) enum Work {
    /// Send this.
    Attempt(Arc<Endpoint>, Item),
    /// Read this.
    Read(Read),
}

/// An attempt that is on its way.
#[derive(Debug, Clone)]
struct Flight {
    endpoint: i64,
    begun: i64,
    customer: CustomerId,
    host: Arc<str>,
    lane: Lane,
    key: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lane {
    Answering,
    Slow,
}

/// One lane: who can go, in turn, and how many are on their way.
#[derive(Debug, Default)]
struct Turns {
    ring: VecDeque<i64>,
    in_flight: usize,
}

/// All queues.
#[derive(Debug)]
pub(crate) struct Schedule {
    limits: SendLimits,
    queues: HashMap<i64, Queue>,
    answering: Turns,
    slow: Turns,
    timers: BTreeSet<(i64, i64)>,
    flights: HashMap<(i64, i64), Flight>,
    /// The flights of the first lane by when they began.
    by_age: BTreeSet<(i64, i64, i64)>,
    shares: Shares,
    window_bytes: usize,
    /// For when the one who keeps time waits.
    awaited: Option<i64>,
}

impl Schedule {
    pub(crate) fn new(limits: SendLimits) -> Self {
        Self {
            shares: Shares::new(&limits),
            limits,
            queues: HashMap::new(),
            answering: Turns::default(),
            slow: Turns::default(),
            timers: BTreeSet::new(),
            flights: HashMap::new(),
            by_age: BTreeSet::new(),
            window_bytes: 0,
            awaited: None,
        }
    }

    /// Takes an endpoint in, or its new form. `first_due`: when the first delivery on disk is due.
    pub(crate) fn open(&mut self, endpoint: Arc<Endpoint>, first_due: Option<i64>, queued: Option<i64>, now: i64) {
        let number = endpoint.subscription.number;
        match self.queues.get_mut(&number) {
            Some(queue) => queue.replace(endpoint),
            None => drop(self.queues.insert(number, Queue::new(endpoint))),
        }
        if let Some(queue) = self.queues.get_mut(&number) {
            queue.go_on();
            queue.note_due(first_due);
            queue.queued = queued.unwrap_or(queue.queued);
        }
        self.arm(number, now);
    }

    /// Stops sending to an endpoint; what is on its way goes on.
    pub(crate) fn stop(&mut self, number: i64) {
        if let Some(queue) = self.queues.get_mut(&number) {
            self.window_bytes -= queue.stop();
        }
    }

    /// Forgets an endpoint that is stopped.
    pub(crate) fn forget(&mut self, number: i64, now: i64) {
        self.stop(number);
        // The slots that it was given are for others; where it is parked it is passed over.
        let given = self.queues.remove(&number).map(|queue| queue.given).unwrap_or_default();
        given.iter().for_each(|share| self.give(share, now));
    }

    /// Notes that all events up to a number have ended for an endpoint, and how many deliveries of later ones are queued.
    pub(crate) fn emptied(&mut self, number: i64, upto: i64, queued: i64) {
        if let Some(queue) = self.queues.get_mut(&number) {
            queue.emptied(upto, queued);
        }
    }

    /// How many deliveries of an endpoint are queued.
    pub(crate) fn queued(&self, number: i64) -> i64 {
        self.queues.get(&number).map_or(0, |queue| queue.queued)
    }

    /// How many are queued in all, and how many requests are on their way.
    pub(crate) fn totals(&self) -> (i64, usize) {
        (self.queues.values().map(|queue| queue.queued).sum(), self.flights.len())
    }

    /// Takes in a delivery that was just written to disk. Where the window is full it stays there. Returns whether there is such an
    /// endpoint.
    pub(crate) fn offer(&mut self, number: i64, item: Item, now: i64) -> bool {
        let Some(queue) = self.queues.get_mut(&number) else { return false };
        queue.queued += 1;
        let has_room = self.window_bytes + item.bytes() <= self.limits.window_bytes_max;
        self.window_bytes += queue.offer(item, has_room, now);
        self.arm(number, now);
        true
    }

    /// Notes that deliveries of an endpoint that were queued are gone: what is on its way ends by itself, and nothing of it is kept.
    pub(crate) fn purged(&mut self, number: i64, events: &HashSet<i64>, now: i64) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        self.window_bytes -= queue.purged(events);
        self.arm(number, now);
    }

    /// Notes that something is queued on disk anew.
    pub(crate) fn requeued(&mut self, number: i64, count: i64, due: i64, now: i64) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        queue.requeued(count, due);
        self.arm(number, now);
    }

    /// Takes in what was read, the first due first, and whether that is all there is.
    pub(crate) fn read(&mut self, number: i64, rows: Vec<Item>, is_all: bool, now: i64) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let room = self.limits.window_bytes_max.saturating_sub(self.window_bytes);
        self.window_bytes += queue.read(rows, is_all, room, now);
        self.arm(number, now);
    }

    /// Notes that a read failed: it is tried again a little later.
    pub(crate) fn read_failed(&mut self, number: i64, now: i64) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        queue.read_failed(now);
        self.arm(number, now);
    }

    /// Notes how an attempt went. The delivery stays held until [`Schedule::settled`].
    pub(crate) fn finished(&mut self, number: i64, event: i64, mut how: Finished, now: i64) {
        let Some(flight) = self.flights.remove(&(number, event)) else { return };
        self.by_age.remove(&(flight.begun, number, event));
        self.lane_mut(flight.lane).in_flight -= 1;
        for share in [Share::Host(flight.host.clone()), Share::Customer(flight.customer, flight.lane)] {
            self.shares.leave(&share);
            self.give(&share, now);
        }
        if let Some(queue) = self.queues.get_mut(&number) {
            how.was_slow |= now - flight.begun > SLOW_MILLIS;
            queue.finished(flight.key, how, self.limits.per_endpoint_max, now);
        }
        self.arm(number, now);
    }

    /// Notes that an outcome is on disk: when the delivery is due again, or that it is queued no longer.
    pub(crate) fn settled(&mut self, number: i64, event: i64, next_due: Option<i64>, now: i64) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        queue.settled(event, next_due);
        self.arm(number, now);
    }

    /// Lets time pass: wakes endpoints whose deliveries are due, and sees which attempts take long.
    pub(crate) fn wake(&mut self, now: i64) {
        while let Some(&(due, number)) = self.timers.first()
            && due <= now
        {
            self.timers.remove(&(due, number));
            if let Some(queue) = self.queues.get_mut(&number) {
                queue.timer = None;
                queue.wake(now);
            }
            self.arm(number, now);
        }
        while let Some(&(begun, number, event)) = self.by_age.first()
            && now - begun > SLOW_MILLIS
        {
            self.by_age.remove(&(begun, number, event));
            self.slow_down(number, event, now);
        }
    }

    /// Counts a request to the second lane.
    fn slow_down(&mut self, number: i64, event: i64, now: i64) {
        let Some(flight) = self.flights.get_mut(&(number, event)) else { return };
        flight.lane = Lane::Slow;
        let customer = flight.customer;
        self.answering.in_flight -= 1;
        self.slow.in_flight += 1;
        if let Some(queue) = self.queues.get_mut(&number) {
            queue.is_slow = true;
        }
        let left = Share::Customer(customer, Lane::Answering);
        self.shares.leave(&left);
        self.shares.enter(Share::Customer(customer, Lane::Slow));
        self.give(&left, now);
    }

    /// The same as [`Schedule::next_wake`], for who will wait for it.
    pub(crate) fn await_wake(&mut self) -> Option<i64> {
        self.awaited = self.next_wake();
        self.awaited
    }

    /// Whether [`Schedule::wake`] is to be called sooner than is waited for.
    pub(crate) fn wakes_sooner(&self) -> bool {
        self.next_wake().is_some_and(|next| self.awaited.is_none_or(|awaited| next < awaited))
    }

    /// When [`Schedule::wake`] is to be called next.
    pub(crate) fn next_wake(&self) -> Option<i64> {
        let due = self.timers.first().map(|(due, _)| *due);
        let aged = self.by_age.first().map(|(begun, ..)| begun + SLOW_MILLIS + 1);
        [due, aged].into_iter().flatten().min()
    }

    /// The next thing to do, if there is any.
    pub(crate) fn next(&mut self, now: i64) -> Option<Work> {
        let in_all_max = self.limits.in_flight_max.saturating_mul(IN_ALL_TIMES);
        while self.flights.len() < in_all_max {
            let can_go = |lane: &Lane| self.has_slot(*lane) && !self.lane(*lane).ring.is_empty();
            let lane = [Lane::Answering, Lane::Slow].into_iter().find(can_go)?;
            let number = self.lane_mut(lane).ring.pop_front()?;
            let given = self.queues.get_mut(&number).map(|queue| std::mem::take(&mut queue.given)).unwrap_or_default();
            let work = self.turn(number, lane, &given, now);
            given.iter().for_each(|share| self.give(share, now));
            if work.is_some() {
                return work;
            }
        }
        None
    }

    fn lane(&self, lane: Lane) -> &Turns {
        match lane {
            Lane::Answering => &self.answering,
            Lane::Slow => &self.slow,
        }
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut Turns {
        match lane {
            Lane::Answering => &mut self.answering,
            Lane::Slow => &mut self.slow,
        }
    }

    fn has_slot(&self, lane: Lane) -> bool {
        self.lane(lane).in_flight < self.limits.slots(lane)
    }

    /// One endpoint's turn. `given`: the slots that it waited for.
    fn turn(&mut self, number: i64, lane: Lane, given: &[Share], now: i64) -> Option<Work> {
        let queue = self.queues.get_mut(&number)?;
        queue.in_ring = false;
        // It can have become slow, or have failed, since it was put into the ring.
        if !queue.is_runnable(now) || queue.lane() != lane {
            self.arm(number, now);
            return None;
        }
        if queue.wants_read() {
            let read = queue.begin_read(self.window_bytes < self.limits.window_bytes_max);
            self.arm(number, now);
            return Some(Work::Read(read));
        }
        let host = queue.host.clone();
        let host_share = Share::Host(host.clone());
        if self.shares.is_full(&host_share) {
            self.shares.park(host_share, number, given);
            return None;
        }
        let shares = &self.shares;
        let is_free = |customer: CustomerId| !shares.is_full(&Share::Customer(customer, lane));
        match queue.take(is_free) {
            Taken::Item(item) => {
                let endpoint = queue.endpoint.clone();
                self.window_bytes -= item.bytes();
                let key = item.key.filter(|_| item.is_first());
                let flight = Flight { endpoint: number, begun: now, customer: item.customer, host, lane, key };
                self.begin(flight, item.event);
                self.arm(number, now);
                Some(Work::Attempt(endpoint, item))
            }
            // The attempt of its own that is waited for arms it again.
            Taken::Blocked(customers) => {
                customers.into_iter().for_each(|customer| self.shares.park(Share::Customer(customer, lane), number, given));
                None
            }
        }
    }

    fn begin(&mut self, flight: Flight, event: i64) {
        for share in [Share::Host(flight.host.clone()), Share::Customer(flight.customer, flight.lane)] {
            self.shares.enter(share);
        }
        self.lane_mut(flight.lane).in_flight += 1;
        if flight.lane == Lane::Answering {
            self.by_age.insert((flight.begun, flight.endpoint, event));
        }
        self.flights.insert((flight.endpoint, event), flight);
    }

    /// Gives a free slot to the first of those who wait for one that can go on.
    fn give(&mut self, share: &Share, now: i64) {
        while let Some(number) = self.shares.unpark(share) {
            self.arm(number, now);
            let Some(queue) = self.queues.get_mut(&number).filter(|queue| queue.in_ring) else { continue };
            queue.given.push(share.clone());
            // Where its lane has no slot, another need not wait for it.
            let lane = queue.lane();
            if self.has_slot(lane) {
                break;
            }
        }
        self.shares.tidy(share);
    }

    /// Puts an endpoint into its ring if it can go on now, else sets its timer.
    fn arm(&mut self, number: i64, now: i64) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        if !queue.in_ring && queue.is_runnable(now) {
            queue.in_ring = true;
            let lane = queue.lane();
            self.lane_mut(lane).ring.push_back(number);
        }
        let Some(queue) = self.queues.get_mut(&number) else { return };
        let timer = queue.next_wake(now);
        if timer != queue.timer {
            if let Some(due) = queue.timer {
                self.timers.remove(&(due, number));
            }
            queue.timer = timer;
            self.timers.extend(timer.map(|due| (due, number)));
        }
    }

    /// How long the breaker of an endpoint keeps it closed, if it does.
    pub(crate) fn closed_until(&self, number: i64, now: i64) -> Option<Duration> {
        let until = self.queues.get(&number)?.closed_until.filter(|until| *until > now)?;
        Some(Duration::from_millis(u64::try_from(until - now).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests;
