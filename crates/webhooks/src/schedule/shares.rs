//! What hosts and customers have on their way, how much that may be, and which endpoints wait for it to be less.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use protocol::id::CustomerId;

use super::{Lane, SendLimits};

/// Of all slots one customer has at most one in so many, and of those of the second lane again: what hangs takes nothing from what
/// answers.
const CUSTOMER_PART: usize = 4;

/// Who shares a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Share {
    Host(Arc<str>),
    Customer(CustomerId, Lane),
}

/// All that share something now.
#[derive(Debug)]
pub(super) struct Shares {
    limits: SendLimits,
    by_share: HashMap<Share, Sharers>,
}

#[derive(Debug, Default)]
struct Sharers {
    in_flight: usize,
    /// Endpoints that wait for one of the others to finish, in their order. They have turns all the same when something comes for
    /// them that does not share this.
    parked: VecDeque<i64>,
    is_parked: HashSet<i64>,
}

impl Shares {
    pub(super) fn new(limits: &SendLimits) -> Self {
        Self { limits: limits.clone(), by_share: HashMap::new() }
    }

    pub(super) fn is_full(&self, share: &Share) -> bool {
        let max = match share {
            Share::Host(_) => self.limits.per_host_max,
            Share::Customer(_, Lane::Answering) => (self.limits.in_flight_max / CUSTOMER_PART).max(1),
            Share::Customer(_, Lane::Slow) => (self.limits.slots(Lane::Slow) / CUSTOMER_PART).max(1),
        };
        self.by_share.get(share).is_some_and(|sharers| sharers.in_flight >= max)
    }

    /// Notes a request that is on its way.
    pub(super) fn enter(&mut self, share: Share) {
        self.by_share.entry(share).or_default().in_flight += 1;
    }

    /// Notes that one has ended.
    pub(super) fn leave(&mut self, share: &Share) {
        if let Some(sharers) = self.by_share.get_mut(share) {
            sharers.in_flight = sharers.in_flight.saturating_sub(1);
        }
    }

    /// Lets an endpoint wait for a slot: in front of the others if it was given one and found it taken.
    pub(super) fn park(&mut self, share: Share, number: i64, given: &[Share]) {
        let was_given = given.contains(&share);
        let sharers = self.by_share.entry(share).or_default();
        if !sharers.is_parked.insert(number) {
            return;
        }
        match was_given {
            true => sharers.parked.push_front(number),
            false => sharers.parked.push_back(number),
        }
    }

    /// The first of those who wait, where a slot is free.
    pub(super) fn unpark(&mut self, share: &Share) -> Option<i64> {
        if self.is_full(share) {
            return None;
        }
        let sharers = self.by_share.get_mut(share)?;
        let number = sharers.parked.pop_front()?;
        sharers.is_parked.remove(&number);
        Some(number)
    }

    /// Forgets who shares nothing any more.
    pub(super) fn tidy(&mut self, share: &Share) {
        if self.by_share.get(share).is_some_and(|sharers| sharers.in_flight == 0 && sharers.parked.is_empty()) {
            self.by_share.remove(share);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_share.len()
    }
}
