//! Connections that wait for their next request: a bounded number, for a bounded time, by what tells them apart.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::exchange::Connection;

/// How many connections wait, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// How long a connection can be idle.
    pub idle_max: Duration,
    /// Idle connections of one key at most.
    pub per_key_max: usize,
    /// Idle connections at most.
    pub in_all_max: usize,
}

/// A connection, and where it leads. `K` tells apart what must not be mixed: hosts, and whether certificates are looked at.
#[derive(Debug)]
pub struct PooledConnection<K> {
    /// The connection.
    pub connection: Connection,
    /// The address that it was made to.
    pub peer: IpAddr,
    /// Whether it has carried a request.
    pub used: bool,
    /// What it is kept by.
    pub key: K,
    /// When it became idle.
    since: Duration,
}

impl<K> PooledConnection<K> {
    /// Returns a new connection, which has carried nothing.
    pub fn new(connection: Connection, peer: IpAddr, key: K) -> Self {
        Self { connection, peer, used: false, key, since: Duration::ZERO }
    }
}

/// The idle connections. Time is the caller's, and never goes back.
#[derive(Debug)]
pub struct Pool<K> {
    limits: PoolLimits,
    // Guards the idle connections while one is put or taken; nothing is awaited inside.
    idle: Mutex<Idle<K>>,
}

#[derive(Debug)]
struct Idle<K> {
    by_key: HashMap<K, Vec<PooledConnection<K>>>,
    count: usize,
}

impl<K: Clone + Eq + Hash> Pool<K> {
    /// Returns an empty pool.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        Self { limits, idle: Mutex::new(Idle { by_key: HashMap::new(), count: 0 }) }
    }

    /// Takes the connection that was used last, if it is still good: open, not idle for too long, and to an address that is still
    /// allowed. Those that are not good end.
    pub fn take(&self, key: &K, now: Duration, is_allowed: impl Fn(IpAddr) -> bool) -> Option<PooledConnection<K>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = &mut *idle;
        let kept = idle.by_key.get_mut(key)?;
        while let Some(last) = kept.pop() {
            idle.count -= 1;
            let is_fresh = now.saturating_sub(last.since) < self.limits.idle_max;
            if is_fresh && last.connection.is_ready() && is_allowed(last.peer) {
                return Some(last);
            }
        }
        idle.by_key.remove(key);
        None
    }

    /// Keeps a connection whose answer was read to its end; where there is no room, it ends.
    pub fn put(&self, mut kept: PooledConnection<K>, now: Duration) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        kept.since = now;
        if idle.count >= self.limits.in_all_max {
            return;
        }
        let of_key = idle.by_key.entry(kept.key.clone()).or_default();
        if of_key.len() < self.limits.per_key_max {
            of_key.push(kept);
            idle.count += 1;
        }
    }

    /// Ends those that were idle for too long at `now`, or have ended themselves. [`Duration::MAX`] ends all.
    pub fn sweep(&self, now: Duration) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good =
            |kept: &PooledConnection<K>| now.saturating_sub(kept.since) < self.limits.idle_max && !kept.connection.is_closed();
        idle.by_key.values_mut().for_each(|kept| kept.retain(is_good));
        idle.by_key.retain(|_, kept| !kept.is_empty());
        idle.count = idle.by_key.values().map(Vec::len).sum();
    }
}
