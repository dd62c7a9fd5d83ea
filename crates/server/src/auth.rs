//! Token → [`Caller`]. A token that verified is remembered by its hash, so that the hot path does no public-key arithmetic.
//!
//! The key decides the algorithm, never the token. Times are checked against the node's own clock.

mod claims; // what a token says
mod keys; // what a token is verified with

use std::collections::BTreeSet;
use std::sync::Arc;

use clock::Clock;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Validation, decode, decode_header};
use protocol::authorise::{Caller, plain_scope};
use quick_cache::sync::Cache;
use sessions::session::TOKEN_GRACE;
use sha2::{Digest, Sha256};

use self::claims::Claims;
use self::keys::KeyRing;
use self::keys::jwk::Key;
use crate::config::Config;
use crate::metrics::Metrics;

pub use self::keys::check_key_set;
pub use self::keys::error::KeysError;

/// How far the issuer's clock and ours can be apart.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// How long a token can be; those of identity providers have 1 to 2 KiB.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Verifies tokens.
#[derive(Debug)]
pub struct Authenticator {
    issuers: Vec<TrustedIssuer>,
    clock: Clock,
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Debug)]
struct TrustedIssuer {
    name: String,
    audience: Option<String>,
    keys: Arc<KeyRing>,
}

/// A token that verified.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) caller: Arc<Caller>,
    not_before: Option<Timestamp>,
    /// What it was verified with.
    key: Arc<Key>,
}

/// Why a token was not verified.
#[derive(Debug)]
enum Unverified<'a> {
    /// It is not good.
    Bad(TokenError),
    /// The key that it names is not among those of its issuer.
    NoKey(&'a KeyRing, Option<String>),
}

/// A good token.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated {
    pub(crate) verified: Verified,
    /// Whether it was verified before.
    pub(crate) known: bool,
}

/// Why a token is not good. The text is for the one who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("a bearer token is required")]
    Missing,
    #[error("the token is not a signed JSON Web Token")]
    Malformed,
    #[error("the token's issuer is not trusted here")]
    UnknownIssuer,
    #[error("the token's key is not known; its issuer has {0}")]
    UnknownKey(&'static str),
    #[error("the keys of the token's issuer cannot be read at the moment")]
    KeysUnavailable,
    #[error("the token's algorithm is not the one of its key")]
    Algorithm,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token expired at {0}")]
    Expired(Timestamp),
    #[error("the token is not valid before {0}")]
    NotYetValid(Timestamp),
    #[error("the token is for another audience")]
    Audience,
    #[error("the token's claims are unusable: {0}")]
    Claims(String),
}

impl From<TokenError> for Unverified<'_> {
    fn from(error: TokenError) -> Self {
        Self::Bad(error)
    }
}

impl Authenticator {
    /// Trusts the issuers that `config` names.
    ///
    /// # Errors
    /// [`KeysError`] when a file with keys or certificates cannot be used.
    pub fn new(config: &Config, clock: Clock, metrics: &Metrics) -> Result<Self, KeysError> {
        let issuers = config.issuers.iter().map(|issuer| {
            let keys = Arc::new(KeyRing::open(issuer, config, &clock, metrics)?);
            Ok(TrustedIssuer { name: issuer.name.clone(), audience: issuer.audience.clone(), keys })
        });
        let issuers = issuers.collect::<Result<_, KeysError>>()?;
        Ok(Self { issuers, clock, verified: Cache::new(config.tokens_max.max(1)) })
    }

    /// What keeps the keys of each issuer up to date; none of it ever ends.
    pub(crate) fn keep_keys(&self) -> impl Iterator<Item = impl Future<Output = ()> + Send + use<>> {
        let kept = self.issuers.iter().map(|issuer| &issuer.keys).filter(|keys| keys.is_kept());
        kept.map(|keys| {
            let (keys, clock) = (keys.clone(), self.clock.clone());
            async move { keys.keep(&clock).await }
        })
    }

    /// Sets the measurements that are made when they are asked for.
    pub(crate) fn measure(&self) {
        for issuer in &self.issuers {
            issuer.keys.measure(self.clock.running());
        }
    }

    /// Says who brings `token`. One whose key is not known is refused, and the keys of its issuer are read again in the background.
    pub(crate) fn authenticate(&self, token: &str) -> Result<Authenticated, TokenError> {
        self.look_up(token, self.clock.now()).map_err(|unverified| match unverified {
            Unverified::Bad(error) => error,
            Unverified::NoKey(keys, id) => {
                drop(keys.ask(self.clock.running()));
                keys.missing(id.as_deref())
            }
        })
    }

    /// As [`Self::authenticate`]; a token whose key is not known waits until the keys of its issuer have been read again.
    ///
    /// Cancel safety: nothing is lost.
    pub(crate) async fn authenticate_patiently(&self, token: &str, now: Timestamp) -> Result<Authenticated, TokenError> {
        match self.look_up(token, now) {
            Ok(authenticated) => Ok(authenticated),
            Err(Unverified::Bad(error)) => Err(error),
            Err(Unverified::NoKey(keys, _)) => {
                // Boxed, since it is seldom needed and every request would have room for it.
                Box::pin(keys.read_again(&self.clock)).await;
                self.authenticate(token)
            }
        }
    }

    fn look_up(&self, token: &str, now: Timestamp) -> Result<Authenticated, Unverified<'_>> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed.into());
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let remembered = self.verified.get(&hash).filter(|verified| !verified.is_withdrawn());
        let known = remembered.is_some();
        let verified = match remembered {
            Some(verified) => verified,
            None => self.verify(token)?,
        };
        check_times(&verified, now)?;
        if !known {
            self.verified.insert(hash, verified.clone());
        }
        Ok(Authenticated { verified, known })
    }

    fn verify(&self, token: &str) -> Result<Verified, Unverified<'_>> {
        let header = decode_header(token).map_err(|_fault| TokenError::Malformed)?;
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: what must be understood and is not makes the token invalid.
            return Err(TokenError::Malformed.into());
        }
        // Who claims to have issued it, to find the key; nothing is believed before the signature is checked with that key.
        let claimed: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_fault| TokenError::Malformed)?;
        let issuer = self.issuers.iter().find(|issuer| claimed.issuer() == Some(&issuer.name));
        let issuer = issuer.ok_or(TokenError::UnknownIssuer)?;
        let Some(key) = issuer.keys.find(header.kid.as_deref()) else {
            return Err(Unverified::NoKey(&issuer.keys, header.kid));
        };
        if header.alg != key.algorithm {
            return Err(TokenError::Algorithm.into());
        }
        let claims = decode::<Claims>(token, &key.key, &signature_only(&key)).map_err(|_fault| TokenError::Signature)?.claims;
        if !claims.is_for(issuer.audience.as_deref()) {
            return Err(TokenError::Audience.into());
        }
        let not_before = claims.not_before()?;
        let caller = Arc::new(claims.into_caller()?);
        Ok(Verified { caller, not_before, key })
    }
}

impl Verified {
    /// Whether it still holds.
    pub(crate) fn is_good(&self, now: Timestamp) -> bool {
        !self.is_withdrawn() && check_times(self, now).is_ok()
    }

    /// Whether both are what one verification returned.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.caller, &other.caller)
    }

    fn is_withdrawn(&self) -> bool {
        self.key.is_withdrawn()
    }
}

#[cfg(test)]
impl Verified {
    /// One that nobody signed, which ends at this time.
    pub(crate) fn of_nobody(expires: Timestamp) -> Self {
        let identity = protocol::authorise::Identity::Application;
        let caller = Arc::new(Caller { client_id: None, scopes: BTreeSet::new(), identity, expires });
        Self { caller, not_before: None, key: Arc::new(Key::secret(b"")) }
    }

    pub(crate) fn withdraw(&self) {
        self.key.withdraw();
    }
}

/// Checks the signature with the key's own algorithm; times and audience are checked here, by the node's clock.
fn signature_only(key: &Key) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn check_times(verified: &Verified, now: Timestamp) -> Result<(), TokenError> {
    let expires = verified.caller.expires;
    if expires.saturating_add(LEEWAY).is_ok_and(|end| now >= end) {
        return Err(TokenError::Expired(expires));
    }
    match verified.not_before {
        Some(begin) if begin.saturating_sub(LEEWAY).is_ok_and(|begin| now < begin) => Err(TokenError::NotYetValid(begin)),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a token with which a session would be closed at once: the leeway for clocks is longer than the grace of a session.
pub(crate) fn check_lasts(caller: &Caller, now: Timestamp) -> Result<(), TokenError> {
    let end = caller.expires.checked_add(TOKEN_GRACE).unwrap_or(Timestamp::MAX);
    if now >= end { Err(TokenError::Expired(caller.expires)) } else { Ok(()) }
}

/// The scopes of a token: one string with spaces between, each with or without the prefix.
fn scopes(text: &str) -> BTreeSet<String> {
    text.split_ascii_whitespace().map(|scope| plain_scope(scope).to_owned()).collect()
}

#[cfg(test)]
mod tests;
