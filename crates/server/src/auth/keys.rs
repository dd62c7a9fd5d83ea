//! What a token is verified with: one secret, or the keys of a JWKS file, which is read again when it changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::TokenError;
use crate::config::Keys;

/// A token with an unknown key makes us read the file again, but not more often than this.
const REREAD_INTERVAL_MIN: Duration = Duration::from_secs(30);
/// How large a key set can be.
const JWKS_BYTES_MAX: u64 = 1024 * 1024;

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("key set {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no key set.
    #[error("key set {path} is no JSON Web Key Set (RFC 7517 §5)")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It has no key that can verify a token.
    #[error("key set {path} has no usable key: RS256 (RSA), ES256 (EC P-256) and EdDSA (OKP Ed25519) are")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A key, with the one algorithm that it is for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
    /// Which reading of the file it comes from.
    pub(super) reading: u64,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeyRing {
    source: Keys,
    // Guards the keys during a look-up; while a small local file is read at most once in 30 s.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Arc<Vec<Key>>,
    text: Vec<u8>,
    reading: u64,
    read_at: Duration,
}

impl KeyRing {
    pub(super) fn open(source: &Keys, running: Duration) -> Result<Self, KeysError> {
        let (keys, text) = match source {
            Keys::Secret(secret) => {
                let key = DecodingKey::from_secret(secret.expose());
                (vec![Key { id: None, algorithm: Algorithm::HS256, key, reading: 0 }], Vec::new())
            }
            Keys::JwksFile(path) => read(path, 0)?,
        };
        let state = State { keys: Arc::new(keys), text, reading: 0, read_at: running };
        Ok(Self { source: source.clone(), state: Mutex::new(state) })
    }

    /// Counts the times that the keys have changed.
    pub(super) fn reading(&self) -> u64 {
        self.lock().reading
    }

    /// Finds the key that a token names; one without a name is good where there is only one key.
    pub(super) fn find(&self, id: Option<&str>, running: Duration) -> Result<Key, TokenError> {
        if let Some(key) = pick(&self.lock().keys, id, &self.source) {
            return Ok(key);
        }
        if self.lock().read_at + REREAD_INTERVAL_MIN <= running {
            self.refresh(running);
        }
        let keys = self.lock().keys.clone();
        pick(&keys, id, &self.source).ok_or(TokenError::UnknownKey(if id.is_some() { "others" } else { "several" }))
    }

    /// Reads the file again. If that fails the last good keys go on.
    pub(super) fn refresh(&self, running: Duration) {
        let Keys::JwksFile(path) = &self.source else { return };
        let mut state = self.lock();
        state.read_at = running;
        match read(path, state.reading + 1) {
            Ok((_, text)) if text == state.text => {}
            Ok((keys, text)) => {
                *state = State { keys: Arc::new(keys), text, reading: state.reading + 1, read_at: running };
                tracing::info!(path = %path.display(), keys = state.keys.len(), "key set read again: it has changed");
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "key set not read: the last good keys go on");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pick(keys: &[Key], id: Option<&str>, source: &Keys) -> Option<Key> {
    match (source, id, keys) {
        (Keys::Secret(_), _, [only]) | (Keys::JwksFile(_), None, [only]) => Some(only.clone()),
        (_, None, _) => None,
        (_, Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
    }
}

fn read(path: &Path, reading: u64) -> Result<(Vec<Key>, Vec<u8>), KeysError> {
    let failed = |source| KeysError::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > JWKS_BYTES_MAX {
        return Err(failed(std::io::Error::other(format!("it has {length} bytes, more than {JWKS_BYTES_MAX}"))));
    }
    let text = fs::read(path).map_err(failed)?;
    let set: JwkSet = serde_json::from_slice(&text).map_err(|source| KeysError::Parse { path: path.to_owned(), source })?;
    let keys: Vec<_> = set.keys.iter().filter_map(|jwk| usable(jwk, reading, path)).collect();
    if keys.is_empty() {
        return Err(KeysError::Empty { path: path.to_owned() });
    }
    Ok((keys, text))
}

/// The key with the algorithm that its type fixes, unless it is for something else.
fn usable(jwk: &Jwk, reading: u64, path: &Path) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Some(Algorithm::ES256),
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => Some(Algorithm::EdDSA),
        _ => None,
    };
    let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let named = jwk.common.key_algorithm.map(|named| named.to_string());
    let agrees = |algorithm: Algorithm| named.as_ref().is_none_or(|named| *named == format!("{algorithm:?}"));
    let key = algorithm.filter(|algorithm| for_signatures && agrees(*algorithm)).zip(DecodingKey::from_jwk(jwk).ok());
    if key.is_none() {
        tracing::warn!(path = %path.display(), kid = ?jwk.common.key_id, "key left out: only RS256, ES256 and EdDSA signing keys are used");
    }
    key.map(|(algorithm, key)| Key { id: jwk.common.key_id.clone(), algorithm, key, reading })
}
