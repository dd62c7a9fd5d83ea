//! The events of one recipient in the order of delivery, for as long as a client may come back for them. Pure.
//!
//! A cursor is a place in the ring, found by equality and never compared by size: ids are made before the recipient's lock is
//! taken, and two posts may enter the other way round.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{EventId, Product};

use crate::config::RingConfig;
use crate::delivery::Delivery;

/// What one entry costs beside its text, in bytes: its own fields, its share of the allocations.
const ENTRY_BYTES: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Ring {
    entries: VecDeque<Entry>,
    /// The newest entry that was dropped, for each product: a session knows nothing of what only other products were told.
    dropped: Vec<(Product, EventId)>,
    /// The cursor of those who came before the first event.
    beginning: Option<EventId>,
}

#[derive(Debug)]
struct Entry {
    delivery: Arc<Delivery>,
    entered: Duration,
}

impl Ring {
    /// Appends an event. Returns the bytes that it takes.
    pub(crate) fn push(&mut self, delivery: Arc<Delivery>, now: Duration) -> usize {
        let bytes = cost(&delivery);
        self.entries.push_back(Entry { delivery, entered: now });
        bytes
    }

    /// Makes room for one more. Returns the bytes that come free.
    pub(crate) fn make_room(&mut self, config: &RingConfig) -> usize {
        let mut freed = 0;
        // An empty ring has nothing to drop.
        while self.entries.len() >= config.events_max.max(1) {
            freed += self.drop_oldest();
        }
        freed
    }

    /// Drops what is too old. Returns the bytes that come free.
    pub(crate) fn expire(&mut self, config: &RingConfig, now: Duration) -> usize {
        let mut freed = 0;
        while let Some(oldest) = self.entries.front()
            && now >= oldest.entered + config.age_max
        {
            freed += self.drop_oldest();
        }
        if self.entries.is_empty() {
            // An idle ring keeps nothing but its places.
            self.entries = VecDeque::new();
        }
        freed
    }

    /// Drops the oldest entry. Returns the bytes that come free.
    pub(crate) fn drop_oldest(&mut self) -> usize {
        let Some(oldest) = self.entries.pop_front() else { return 0 };
        let facts = &oldest.delivery.facts;
        for product in facts.products.iter() {
            match self.dropped.iter_mut().find(|(other, _)| other == product) {
                Some((_, id)) => *id = facts.id,
                None => self.dropped.push((*product, facts.id)),
            }
        }
        cost(&oldest.delivery)
    }

    /// Returns the cursor of a product after which everything is still to come: the newest entry, else the last one dropped, else
    /// the beginning, which becomes `fresh` where there is none yet.
    pub(crate) fn end(&mut self, product: Product, fresh: EventId) -> EventId {
        let newest = self.entries.iter().rev().find(|entry| entry.delivery.tells(product));
        let newest = newest.map(|entry| entry.delivery.facts.id).or(self.last_dropped(product));
        newest.unwrap_or_else(|| *self.beginning.get_or_insert(fresh))
    }

    /// Returns all that a product was told after `cursor`. Never a part of it: `None` where the cursor is not known, or not any
    /// more.
    pub(crate) fn after(&self, cursor: EventId, product: Product) -> Option<Vec<Arc<Delivery>>> {
        let dropped = self.last_dropped(product);
        let at_the_start = dropped == Some(cursor) || (dropped.is_none() && self.beginning == Some(cursor));
        let place = match self.entries.iter().position(|entry| entry.delivery.facts.id == cursor) {
            Some(place) => place + 1,
            None if at_the_start => 0,
            None => return None,
        };
        let behind = self.entries.iter().skip(place).map(|entry| &entry.delivery);
        Some(behind.filter(|delivery| delivery.tells(product)).cloned().collect())
    }

    fn last_dropped(&self, product: Product) -> Option<EventId> {
        self.dropped.iter().find(|(other, _)| *other == product).map(|(_, id)| *id)
    }

    /// Returns when the oldest entry is too old.
    pub(crate) fn next_due(&self, config: &RingConfig) -> Option<Duration> {
        self.entries.front().map(|oldest| oldest.entered + config.age_max)
    }

    /// Returns the bytes that all entries take.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| cost(&entry.delivery)).sum()
    }

    /// Returns the entries in order.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Delivery>> {
        self.entries.iter().map(|entry| &entry.delivery)
    }

    /// Returns the cursors that are known beside the entries: the last ones dropped, and the beginning.
    pub(crate) fn places(&self) -> (&[(Product, EventId)], Option<EventId>) {
        (&self.dropped, self.beginning)
    }

    /// A ring that knows these cursors and has no entries yet.
    pub(crate) fn with_places(dropped: Vec<(Product, EventId)>, beginning: Option<EventId>) -> Self {
        Self { entries: VecDeque::new(), dropped, beginning }
    }
}

fn cost(delivery: &Delivery) -> usize {
    delivery.wire().len() + ENTRY_BYTES
}

#[cfg(test)]
mod tests;
