//! A repeated call is answered, not done again.
//!
//! `once` is the way in. Keys of live events are remembered here alone; those of missed calls also in the store, in the commit of the call itself, and
//! are brought here at the start. Only what was done is remembered.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use protocol::id::{ClientId, CustomerId, IdempotencyKey, NegotiatorId};
use store::error::StoreError;
use store::idempotency::{Claim, IDEMPOTENCY_KEY_AGE_MAX, KnownIdempotencyKey};

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) client_id: ClientId,
    /// `None`: it speaks for all of its customers.
    pub(crate) customer: Option<CustomerId>,
    pub(crate) key: IdempotencyKey,
}

/// What a call is made under, so that it can be repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) owner: Owner,
    /// SHA-256 of the body.
    pub(crate) body: [u8; 32],
    pub(crate) kept: Kept,
}

/// Where a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In memory; and in the store with what is written there.
    InMemory,
    /// In the store alone: who repeats the call knows by other means what was done.
    InStore,
}

impl Key {
    /// What the store keeps, with what is answered.
    pub(crate) fn claim(&self, answer: String) -> Claim {
        let Owner { client_id, customer, key } = self.owner;
        Claim { client_id, customer, key, body: self.body, answer }
    }
}

/// What became of a call that was made.
#[derive(Debug)]
pub(crate) enum Worked {
    /// It was done; this is answered.
    Done(String),
    /// The store knew the key: this was answered then.
    Repeated(String),
    /// The store knew the key, with another body.
    Conflict,
    /// It was shown, and this would be answered; what subscribers are to be told is not on disk.
    Shown(String, StoreError),
}

impl Worked {
    /// What the store says of a call's key; `answer` is what is answered where it was done now.
    pub(crate) fn of(claimed: store::idempotency::Claimed, answer: String) -> Self {
        match claimed {
            store::idempotency::Claimed::First => Self::Done(answer),
            store::idempotency::Claimed::Repeated(answer) => Self::Repeated(answer),
            store::idempotency::Claimed::Conflict => Self::Conflict,
        }
    }
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Once {
    /// Done now.
    Done(String),
    /// As it was answered when it was done.
    Repeated(String),
}

/// Why a call was not made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OnceError {
    #[error("the key was used with another body")]
    Conflict,
    #[error("the first call with the key still runs")]
    Running,
    #[error("too many keys are remembered")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does `work`, unless it was done before under the same key. `work` is given what it answered before, where it was shown then and
/// could not be written.
///
/// Only this knows how far a call has come; what was not done is not remembered.
///
/// Cancel safety: dropped before `work` has ended, the key is free again.
pub(crate) async fn once<W>(
    keys: &Keys,
    key: Option<&Key>,
    now: Duration,
    work: impl FnOnce(Option<String>) -> W,
) -> Result<Once, OnceError>
where
    W: Future<Output = Result<Worked, StoreError>>,
{
    let claimed = key.filter(|key| key.kept == Kept::InMemory).map(|key| keys.claim(key, now));
    let running = match claimed {
        None => None,
        Some(Seen::First(running)) => Some(running),
        Some(Seen::Before(answer)) => return Ok(Once::Repeated(answer)),
        Some(Seen::Conflict) => return Err(OnceError::Conflict),
        Some(Seen::StillRunning) => return Err(OnceError::Running),
        Some(Seen::Full) => return Err(OnceError::Full),
    };
    let shown = running.as_ref().and_then(|running| running.shown.clone());
    let worked = work(shown).await?;
    let finish = |running: Option<Running<'_>>, answer: &String| {
        if let Some(running) = running {
            running.finished(answer.clone());
        }
    };
    match worked {
        Worked::Done(answer) => {
            finish(running, &answer);
            Ok(Once::Done(answer))
        }
        Worked::Repeated(answer) => {
            finish(running, &answer);
            Ok(Once::Repeated(answer))
        }
        Worked::Conflict => Err(OnceError::Conflict),
        Worked::Shown(answer, error) => {
            if let Some(running) = running {
                running.shown(answer);
            }
            Err(error.into())
        }
    }
}

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
    /// When each is to be forgotten.
    by_end: BTreeSet<(Duration, Owner)>,
}

#[derive(Debug)]
struct Entry {
    body: [u8; 32],
    end: Duration,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The first call runs.
    Running,
    /// It was shown with this receipt, but what was to be written was refused.
    Shown(String),
    /// This was answered.
    Done(String),
}

/// What is known of a key that is claimed.
#[derive(Debug)]
enum Seen<'a> {
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
struct Running<'a> {
    keys: &'a Keys,
    owner: &'a Owner,
    end: Duration,
    /// The receipt of an earlier call that was shown, but not written.
    shown: Option<String>,
}

impl Keys {
    /// Keys that were remembered on disk, at `wall` time, which is `now` on the clock that never goes back.
    pub(crate) fn new(keys_max: usize, known: Vec<KnownIdempotencyKey>, wall: Timestamp, now: Duration) -> Self {
        let mut inner = Inner::default();
        for KnownIdempotencyKey { claim: Claim { client_id, customer, key, body, answer }, created } in known {
            let left =
                Duration::try_from((created + IDEMPOTENCY_KEY_AGE_MAX).duration_since(wall)).unwrap_or_default().min(age_max());
            inner.insert(Owner { client_id, customer, key }, Entry { body, end: now + left, stage: Stage::Done(answer) });
        }
        Self { inner: Mutex::new(inner), keys_max }
    }

    /// Claims a key for a call with this body at `now`, which never goes back.
    fn claim<'a>(&'a self, key: &'a Key, now: Duration) -> Seen<'a> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget(now);
        let count = inner.by_owner.len();
        let Key { owner, body, .. } = key;
        match inner.by_owner.get_mut(owner) {
            Some(entry) if entry.body != *body => Seen::Conflict,
            Some(Entry { stage: Stage::Done(answer), .. }) => Seen::Before(answer.clone()),
            Some(Entry { stage: Stage::Running, .. }) => Seen::StillRunning,
            Some(Entry { stage: stage @ Stage::Shown(_), end, .. }) => {
                let Stage::Shown(receipt) = std::mem::replace(stage, Stage::Running) else { return Seen::StillRunning };
                Seen::First(Running { keys: self, owner, end: *end, shown: Some(receipt) })
            }
            None if self.keys_max > 0 && count >= self.keys_max => Seen::Full,
            None => {
                let end = now + age_max();
                inner.insert(*owner, Entry { body: *body, end, stage: Stage::Running });
                Seen::First(Running { keys: self, owner, end, shown: None })
            }
        }
    }

    /// Forgets a customer's answers, or those that name one of its negotiators; calls that still run are left. Returns how many.
    pub(crate) fn forget_answers(&self, customer: CustomerId, negotiator: Option<NegotiatorId>) -> usize {
        let named = negotiator.map(|negotiator| format!("\"negotiatorId\":\"{negotiator}\""));
        let is_theirs = |owner: &Owner, entry: &Entry| match &entry.stage {
            Stage::Running => false,
            Stage::Shown(answer) | Stage::Done(answer) => {
                owner.customer == Some(customer) && named.as_ref().is_none_or(|named| answer.contains(named))
            }
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = inner.by_owner.iter().filter(|(owner, entry)| is_theirs(owner, entry));
        let theirs: Vec<_> = theirs.map(|(owner, entry)| (entry.end, *owner)).collect();
        theirs.iter().for_each(|(end, owner)| inner.remove(*end, *owner));
        theirs.len()
    }
}

fn age_max() -> Duration {
    Duration::from_secs(IDEMPOTENCY_KEY_AGE_MAX.as_secs().unsigned_abs())
}

impl Inner {
    fn insert(&mut self, owner: Owner, entry: Entry) {
        self.by_end.insert((entry.end, owner));
        self.by_owner.insert(owner, entry);
    }

    fn remove(&mut self, end: Duration, owner: Owner) {
        self.by_end.remove(&(end, owner));
        self.by_owner.remove(&owner);
    }

    fn forget(&mut self, now: Duration) {
        while let Some(&(end, owner)) = self.by_end.first()
            && now >= end
        {
            self.remove(end, owner);
        }
    }
}

impl Running<'_> {
    /// Remembers what was answered.
    fn finished(self, answer: String) {
        let mut inner = self.keys.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = inner.by_owner.get_mut(self.owner) {
            entry.stage = Stage::Done(answer);
        }
    }

    /// Remembers that it was shown, so that a repeat does not show it again, but writes what is still to be written.
    fn shown(self, receipt: String) {
        let mut inner = self.keys.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = inner.by_owner.get_mut(self.owner) {
            entry.stage = Stage::Shown(receipt);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut inner = self.keys.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = |entry: &Entry| matches!(entry.stage, Stage::Running) && entry.end == self.end;
        let Some(entry) = inner.by_owner.get_mut(self.owner).filter(|entry| unfinished(entry)) else { return };
        match self.shown.take() {
            // It stays so, whatever became of the call that was to write it.
            Some(receipt) => entry.stage = Stage::Shown(receipt),
            None => inner.remove(self.end, *self.owner),
        }
    }
}

#[cfg(test)]
mod tests;
