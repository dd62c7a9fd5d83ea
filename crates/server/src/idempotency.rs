//! A repeated call is answered, not done again.
//!
//! Keys of live events are remembered here alone; those of missed calls also in the store, in the commit of the call itself, and
//! are brought here at the start. Only what was done is remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::id::{ClientId, CustomerId, IdempotencyKey};
use store::idempotency::{Claim, KEY_AGE_MAX, KnownKey};

/// Whose key it is.
pub(crate) type Owner = (ClientId, CustomerId, IdempotencyKey);

/// The keys of the last 10 minutes; at most a configured number.
#[derive(Debug)]
pub(crate) struct Keys {
    // Guards the keys during a look-up or a change; nothing is awaited or called inside.
    inner: Mutex<Inner>,
    keys_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    by_owner: HashMap<Owner, Entry>,
    /// The owners with the time of each claim, oldest first, those that failed as well: what is bounded is the claims.
    by_age: VecDeque<(Duration, Owner)>,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    claimed: Duration,
    /// `None` while the first call runs.
    answer: Option<String>,
}

/// What is known of a key.
#[expect(clippy::large_enum_variant, reason = "lives on the stack of one request, and the large variant is the usual one")]
#[derive(Debug)]
pub(crate) enum Seen<'a> {
    /// Nothing: go on, and say what was answered.
    First(Running<'a>),
    /// The same was done before; this was the answer.
    Before(String),
    /// Another body was sent with it.
    Conflict,
    /// The first call with it still runs.
    StillRunning,
    /// Too many keys are remembered.
    Full,
}

/// A call that runs under a key. Dropped without [`Running::finished`], the key is free again.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    keys: &'a Keys,
    owner: Owner,
    claimed: Duration,
}

impl Keys {
    /// Keys that were remembered on disk; `now` is the time of the claims, for want of a better one.
    pub(crate) fn new(keys_max: usize, known: Vec<KnownKey>, now: Duration) -> Self {
        let mut inner = Inner::default();
        for KnownKey { claim: Claim { client_id, customer, key, body, answer }, .. } in known {
            let owner = (client_id, customer, key);
            inner.by_owner.insert(owner, Entry { body, claimed: now, answer: Some(answer) });
            inner.by_age.push_back((now, owner));
        }
        Self { inner: Mutex::new(inner), keys_max }
    }

    /// Claims a key for a call with this body at `now`, which never goes back.
    pub(crate) fn claim(&self, owner: Owner, body: [u8; 32], now: Duration) -> Seen<'_> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget(now);
        match inner.by_owner.get(&owner) {
            Some(entry) if entry.body != body => Seen::Conflict,
            Some(Entry { answer: Some(answer), .. }) => Seen::Before(answer.clone()),
            Some(Entry { answer: None, .. }) => Seen::StillRunning,
            None if self.keys_max > 0 && inner.by_age.len() >= self.keys_max => Seen::Full,
            None => {
                inner.by_owner.insert(owner, Entry { body, claimed: now, answer: None });
                inner.by_age.push_back((now, owner));
                Seen::First(Running { keys: self, owner, claimed: now })
            }
        }
    }
}

impl Inner {
    fn forget(&mut self, now: Duration) {
        let age_max = Duration::from_secs(KEY_AGE_MAX.as_secs().unsigned_abs());
        while let Some(&(claimed, owner)) = self.by_age.front()
            && now >= claimed + age_max
        {
            self.by_age.pop_front();
            if self.by_owner.get(&owner).is_some_and(|entry| entry.claimed == claimed) {
                self.by_owner.remove(&owner);
            }
        }
    }
}

impl Running<'_> {
    /// Remembers what was answered.
    pub(crate) fn finished(self, answer: String) {
        let mut inner = self.keys.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = inner.by_owner.get_mut(&self.owner) {
            entry.answer = Some(answer);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut inner = self.keys.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = |entry: &Entry| entry.answer.is_none() && entry.claimed == self.claimed;
        if inner.by_owner.get(&self.owner).is_some_and(unfinished) {
            inner.by_owner.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn owner(key: &str) -> Owner {
        (ClientId::parse("app").unwrap(), CustomerId::parse("SBOX").unwrap(), IdempotencyKey::parse(key).unwrap())
    }

    fn first<'a>(keys: &'a Keys, key: &str, now: Duration) -> Running<'a> {
        match keys.claim(owner(key), [1; 32], now) {
            Seen::First(running) => running,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_is_good_for_one_body_for_ten_minutes() {
        let keys = Keys::new(10, Vec::new(), Duration::ZERO);
        let running = first(&keys, "k", Duration::ZERO);
        assert!(matches!(keys.claim(owner("k"), [1; 32], Duration::ZERO), Seen::StillRunning));
        assert!(matches!(keys.claim(owner("k"), [2; 32], Duration::ZERO), Seen::Conflict));
        running.finished("done".to_owned());
        assert!(
            matches!(keys.claim(owner("k"), [1; 32], 10 * MINUTE - Duration::from_nanos(1)), Seen::Before(answer) if answer == "done")
        );
        first(&keys, "k", 10 * MINUTE);
    }

    #[test]
    fn what_was_not_done_is_not_remembered() {
        let keys = Keys::new(10, Vec::new(), Duration::ZERO);
        drop(first(&keys, "k", Duration::ZERO));
        first(&keys, "k", Duration::ZERO).finished(String::new());
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_falls_with_time() {
        let keys = Keys::new(2, Vec::new(), Duration::ZERO);
        for key in ["a", "b"] {
            first(&keys, key, Duration::ZERO).finished(String::new());
        }
        assert!(matches!(keys.claim(owner("c"), [1; 32], Duration::ZERO), Seen::Full));
        assert!(matches!(keys.claim(owner("a"), [1; 32], Duration::ZERO), Seen::Before(_)), "known keys still answer");
        first(&keys, "c", 10 * MINUTE).finished(String::new());
    }
}
