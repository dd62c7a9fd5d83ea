//! The text of a key set (RFC 7517 §5) → the keys in it that can verify a token.

use std::sync::atomic::{AtomicBool, Ordering};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use protocol::fault::shown;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::KeysError;

/// How many keys a set can have; those of identity providers have 2 to 10.
const KEYS_MAX: usize = 100;

/// A key, with the one algorithm that it is for.
#[derive(Debug)]
pub(in crate::auth) struct Key {
    pub(super) id: Option<String>,
    pub(in crate::auth) algorithm: Algorithm,
    pub(in crate::auth) key: DecodingKey,
    /// What it is made of; `None`: of a secret.
    material: Option<AlgorithmParameters>,
    withdrawn: AtomicBool,
}

/// What a text holds.
#[derive(Debug)]
pub(super) struct KeySet {
    pub(super) keys: Vec<Key>,
    /// The names of keys that are for something else, or of a kind that is not known here.
    pub(super) left_out: Vec<String>,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// Of a key that may be anything else.
#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    kid: String,
}

impl Key {
    /// HS256 by a secret.
    pub(in crate::auth) fn secret(secret: &[u8]) -> Self {
        let key = DecodingKey::from_secret(secret);
        Self { id: None, algorithm: Algorithm::HS256, key, material: None, withdrawn: AtomicBool::new(false) }
    }

    /// Whether the issuer does not sign with it any more.
    pub(in crate::auth) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    pub(in crate::auth) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    /// Whether both are the same key under the same name.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.id, self.algorithm, &self.material) == (&other.id, other.algorithm, &other.material)
    }

    /// The key with the algorithm that it names, or that of its type, unless it is for something else.
    fn usable(text: &RawValue) -> Option<Self> {
        // One of a kind that is not known is ignored (RFC 7517 §5): the others are good all the same.
        let jwk: Jwk = serde_json::from_str(text.get()).ok()?;
        let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies = jwk.common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let algorithm = algorithm(&jwk).filter(|_| for_signatures && verifies)?;
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let withdrawn = AtomicBool::new(false);
        Some(Self { id: jwk.common.key_id, algorithm, key, material: Some(jwk.algorithm), withdrawn })
    }
}

/// The algorithm that a key names, if keys of its type can be for it; where it names none, the usual one of its type.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let of_type: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => &[ES256],
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => &[ES384],
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    };
    match jwk.common.key_algorithm {
        None => of_type.first().copied(),
        Some(named) => of_type.iter().copied().find(|algorithm| KeyAlgorithm::from(*algorithm) == named),
    }
}

/// Reads the key set that came from `place`.
///
/// # Errors
/// [`KeysError`] where it is none, or has too many keys, or none that can be used.
pub(super) fn read(text: &[u8], place: &str) -> Result<KeySet, KeysError> {
    let not_a_set = |source| KeysError::Json { place: place.to_owned(), what: "JSON Web Key Set (RFC 7517 §5)", source };
    let set: Set<'_> = serde_json::from_slice(text).map_err(not_a_set)?;
    let count = set.keys.len();
    if count > KEYS_MAX {
        return Err(KeysError::TooMany { place: place.to_owned(), count, max: KEYS_MAX });
    }
    let mut read = KeySet { keys: Vec::new(), left_out: Vec::new() };
    for text in set.keys {
        match Key::usable(text) {
            Some(key) => read.keys.push(key),
            None => read.left_out.push(shown(&serde_json::from_str::<Named>(text.get()).unwrap_or_default().kid)),
        }
    }
    if read.keys.is_empty() {
        return Err(KeysError::Empty { place: place.to_owned() });
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
