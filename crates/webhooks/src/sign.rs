//! By what a receiver knows who sends: signatures over the bytes that are sent, made anew at each attempt.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::profile::Proof;

/// Bytes of a secret: Standard Webhooks 1.0.0, "Signature scheme".
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const SECRET_BYTES_NEW: usize = 32;
const SECRET_PREFIX: &str = "whsec_";

const CLIENT_ID: HeaderName = HeaderName::from_static("reapit-webhook-signature");
const APP_KEY: HeaderName = HeaderName::from_static("x-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What a receiver and this node both know.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// A new one; `None` where the system gives no randomness.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let mut bytes = vec![0; SECRET_BYTES_NEW];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Reads `whsec_` and 24 to 64 bytes in base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?;
        Self::from_bytes(bytes)
    }

    /// Takes bytes as they were kept.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        SECRET_BYTES.contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The bytes, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text that its owner is shown, once.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }
}

/// The key pair of an application: what it signs can be checked by all who know the public half.
pub struct AppKey {
    id: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AppKey {
    /// A key from its 32-byte seed; `None` for anything else.
    #[must_use]
    pub fn from_seed(id: String, seed: &[u8]) -> Option<Self> {
        Some(Self { id, pair: Ed25519KeyPair::from_seed_unchecked(seed).ok()? })
    }

    /// Its id: a UUID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half, 32 bytes in base64url without padding, as a JSON Web Key has it (RFC 8037 §2).
    #[must_use]
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    /// The public half as Standard Webhooks writes it.
    #[must_use]
    pub fn public_standard(&self) -> String {
        format!("whpk_{}", STANDARD.encode(self.pair.public_key()))
    }
}

/// All that an endpoint's deliveries can be signed with.
#[derive(Debug, Clone)]
pub struct Signer {
    /// In base64.
    client_id: String,
    secrets: Vec<(SecretKey, Option<Timestamp>)>,
    app_key: Option<Arc<AppKey>>,
    /// Whether `v1a` stands beside `v1`.
    asymmetric: bool,
}

#[derive(Clone)]
struct SecretKey(hmac::Key);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its id, constant over all attempts; holds no full stop.
    pub id: &'a str,
    /// When it is sent.
    pub at: Timestamp,
    /// The body as it is sent.
    pub body: &'a [u8],
}

impl Signer {
    /// A signer with these secrets, each until its end, where it has one.
    #[must_use]
    pub fn new(client_id: &str, secrets: &[(Secret, Option<Timestamp>)], app_key: Option<Arc<AppKey>>, asymmetric: bool) -> Self {
        let client_id = STANDARD.encode(client_id);
        let key = |secret: &Secret| SecretKey(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        let secrets = secrets.iter().map(|(secret, until)| (key(secret), *until)).collect();
        Self { client_id, secrets, app_key, asymmetric }
    }

    /// Puts the headers that prove who sends `message` behind the others.
    pub fn prove(&self, proofs: &[Proof], message: Message<'_>, headers: &mut HeaderMap) {
        let seconds = message.at.as_second();
        let mut put = |name: HeaderName, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("")));
        };
        for proof in proofs {
            match proof {
                Proof::ClientId => put(CLIENT_ID, &self.client_id),
                Proof::AppKey => {
                    let Some(key) = &self.app_key else { continue };
                    let signature = key.pair.sign(&[seconds.to_string().as_bytes(), message.body].concat());
                    put(APP_KEY, &format!("s:{}:{seconds}:{}", key.id, URL_SAFE_NO_PAD.encode(signature)));
                }
                Proof::Id => put(WEBHOOK_ID, message.id),
                Proof::StandardWebhooks => {
                    let at = seconds.to_string();
                    let signed = [message.id.as_bytes(), b".", at.as_bytes(), b".", message.body].concat();
                    put(WEBHOOK_ID, message.id);
                    put(WEBHOOK_TIMESTAMP, &at);
                    put(WEBHOOK_SIGNATURE, &self.signatures(&signed, message.at));
                }
            }
        }
    }

    fn signatures(&self, signed: &[u8], now: Timestamp) -> String {
        let good = self.secrets.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
        let mut all: Vec<_> = good.map(|(key, _)| format!("v1,{}", STANDARD.encode(hmac::sign(&key.0, signed)))).collect();
        if let Some(key) = self.app_key.as_ref().filter(|_| self.asymmetric) {
            all.push(format!("v1a,{}", STANDARD.encode(key.pair.sign(signed))));
        }
        all.join(" ")
    }
}

#[cfg(test)]
mod tests;
