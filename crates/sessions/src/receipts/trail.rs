//! What became of one event. There is a trail for each event of the last three minutes, so it is one allocation where the event
//! was for one negotiator with one device: memory that is touched for the first time, or after a long while, costs a cache miss.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::id::{DeviceId, EventId, NegotiatorId};
use smallvec::SmallVec;

use super::{At, DeviceReceipts, Poster, TargetReceipts, Who, Word};
use crate::sync::{Mutex, MutexGuard, lock};

/// How many devices of a negotiator are remembered for one event; devices without a name are new ones each time they come back.
const DEVICES_MAX: u8 = 32;

/// The receipts of one event.
#[derive(Debug)]
pub(crate) struct Trail {
    pub(super) poster: Arc<Poster>,
    pub(super) entered: Duration,
    // Guards what became of the event; nothing is called inside.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    targets: SmallVec<[Target; 1]>,
    /// Of all targets, in the order in which they were sent the event.
    devices: SmallVec<[Device; 1]>,
    /// Where the next search begins: an event goes to its targets in their order.
    next: usize,
    /// Dropped: what comes now is counted nowhere.
    closed: bool,
}

#[derive(Debug)]
struct Target {
    negotiator: NegotiatorId,
    late: bool,
    /// How many devices it has.
    devices: u8,
}

#[derive(Debug)]
struct Device {
    name: Option<Arc<DeviceId>>,
    session: EventId,
    sent: At,
    acknowledged: Option<After>,
    shown: Option<After>,
    dismissed: Option<After>,
    /// The place of its target.
    target: usize,
}

/// Milliseconds, and one, since it was sent; what is later than 49 days is that much later.
#[derive(Debug, Clone, Copy)]
struct After(NonZeroU32);

impl After {
    fn new(sent: At, at: At) -> Self {
        let millis = u32::try_from(at.0.saturating_sub(sent.0).max(0)).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(millis))
    }

    fn at(self, sent: At) -> At {
        At(sent.0 + i64::from(self.0.get() - 1))
    }
}

impl Device {
    fn is(&self, target: usize, who: &Who) -> bool {
        self.target == target
            && match &who.device {
                Some(name) => self.name.as_ref() == Some(name),
                None => self.session == who.session,
            }
    }

    fn receipts(&self) -> DeviceReceipts {
        let Self { session: session_id, sent, .. } = *self;
        let at = |after: Option<After>| after.map(|after| after.at(sent));
        let device = self.name.as_deref().copied();
        let (acknowledged, shown, dismissed) = (at(self.acknowledged), at(self.shown), at(self.dismissed));
        DeviceReceipts { device, session_id, sent, acknowledged, shown, dismissed }
    }

    fn of(receipts: &DeviceReceipts, target: usize) -> Self {
        let DeviceReceipts { device, session_id: session, sent, acknowledged, shown, dismissed } = *receipts;
        let after = |at: Option<At>| at.map(|at| After::new(sent, at));
        let (acknowledged, shown, dismissed) = (after(acknowledged), after(shown), after(dismissed));
        Self { name: device.map(Arc::new), session, sent, acknowledged, shown, dismissed, target }
    }
}

impl Trail {
    pub(super) fn new(poster: Arc<Poster>, entered: Duration, receipts: impl Iterator<Item = TargetReceipts>) -> Self {
        Self { poster, entered, inner: Mutex::new(Inner::of(receipts)) }
    }

    /// Notes that the event came too late for this negotiator.
    pub(crate) fn late(&self, negotiator: NegotiatorId) {
        let mut inner = self.lock();
        if let Some(target) = inner.place_of(negotiator).and_then(|place| inner.targets.get_mut(place)) {
            target.late = true;
        }
    }

    /// Notes what a device says. The first time counts, and only for events that the device was sent.
    pub(crate) fn note(&self, who: &Who, word: Word, at: Timestamp) {
        let mut inner = self.lock();
        let Some(target) = inner.place_of(who.negotiator) else { return };
        let Some(device) = inner.devices.iter_mut().find(|device| device.is(target, who)) else { return };
        let after = After::new(device.sent, at.into());
        let said = match word {
            Word::Acknowledged => &mut device.acknowledged,
            Word::Shown => &mut device.shown,
            Word::Dismissed => &mut device.dismissed,
        };
        said.get_or_insert(after);
    }

    /// Adds a device. Returns whether it is a new one.
    pub(super) fn sent(&self, who: &Who, at: Timestamp) -> bool {
        let mut inner = self.lock();
        let Some(place) = inner.place_of(who.negotiator) else { return false };
        let Inner { targets, devices, closed, .. } = &mut *inner;
        let Some(target) = targets.get_mut(place).filter(|target| !*closed && target.devices < DEVICES_MAX) else { return false };
        // Most have none yet: nothing is looked through for them.
        if target.devices > 0 && devices.iter().any(|device| device.is(place, who)) {
            return false;
        }
        target.devices += 1;
        devices.push(Device {
            name: who.device.clone(),
            session: who.session,
            sent: at.into(),
            acknowledged: None,
            shown: None,
            dismissed: None,
            target: place,
        });
        true
    }

    /// Takes nothing more. Returns how many lines there were.
    pub(super) fn close(&self) -> usize {
        let mut inner = self.lock();
        inner.closed = true;
        let lines = inner.lines();
        (inner.targets, inner.devices) = (SmallVec::new(), SmallVec::new());
        lines
    }

    /// Forgets a negotiator. Returns how many lines that were.
    pub(super) fn forget(&self, negotiator: NegotiatorId) -> usize {
        let mut inner = self.lock();
        let left = Inner::of(inner.receipts().filter(|target| target.negotiator_id != negotiator));
        let gone = inner.lines() - left.lines();
        *inner = Inner { closed: inner.closed, ..left };
        gone
    }

    /// Returns how many lines there are: one for each negotiator, and one for each device.
    pub(super) fn lines(&self) -> usize {
        self.lock().lines()
    }

    pub(super) fn receipts(&self) -> Vec<TargetReceipts> {
        self.lock().receipts().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    fn of(receipts: impl Iterator<Item = TargetReceipts>) -> Self {
        let (mut targets, mut devices) = (SmallVec::<[_; 1]>::with_capacity(receipts.size_hint().0), SmallVec::<[_; 1]>::new());
        for (place, target) in receipts.enumerate() {
            let of_target = target.devices.iter().take(DEVICES_MAX.into()).map(|device| Device::of(device, place));
            let before = devices.len();
            devices.extend(of_target);
            let count = u8::try_from(devices.len() - before).unwrap_or(DEVICES_MAX);
            targets.push(Target { negotiator: target.negotiator_id, late: target.late, devices: count });
        }
        // Most negotiators have one device.
        devices.reserve_exact(targets.len().saturating_sub(devices.len()));
        Self { targets, devices, next: 0, closed: false }
    }

    fn place_of(&mut self, negotiator: NegotiatorId) -> Option<usize> {
        let (before, behind) = self.targets.split_at_checked(self.next).unwrap_or((&self.targets, &[]));
        let from_next = behind.iter().chain(before).position(|target| target.negotiator == negotiator)?;
        let place = (before.len() + from_next) % self.targets.len();
        self.next = place + 1;
        Some(place)
    }

    fn lines(&self) -> usize {
        self.targets.len() + self.devices.len()
    }

    fn receipts(&self) -> impl Iterator<Item = TargetReceipts> {
        self.targets.iter().enumerate().map(|(place, target)| TargetReceipts {
            negotiator_id: target.negotiator,
            late: target.late,
            devices: self.devices.iter().filter(|device| device.target == place).map(Device::receipts).collect(),
        })
    }
}
