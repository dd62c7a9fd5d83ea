//! What became of each event, device by device, for as long as a client may come back for it.
//!
//! A session writes into the trail of an event under that trail's own lock, so that neither other sessions nor the recipient's
//! lock are held up.

mod trail; // what became of one event, in little room
mod operators; // for who runs the node

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use jiff::Timestamp;
use prometheus_client::metrics::gauge::Gauge;
use protocol::id::{ClientId, CustomerId, DeviceId, EventId, NegotiatorId};
use protocol::time;
use serde::{Deserialize, Serialize, Serializer};

pub(crate) use self::trail::Trail;

use crate::sync::{Mutex, lock};

/// How many posters are remembered; beyond, all are looked up anew.
const POSTERS_MAX: usize = 4096;

/// Who posted an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Poster {
    /// The application.
    pub client_id: ClientId,
    /// For whom it spoke.
    pub customer: CustomerId,
}

/// What became of an event at one negotiator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReceipts {
    negotiator_id: NegotiatorId,
    /// It was overtaken by a later state of its call, and not delivered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    devices: Vec<DeviceReceipts>,
}

/// What became of an event at one device; the times are of the broker's clock, each of the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceReceipts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    /// The session that got it first.
    session_id: EventId,
    sent: At,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acknowledged: Option<At>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<At>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dismissed: Option<At>,
}

/// Milliseconds since 1970; written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Timestamp")]
struct At(i64);

impl From<Timestamp> for At {
    fn from(at: Timestamp) -> Self {
        Self(at.as_millisecond())
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time::millis(Timestamp::from_millisecond(self.0).unwrap_or_default()))
    }
}

/// The receipts of one event, as a run hands them to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedReceipts {
    id: EventId,
    poster: Poster,
    at: Timestamp,
    targets: Vec<TargetReceipts>,
}

/// A session, as the device that it is of.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) negotiator: NegotiatorId,
    pub(crate) session: EventId,
    /// Shared with the receipts of what it gets.
    pub(crate) device: Option<Arc<DeviceId>>,
}

/// What a client says of an event that it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    Acknowledged,
    Shown,
    Dismissed,
}

/// The trails of all events of this node; the oldest are dropped first.
#[derive(Debug)]
pub(crate) struct Receipts {
    trails: DashMap<EventId, Arc<Trail>, ahash::RandomState>,
    // Guards the order in which trails are dropped. Inside, trails are closed.
    order: Mutex<VecDeque<(Duration, EventId)>>,
    /// Recent posters: all their events share one.
    // Guards the table while one is looked up.
    posters: Mutex<HashSet<Arc<Poster>, ahash::RandomState>>,
    /// Negotiators and devices in all trails.
    lines: Gauge,
    lines_max: usize,
    age_max: Duration,
}

impl Receipts {
    pub(crate) fn new(lines_max: usize, age_max: Duration, lines: Gauge) -> Self {
        let (trails, order, posters) = (DashMap::default(), Mutex::default(), Mutex::default());
        Self { trails, order, posters, lines, lines_max, age_max }
    }

    /// Begins the trail of an event. The bound is kept by [`Receipts::expire`], which can wait until the event is out.
    pub(crate) fn begin(
        &self,
        id: EventId,
        poster: Poster,
        targets: impl Iterator<Item = NegotiatorId>,
        now: Duration,
    ) -> Arc<Trail> {
        let targets = targets.map(|negotiator_id| TargetReceipts { negotiator_id, late: false, devices: Vec::new() });
        self.keep(id, poster, targets, now)
    }

    fn keep(&self, id: EventId, poster: Poster, targets: impl Iterator<Item = TargetReceipts>, entered: Duration) -> Arc<Trail> {
        let trail = Arc::new(Trail::new(self.poster(poster), entered, targets));
        self.count(trail.lines());
        self.trails.insert(id, trail.clone());
        lock(&self.order).push_back((entered, id));
        trail
    }

    fn poster(&self, poster: Poster) -> Arc<Poster> {
        let mut posters = lock(&self.posters);
        if let Some(known) = posters.get(&poster) {
            return known.clone();
        }
        if posters.len() >= POSTERS_MAX {
            posters.clear();
        }
        let poster = Arc::new(poster);
        posters.insert(poster.clone());
        poster
    }

    /// Returns what the next run needs to know, oldest first.
    pub(crate) fn save(&self, now: Duration, wall: Timestamp) -> Vec<SavedReceipts> {
        let order: Vec<_> = lock(&self.order).iter().map(|(_, id)| *id).collect();
        let saved = order.into_iter().filter_map(|id| {
            let trail = self.trail(id)?;
            let targets = trail.receipts();
            let at = wall.saturating_sub(now.saturating_sub(trail.entered)).unwrap_or(wall);
            Some(SavedReceipts { id, poster: *trail.poster, at, targets })
        });
        saved.collect()
    }

    /// Goes on with the trails of an earlier run.
    pub(crate) fn restore(&self, mut saved: Vec<SavedReceipts>, now: Duration, wall: Timestamp) {
        saved.sort_by_key(|trail| trail.at);
        for SavedReceipts { id, poster, at, targets } in saved {
            let age = Duration::try_from(wall.duration_since(at)).unwrap_or_default();
            self.keep(id, poster, targets.into_iter(), now.saturating_sub(age));
        }
        self.expire(now);
    }

    /// Returns the trail of an event, while it is kept.
    pub(crate) fn trail(&self, id: EventId) -> Option<Arc<Trail>> {
        self.trails.get(&id).map(|entry| entry.value().clone())
    }

    /// Notes that the event was handed to a session's socket.
    pub(crate) fn sent(&self, trail: &Trail, who: &Who, at: Timestamp) {
        if trail.sent(who, at) {
            self.count(1);
        }
    }

    /// Returns what became of an event, for its poster.
    pub(crate) fn find(&self, id: EventId, poster: Poster, now: Duration) -> Option<Vec<TargetReceipts>> {
        let trail = self.trail(id)?;
        let is_theirs = *trail.poster == poster && now < trail.entered + self.age_max;
        is_theirs.then(|| trail.receipts())
    }

    /// Drops what is too old, and the oldest beyond the bound.
    pub(crate) fn expire(&self, now: Duration) {
        let mut order = lock(&self.order);
        while let Some((entered, id)) = order.front().copied()
            && (now >= entered + self.age_max || self.lines.get() > i64::try_from(self.lines_max).unwrap_or(i64::MAX))
        {
            order.pop_front();
            if let Some((_, trail)) = self.trails.remove(&id) {
                self.lines.dec_by(i64::try_from(trail.close()).unwrap_or(i64::MAX));
            }
        }
    }

    fn count(&self, lines: usize) {
        self.lines.inc_by(i64::try_from(lines).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
