//! What waits for one session, and its bounds. Pure: it is told what the socket took, and touches neither sockets nor counters of
//! the node.
//!
//! ```text
//!   begun │ own words │ events, oldest first
//!   ──────┴───────────┴─────────────────────►  the order in which frames go out
//! ```
//! A frame of which the socket has a part stays first whatever happens: what followed it out of turn would be taken for the rest
//! of it.

use std::io::IoSlice;

use jiff::Timestamp;
use smallvec::SmallVec;

use crate::config::Config;
use crate::delivery::Item;

/// How many frames go to the socket in one call.
pub(super) const FRAMES_AT_ONCE: usize = 16;
/// How many frames wait in the session's own memory: head and welcome, the event that is on its way.
const FRAMES_HERE: usize = 2;
/// For how many frames an empty backlog keeps room elsewhere.
const FRAMES_KEPT: usize = 4;

/// The frames that wait, in the order in which they go out.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    frames: SmallVec<[Waiting; FRAMES_HERE]>,
    /// How many bytes of the first frame are out.
    begun: usize,
    /// How many of the frames are events held against the bounds, and their bytes.
    events: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    item: Item,
    /// The session's own words, and what it came back for, are not held against its bounds, and come before events.
    own: bool,
}

/// What waits no longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gone {
    /// How many frames.
    pub(super) frames: usize,
    /// How many of them were events held against the bounds, and their bytes.
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Gone {
    fn add(self, waiting: &Waiting) -> Self {
        let Self { frames, events, bytes } = self;
        if waiting.own {
            return Self { frames: frames + 1, events, bytes };
        }
        Self { frames: frames + 1, events: events + 1, bytes: bytes + waiting.item.wire().len() }
    }
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns how many frames wait.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Returns how many events are held against the bounds.
    pub(super) fn events(&self) -> usize {
        self.events
    }

    /// Returns the bytes of the events that are held against the bounds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether an event is within the bounds.
    pub(super) fn has_room(&self, item: &Item, config: &Config) -> bool {
        self.events < config.queue_events_max && self.bytes + item.wire().len() <= config.queue_bytes_max
    }

    /// Appends an event of which the socket has `begun` bytes; more than none only where nothing else waits.
    pub(super) fn push(&mut self, item: Item, begun: usize) {
        self.begun += begun;
        self.events += 1;
        self.bytes += item.wire().len();
        self.frames.push(Waiting { item, own: false });
    }

    /// Puts the session's own word before all events, behind its other words; of `begun` as in [`Backlog::push`].
    pub(super) fn push_own(&mut self, item: Item, begun: usize) {
        let must_follow = self.must_follow();
        let own = self.frames.iter().skip(must_follow).take_while(|waiting| waiting.own).count();
        self.frames.insert(must_follow + own, Waiting { item, own: true });
        self.begun += begun;
    }

    /// Returns the next frames, without what is out of the first.
    pub(super) fn slices(&self) -> SmallVec<[IoSlice<'_>; FRAMES_AT_ONCE]> {
        let mut begun = self.begun;
        let frames = self.frames.iter().take(FRAMES_AT_ONCE).map(|waiting| waiting.item.wire());
        frames.map(|frame| IoSlice::new(frame.get(std::mem::take(&mut begun)..).unwrap_or_default())).collect()
    }

    /// Notes that the socket has taken `bytes` more, and hands on every item that is out whole.
    pub(super) fn advance(&mut self, bytes: usize, mut is_out: impl FnMut(Item)) -> Gone {
        let whole = self.count_whole(bytes);
        if whole == 0 {
            return Gone::default();
        }
        let gone = self.uncount(self.frames.iter().take(whole).fold(Gone::default(), Gone::add));
        self.frames.drain(..whole).for_each(|Waiting { item, .. }| is_out(item));
        if self.frames.is_empty() && self.frames.capacity() > FRAMES_KEPT {
            self.frames = SmallVec::new();
        }
        gone
    }

    /// Leaves out the events that have stopped ringing.
    pub(super) fn drop_expired(&mut self, now: Timestamp) -> Gone {
        let must_follow = self.must_follow();
        let is_expired = |waiting: &Waiting| matches!(&waiting.item, Item::Event(delivery) if delivery.is_expired(now));
        if !self.frames.iter().skip(must_follow).any(is_expired) {
            return Gone::default();
        }
        let (expired, kept): (Vec<_>, Vec<_>) = self.frames.drain(must_follow..).partition(is_expired);
        self.frames.extend(kept);
        self.uncount(expired.iter().fold(Gone::default(), Gone::add))
    }

    /// Drops all but what must follow.
    pub(super) fn drop_waiting(&mut self) -> Gone {
        let must_follow = self.must_follow();
        let gone = self.uncount(self.frames.iter().skip(must_follow).fold(Gone::default(), Gone::add));
        self.frames.truncate(must_follow);
        gone
    }

    /// Returns how many of the first go out whatever happens, one or none: what the socket has in part, or the answer that comes
    /// before the first frame.
    fn must_follow(&self) -> usize {
        usize::from(self.begun > 0 || matches!(self.frames.first(), Some(Waiting { item: Item::Head(_), .. })))
    }

    /// Returns how many frames are out whole with `bytes` more, and notes what is out of the next one.
    fn count_whole(&mut self, bytes: usize) -> usize {
        self.begun += bytes;
        let mut whole = 0;
        while let Some(frame) = self.frames.get(whole)
            && let Some(more) = self.begun.checked_sub(frame.item.wire().len())
        {
            (self.begun, whole) = (more, whole + 1);
        }
        whole
    }

    fn uncount(&mut self, gone: Gone) -> Gone {
        self.events -= gone.events;
        self.bytes -= gone.bytes;
        gone
    }

    /// Takes all that waits, as if a socket took it.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> (Vec<Item>, Gone) {
        let (mut taken, bytes) = (Vec::new(), self.frames.iter().map(|waiting| waiting.item.wire().len()).sum::<usize>());
        let gone = self.advance(bytes - self.begun, |item| taken.push(item));
        (taken, gone)
    }
}

#[cfg(test)]
mod tests;
