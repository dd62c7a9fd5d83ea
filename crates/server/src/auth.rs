//! Token → [`Caller`]. A token that verified is remembered by its hash, so that the hot path does no public-key arithmetic.
//!
//! The key decides the algorithm, never the token. Times are checked against the node's own clock.

mod claims; // what a token says
mod keys; // what a token is verified with

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Validation, decode, decode_header};
use protocol::authorise::{Caller, plain_scope};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use self::claims::Claims;
use self::keys::KeyRing;
use crate::config::Issuer;

pub use self::keys::KeysError;

/// How far the issuer's clock and ours can be apart.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// How long a token can be; those of identity providers have 1 to 2 KiB.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Verifies tokens.
#[derive(Debug)]
pub struct Authenticator {
    issuers: Vec<TrustedIssuer>,
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Debug)]
struct TrustedIssuer {
    name: String,
    audience: Option<String>,
    keys: KeyRing,
}

#[derive(Debug, Clone)]
struct Verified {
    caller: Arc<Caller>,
    not_before: Option<Timestamp>,
    issuer: usize,
    /// Which reading of the issuer's keys it was verified with.
    keys_reading: u64,
}

/// A good token.
#[derive(Debug, Clone)]
pub(crate) struct Authenticated {
    pub(crate) caller: Arc<Caller>,
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

impl Authenticator {
    /// Trusts `issuers`; remembers up to `tokens_max` verified tokens.
    ///
    /// # Errors
    /// [`KeysError`] when a key set cannot be read.
    pub fn new(issuers: &[Issuer], tokens_max: usize, running: Duration) -> Result<Self, KeysError> {
        let issuers = issuers.iter().map(|issuer| {
            let keys = KeyRing::open(&issuer.keys, running)?;
            Ok(TrustedIssuer { name: issuer.name.clone(), audience: issuer.audience.clone(), keys })
        });
        Ok(Self { issuers: issuers.collect::<Result<_, KeysError>>()?, verified: Cache::new(tokens_max.max(1)) })
    }

    /// Reads the key files again.
    pub fn refresh_keys(&self, running: Duration) {
        for issuer in &self.issuers {
            issuer.keys.refresh(running);
        }
    }

    /// Says who brings `token` at `now`.
    pub(crate) fn authenticate(&self, token: &str, now: Timestamp, running: Duration) -> Result<Authenticated, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let remembered = self.verified.get(&hash).filter(|verified| self.is_current(verified));
        let known = remembered.is_some();
        let verified = match remembered {
            Some(verified) => verified,
            None => self.verify(token, running)?,
        };
        check_times(&verified, now)?;
        if !known {
            self.verified.insert(hash, verified.clone());
        }
        Ok(Authenticated { caller: verified.caller, known })
    }

    fn is_current(&self, verified: &Verified) -> bool {
        self.issuers.get(verified.issuer).is_some_and(|issuer| issuer.keys.reading() == verified.keys_reading)
    }

    fn verify(&self, token: &str, running: Duration) -> Result<Verified, TokenError> {
        let header = decode_header(token).map_err(|_fault| TokenError::Malformed)?;
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: what must be understood and is not makes the token invalid.
            return Err(TokenError::Malformed);
        }
        // Who claims to have issued it, to find the key; nothing is believed before the signature is checked with that key.
        let claimed: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_fault| TokenError::Malformed)?;
        let (place, issuer) = self
            .issuers
            .iter()
            .enumerate()
            .find(|(_, issuer)| claimed.issuer() == Some(&issuer.name))
            .ok_or(TokenError::UnknownIssuer)?;
        let key = issuer.keys.find(header.kid.as_deref(), running)?;
        if header.alg != key.algorithm {
            return Err(TokenError::Algorithm);
        }
        let claims = decode::<Claims>(token, &key.key, &signature_only(&key)).map_err(|_fault| TokenError::Signature)?.claims;
        if !claims.is_for(issuer.audience.as_deref()) {
            return Err(TokenError::Audience);
        }
        let not_before = claims.not_before()?;
        let caller = Arc::new(claims.into_caller()?);
        Ok(Verified { caller, not_before, issuer: place, keys_reading: key.reading })
    }
}

/// Checks the signature with the key's own algorithm; times and audience are checked here, by the node's clock.
fn signature_only(key: &keys::Key) -> Validation {
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

/// The scopes of a token: one string with spaces between, each with or without the prefix.
fn scopes(text: &str) -> BTreeSet<String> {
    text.split_ascii_whitespace().map(|scope| plain_scope(scope).to_owned()).collect()
}

#[cfg(test)]
mod tests;
