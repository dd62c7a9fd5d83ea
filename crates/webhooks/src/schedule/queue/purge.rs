//! Deliveries that are gone, though they were queued.

use std::collections::{HashSet, VecDeque};

use super::{Item, Queue};

impl Queue {
    /// Forgets deliveries that are queued on disk no longer, and returns how many bytes that frees.
    pub(in crate::schedule) fn purged(&mut self, events: &HashSet<i64>) -> usize {
        let window = std::mem::take(&mut self.window);
        let (gone, kept): (VecDeque<_>, VecDeque<_>) = window.into_iter().partition(|item| events.contains(&item.event));
        self.window = kept;
        for item in &gone {
            self.held.remove(&item.event);
            self.recheck.remove(&item.event);
        }
        // What is on its way is counted here, and not once more when it ends.
        self.uncounted.extend(self.held.intersection(events));
        self.queued -= i64::try_from(events.len()).unwrap_or(0);
        if let Some(reading) = &mut self.reading {
            (reading.is_void, reading.again) = (true, true);
        }
        gone.iter().map(Item::bytes).sum()
    }
}
