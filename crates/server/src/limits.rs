//! How often who may ask: a generic cell rate limiter, one time stamp a key (ITU-T I.371 §A, virtual scheduling).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::id::{ClientId, ConnectorId, CustomerId, Recipient};

use crate::config::{self, Rate};

/// How many keys a limiter remembers. Those that have used nothing of late are forgotten first.
const KEYS_MAX: usize = 65_536;

/// All rate limits of a node.
#[derive(Debug)]
pub(crate) struct Limits {
    /// By customer where the application is installed; those that are not share one budget.
    pub(crate) requests: Limiter<(ClientId, Option<CustomerId>)>,
    pub(crate) polls: Limiter<Recipient>,
    pub(crate) strangers: Limiter<IpAddr>,
    pub(crate) callbacks: Limiter<ConnectorId>,
    pub(crate) sessions: Limiter<()>,
    pub(crate) new_tokens: Limiter<()>,
    #[cfg(feature = "otlp")]
    pub(crate) traces: Limiter<()>,
    /// By subscription.
    pub(crate) pings: Limiter<String>,
}

/// A subscription is tried out ten times a minute, so that nobody looks around in a network by it.
const PING_INTERVAL: Duration = Duration::from_secs(6);
const PING_BURST: u32 = 10;

impl Limits {
    pub(crate) fn new(config: &config::Limits) -> Self {
        Self {
            requests: Limiter::new(config.requests),
            polls: Limiter::new(config.polls),
            strangers: Limiter::new(config.strangers),
            callbacks: Limiter::new(config.callbacks),
            sessions: Limiter::new(config.sessions),
            new_tokens: Limiter::new(config.new_tokens),
            #[cfg(feature = "otlp")]
            traces: Limiter::new(config.traces),
            pings: Limiter::every(PING_INTERVAL, PING_BURST),
        }
    }
}

/// The limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// After how long the next one is admitted.
    pub(crate) retry_after: Duration,
}

/// One rate for each key.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    /// The time that one request takes of a key's budget; zero: no limit.
    interval: Duration,
    /// How far ahead of the clock a key can run.
    tolerance: Duration,
    // Guards the time stamps during a look-up; now and then during one pass over all of them.
    next_free: Mutex<HashMap<K, Duration>>,
}

impl<K: Hash + Eq> Limiter<K> {
    fn new(rate: Rate) -> Self {
        Self::every(Duration::from_secs(1).checked_div(rate.per_second).unwrap_or(Duration::ZERO), rate.burst)
    }

    fn every(interval: Duration, burst: u32) -> Self {
        Self { interval, tolerance: interval * burst.saturating_sub(1), next_free: Mutex::default() }
    }

    /// Takes one request out of the budget of `key` at `now`, which never goes back.
    pub(crate) fn admit(&self, key: K, now: Duration) -> Result<(), Exceeded> {
        if self.interval.is_zero() {
            return Ok(());
        }
        let mut next_free = self.next_free.lock().unwrap_or_else(PoisonError::into_inner);
        if next_free.len() >= KEYS_MAX && !next_free.contains_key(&key) {
            make_room(&mut next_free, now);
        }
        let free = next_free.entry(key).or_insert(now);
        let start = (*free).max(now);
        match start.checked_sub(now + self.tolerance).filter(|wait| !wait.is_zero()) {
            Some(retry_after) => Err(Exceeded { retry_after }),
            None => {
                *free = start + self.interval;
                Ok(())
            }
        }
    }
}

/// Forgets the keys whose budget is whole again; where none is, all: the limit is then too lax for a moment, never a leak.
fn make_room<K: Hash + Eq>(next_free: &mut HashMap<K, Duration>, now: Duration) {
    next_free.retain(|_, free| *free > now);
    if next_free.len() >= KEYS_MAX {
        next_free.clear();
    }
}

/// The address that a stranger is counted by: of IPv6 the /64, which one subscriber has whole.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32, burst: u32) -> Limiter<u32> {
        Limiter::new(Rate { per_second, burst })
    }

    #[test]
    fn a_burst_passes_then_one_for_each_interval() {
        let limiter = limiter(20, 100);
        let admitted = (0..150).filter(|_| limiter.admit(1, Duration::ZERO).is_ok()).count();
        assert_eq!(admitted, 100);
        let wait = limiter.admit(1, Duration::ZERO).unwrap_err().retry_after;
        assert_eq!(wait, Duration::from_millis(50));
        assert!(limiter.admit(1, Duration::from_millis(49)).is_err());
        assert!(limiter.admit(1, Duration::from_millis(50)).is_ok());
        assert!(limiter.admit(1, Duration::from_millis(50)).is_err());
        assert!(limiter.admit(2, Duration::ZERO).is_ok(), "another key has its own budget");
    }

    #[test]
    fn zero_means_none() {
        let limiter = limiter(0, 1);
        assert!((0..10_000).all(|_| limiter.admit(1, Duration::ZERO).is_ok()));
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let limiter = limiter(1, 1);
        for key in 0..200_000 {
            limiter.admit(key, Duration::ZERO).unwrap();
        }
        assert!(limiter.next_free.lock().unwrap().len() <= KEYS_MAX);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_a_64() {
        let counted = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(counted("2001:db8::1"), counted("2001:db8::ffff:1"));
        assert_ne!(counted("2001:db8::1"), counted("2001:db8:0:1::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
    }
}
