//! The keys of one issuer: what a token is verified with is looked up here, and read again from where it comes from.
//!
//! A look-up never waits. A token whose key is not there has the keys read again and can wait for that; who reads is one task for each
//! issuer, so that a thousand such tokens make one reading. What fails changes nothing: the last good keys go on.

pub(super) mod error; // why there are no new keys
pub(super) mod fetch; // one GET
pub(super) mod jwk; // a key set's text → usable keys
mod source; // a file, a URL, a provider's own word

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock;
use outbound::trust::TrustError;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, watch};

use self::error::KeysError;
use self::fetch::Fetcher;
use self::jwk::{Key, KeySet};
use self::source::{Begin, READING_LIMIT, Source};
use super::TokenError;
use crate::config::{Config, Issuer, Keys};
use crate::metrics::{Metrics, OfIssuer};

/// A token with an unknown key has the keys read again, but not more often than this.
const REREAD_INTERVAL_MIN: Duration = Duration::from_secs(30);
/// How long a token waits for a reading: a little longer than that can take.
const WAIT_MAX: Duration = READING_LIMIT.saturating_add(Duration::from_secs(1));
/// After a reading that failed the next follows sooner: this doubles, up to that.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// By how much of its interval a regular reading is early, at random, so that nodes take turns.
const EARLY_MAX: f64 = 0.2;

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeyRing {
    issuer: String,
    /// `None`: a secret, which stays as it is.
    kept: Option<Kept>,
    // Guards the keys during a look-up and when a reading begins or ends; nothing is awaited or logged inside.
    state: Mutex<RingState>,
    /// A reading is due sooner than it was.
    hurried: Notify,
    /// A reading has ended; told under the lock of the state.
    ended: watch::Sender<()>,
}

/// Keys that are kept up to date.
#[derive(Debug)]
struct Kept {
    source: Source,
    age: Gauge,
    failures: Counter,
}

#[derive(Debug)]
struct RingState {
    keys: Arc<[Arc<Key>]>,
    is_reading: bool,
    /// When the next reading is to begin.
    due: Duration,
    /// When the last one began.
    began: Option<Duration>,
    /// When the last good one ended; at first, when the node was made.
    read_at: Duration,
    /// How many have failed since.
    failures: u32,
}

/// What came of a reading.
#[derive(Debug)]
enum ReadingOutcome {
    Read { keys: usize, left_out: Vec<String>, added: usize, withdrawn: usize, failures: u32 },
    Failed { error: KeysError, keys: usize, failures: u32, retry_in: Duration },
}

impl KeyRing {
    /// The keys of `issuer`. Those of a file are read now, those that are fetched are there once [`Self::keep`] has run for a moment.
    ///
    /// # Errors
    /// [`KeysError`] where a file cannot be used.
    pub(super) fn open(issuer: &Issuer, config: &Config, clock: &Clock, metrics: &Metrics) -> Result<Self, KeysError> {
        let fetched = |begin| -> Result<_, TrustError> {
            let fetcher = Fetcher::new(config.issuers_ca_file.as_deref(), clock.clone())?;
            Ok(Source::Web { begin, fetcher, interval: config.keys_interval })
        };
        let (keys, source) = match &issuer.keys {
            Keys::Secret(secret) => (vec![Key::secret(secret.expose())], None),
            Keys::JwksFile(path) => {
                let KeySet { keys, left_out } = source::read_file(path)?;
                tracing::info!(issuer = issuer.name, keys = keys.len(), left_out = left_out.join(" "), "keys read");
                (keys, Some(Source::File(path.clone())))
            }
            Keys::JwksUrl(url) => (Vec::new(), Some(fetched(Begin::Keys(url.clone()))?)),
            Keys::Discovery(url) => {
                (Vec::new(), Some(fetched(Begin::Discovery { document: url.clone(), issuer: issuer.name.clone() })?))
            }
        };
        let now = clock.running();
        let due = source.as_ref().filter(|_| !keys.is_empty()).map_or(now, |source| now + early(source.interval()));
        let keys = keys.into_iter().map(Arc::new).collect();
        let state = RingState { keys, is_reading: false, due, began: None, read_at: now, failures: 0 };
        let kept = source.map(|source| {
            let of = OfIssuer { issuer: issuer.name.clone() };
            let (age, failures) = (metrics.keys_age.get_or_create(&of).clone(), metrics.keys_failures.get_or_create(&of).clone());
            Kept { source, age, failures }
        });
        let (hurried, ended) = (Notify::new(), watch::Sender::new(()));
        Ok(Self { issuer: issuer.name.clone(), kept, state: Mutex::new(state), hurried, ended })
    }

    /// Finds the key that a token names; one without a name is good where there is only one key.
    pub(super) fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        let keys = self.lock().keys.clone();
        match (id, &*keys) {
            (None, [only]) => Some(only.clone()),
            (Some(_), [only]) if self.kept.is_none() => Some(only.clone()),
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
            (None, _) => None,
        }
    }

    /// Why a token is refused whose key is not there: where the last reading failed, its key may well be good.
    pub(super) fn missing(&self, id: Option<&str>) -> TokenError {
        let state = self.lock();
        let may_be_good = id.is_some() && (state.failures > 0 || state.is_reading);
        match id {
            _ if may_be_good || state.keys.is_empty() => TokenError::KeysUnavailable,
            Some(_) => TokenError::UnknownKey("others"),
            None => TokenError::UnknownKey("several"),
        }
    }

    /// Has the keys read again, unless the last reading was a short while ago. Returns what tells of the end of the reading that is
    /// under way or about to begin, if there is one.
    pub(super) fn ask(&self, now: Duration) -> Option<watch::Receiver<()>> {
        self.kept.as_ref()?;
        let mut state = self.lock();
        let is_old = state.began.is_none_or(|began| began + REREAD_INTERVAL_MIN <= now);
        if !state.is_reading && state.due > now && is_old {
            state.due = now;
            self.hurried.notify_one();
        }
        (state.is_reading || state.due <= now).then(|| self.ended.subscribe())
    }

    /// As [`Self::ask`], and waits for the end of that reading.
    ///
    /// Cancel safety: the reading goes on.
    pub(super) async fn read_again(&self, clock: &Clock) {
        if let Some(mut ended) = self.ask(clock.running()) {
            // Whatever came of it, the keys are looked at again.
            drop(clock.timeout(WAIT_MAX, ended.changed()).await);
        }
    }

    /// Whether there is something to be kept up to date.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Reads the keys whenever that is due; never ends.
    pub(super) async fn keep(&self, clock: &Clock) {
        let Some(kept) = &self.kept else { return std::future::pending().await };
        loop {
            let due = self.lock().due;
            // Cancel safety: both branches only wait.
            tokio::select! {
                () = clock.wait_until(due) => self.read(kept, clock).await,
                () = self.hurried.notified() => {}
            }
        }
    }

    /// Sets the age of the keys.
    pub(super) fn measure(&self, now: Duration) {
        if let Some(kept) = &self.kept {
            let age = now.saturating_sub(self.lock().read_at);
            kept.age.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        }
    }

    async fn read(&self, kept: &Kept, clock: &Clock) {
        self.lock().begin(clock.running());
        let read = kept.source.read(clock).await;
        let outcome = {
            let mut state = self.lock();
            let outcome = state.end(read, kept.source.interval(), clock.running());
            self.ended.send_replace(());
            outcome
        };
        if matches!(outcome, ReadingOutcome::Failed { .. }) {
            kept.failures.inc();
        }
        outcome.tell(&self.issuer);
    }

    fn lock(&self) -> MutexGuard<'_, RingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RingState {
    fn begin(&mut self, now: Duration) {
        (self.is_reading, self.began) = (true, Some(now));
    }

    fn end(&mut self, read: Result<KeySet, KeysError>, interval: Duration, now: Duration) -> ReadingOutcome {
        self.is_reading = false;
        match read {
            Ok(set) => {
                let (added, withdrawn) = self.replace(set.keys);
                let failures = std::mem::take(&mut self.failures);
                (self.read_at, self.due) = (now, now + early(interval));
                ReadingOutcome::Read { keys: self.keys.len(), left_out: set.left_out, added, withdrawn, failures }
            }
            Err(error) => {
                let retry_in = retry_after(self.failures).min(interval);
                self.failures = self.failures.saturating_add(1);
                self.due = now + retry_in;
                ReadingOutcome::Failed { error, keys: self.keys.len(), failures: self.failures, retry_in }
            }
        }
    }

    /// Takes new keys; those that are known stay the same, so that the tokens that they verified need not be verified again. Returns
    /// how many were added and how many are gone.
    fn replace(&mut self, keys: Vec<Key>) -> (usize, usize) {
        let before = std::mem::take(&mut self.keys);
        let known = |key: &Key| before.iter().find(|known| known.is_same(key)).cloned();
        self.keys = keys.into_iter().map(|key| known(&key).unwrap_or_else(|| Arc::new(key))).collect();
        let is_in = |keys: &[Arc<Key>], key: &Arc<Key>| keys.iter().any(|other| Arc::ptr_eq(other, key));
        let gone = before.iter().filter(|key| !is_in(&self.keys, key));
        let withdrawn = gone.inspect(|key| key.withdraw()).count();
        let added = self.keys.iter().filter(|key| !is_in(&before, key)).count();
        (added, withdrawn)
    }
}

impl ReadingOutcome {
    fn tell(&self, issuer: &str) {
        match self {
            Self::Read { keys, left_out, added, withdrawn, failures } if added + withdrawn > 0 || *failures > 0 => {
                tracing::info!(issuer, keys, added, withdrawn, left_out = left_out.join(" "), failures, "keys read");
            }
            Self::Read { .. } => tracing::debug!(issuer, "keys read: they are the same"),
            Self::Failed { error, keys: 0, failures, retry_in } => {
                let error: &dyn std::error::Error = error;
                tracing::error!(
                    issuer,
                    error,
                    failures,
                    ?retry_in,
                    "keys not read: until they are, tokens of this issuer are 503"
                );
            }
            Self::Failed { error, failures, retry_in, .. } => {
                let error: &dyn std::error::Error = error;
                tracing::warn!(issuer, error, failures, ?retry_in, "keys not read: the last good keys go on");
            }
        }
    }
}

/// Checks the key set in a file.
///
/// # Errors
/// [`KeysError`].
pub fn check_key_set(path: &Path) -> Result<(), KeysError> {
    source::read_file(path).map(drop)
}

/// An interval, or a little less.
fn early(interval: Duration) -> Duration {
    interval.mul_f64(1.0 - EARLY_MAX * rand::random::<f64>())
}

/// How long to wait after so many failures and one more.
fn retry_after(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(1 << failures.min(16)).min(RETRY_MAX)
}

#[cfg(test)]
mod tests;
