//! JSON as a validator needs it: borrowed from the body, repeated members kept, depth bounded, faults with line and column.
//!
//! `serde_json::Value` would let the last of two equal members win and say nothing; a typed `Deserialize` stops at the first
//! wrong one. Both would hide from a caller what is wrong with a body.
//!
//! Our own types are written by [`encode`], the one place that says why that cannot fail.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// How deep arrays and objects may stand in one another.
pub const DEPTH_MAX: usize = 32;

/// Room that is made for the members of an object at once: as many as a call's payload has.
const MEMBERS_EXPECTED: usize = 6;

/// A value of a document. Strings without escapes are slices of the body.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Any number that fits a 64-bit integer or a double.
    Number(serde_json::Number),
    /// A string.
    String(Cow<'a, str>),
    /// The values in order.
    Array(Vec<Json<'a>>),
    /// The members in order; a name can stand more than once.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why bytes are not a JSON document; says line and column.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(serde_json::Error);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error)
    }
}

/// Reads one document, the whole of `body`.
///
/// # Errors
/// [`Unreadable`] for broken JSON, invalid UTF-8, numbers that fit no type, more than [`DEPTH_MAX`] levels, or anything behind
/// the document.
pub fn read(body: &[u8]) -> Result<Json<'_>, Unreadable> {
    // A body that is UTF-8 as a whole need not be looked at again string by string; one that is not is told with line and column.
    match std::str::from_utf8(body) {
        Ok(text) => document(serde_json::Deserializer::from_str(text)),
        Err(_) => document(serde_json::Deserializer::from_slice(body)),
    }
}

fn document<'de>(mut deserializer: serde_json::Deserializer<impl serde_json::de::Read<'de>>) -> Result<Json<'de>, Unreadable> {
    let json = Value { depth: 0 }.deserialize(&mut deserializer).map_err(Unreadable)?;
    deserializer.end().map_err(Unreadable)?;
    Ok(json)
}

/// Returns `value` as JSON text.
///
/// For types of our own, which always have a JSON form: a failure to write one must never pass for an empty document.
///
/// # Panics
/// Where `value` is no JSON: a map whose keys are no texts, or a `Serialize` written by hand that fails. A test of the type finds
/// both.
#[must_use]
pub fn encode(value: &impl Serialize) -> String {
    #[expect(clippy::expect_used, reason = "types of our own with text for keys, into memory: serde_json has nothing to fail at")]
    serde_json::to_string(value).expect("a type of our own is written to memory")
}

/// As [`encode`], as a tree.
///
/// # Panics
/// As [`encode`].
#[must_use]
pub fn to_tree(value: &impl Serialize) -> serde_json::Value {
    #[expect(clippy::expect_used, reason = "types of our own with text for keys, into memory: serde_json has nothing to fail at")]
    serde_json::to_value(value).expect("a type of our own becomes a tree")
}

impl Json<'_> {
    /// What kind of value it is, with its article, for "must be a string, got …".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Reads a value that stands below `depth` arrays and objects.
#[derive(Clone, Copy)]
struct Value {
    depth: usize,
}

impl Value {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested more than {DEPTH_MAX} levels deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(below)? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let below = self.below()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            if members.is_empty() {
                members.reserve(MEMBERS_EXPECTED);
            }
            members.push((name, map.next_value_seed(below)?));
        }
        Ok(Json::Object(members))
    }
}

/// Reads the name of a member.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests;
