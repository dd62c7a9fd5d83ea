//! A callback as it comes in, and how its members are read. Knows no vendor.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A callback as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Callback<'a> {
    /// The header in which Enreach names the event.
    pub event: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
    /// When it came, for vendors whose callbacks say no time.
    pub received: Timestamp,
}

/// Why a callback cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableCallback {
    /// Not JSON.
    #[error("the body is not readable JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NoObject,
    /// A member is missing without which nothing can be said.
    #[error("{0} is missing or is no text")]
    Missing(&'static str),
}

/// Returns a key that tells a callback from all others.
pub(crate) fn key(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Returns the first of these members that is a text or a number, as text; empty where none is.
pub(crate) fn text<'a>(members: &'a Map<String, Value>, names: &[&str]) -> std::borrow::Cow<'a, str> {
    let found = names.iter().find_map(|name| match members.get(*name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.as_str().into()),
        Some(Value::Number(number)) => Some(number.to_string().into()),
        Some(_) | None => None,
    });
    found.unwrap_or_default()
}

/// How many characters of a call's id are used: as many as an envelope takes.
const CALL_ID_CHARACTERS_MAX: usize = 128;

/// Returns a call's id as an envelope can carry it; `None` where nothing of it is left.
pub(crate) fn call_id(text: &str) -> Option<String> {
    let id: String = text.chars().filter(|c| !c.is_control()).take(CALL_ID_CHARACTERS_MAX).collect();
    (!id.is_empty()).then_some(id)
}
