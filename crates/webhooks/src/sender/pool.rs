//! Connections that wait for their next request: a bounded number, for a bounded time, by host and the way they are secured.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Connection, Target};
use crate::guard::Guard;

/// How long a connection can be idle.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Idle connections to one place, and in all.
const PER_PLACE_MAX: usize = 64;
const IN_ALL_MAX: usize = 1024;

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    authority: String,
    port: u16,
    is_tls: bool,
    /// Whether its certificate was taken unseen: such a connection is not for those who want to see it.
    insecure: bool,
}

impl Place {
    pub(super) fn of(Target { url, insecure }: Target<'_>) -> Self {
        Self { authority: url.authority().to_owned(), port: url.port(), is_tls: url.is_tls(), insecure }
    }
}

/// A connection, and where it leads.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) connection: Connection,
    pub(super) peer: IpAddr,
    pub(super) place: Place,
    /// Whether it has carried a request.
    pub(super) used: bool,
    pub(super) since: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    // Guards the idle connections while one is put or taken; nothing is awaited inside.
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    by_place: HashMap<Place, Vec<Kept>>,
    count: usize,
}

impl Pool {
    /// Takes the connection that was used last, if it is still good: open, and to an address that is still allowed.
    pub(super) fn take(&self, place: &Place, now: Duration, guard: &Guard) -> Option<Kept> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *idle;
        let kept = idle.by_place.get_mut(place)?;
        while let Some(last) = kept.pop() {
            idle.count -= 1;
            let is_fresh = now.saturating_sub(last.since) < IDLE_MAX;
            if is_fresh && last.connection.is_ready() && guard.judge(last.peer).is_ok() {
                return Some(last);
            }
        }
        idle.by_place.remove(place);
        None
    }

    pub(super) fn put(&self, mut kept: Kept, now: Duration) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        kept.since = now;
        if idle.count >= IN_ALL_MAX {
            return;
        }
        let place = idle.by_place.entry(kept.place.clone()).or_default();
        if place.len() < PER_PLACE_MAX {
            place.push(kept);
            idle.count += 1;
        }
    }

    /// Ends those that were idle for too long at `now`, or have ended themselves.
    pub(super) fn sweep(&self, now: Duration) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |kept: &Kept| now.saturating_sub(kept.since) < IDLE_MAX && !kept.connection.is_closed();
        idle.by_place.values_mut().for_each(|kept| kept.retain(is_good));
        idle.by_place.retain(|_, kept| !kept.is_empty());
        idle.count = idle.by_place.values().map(Vec::len).sum();
    }
}
