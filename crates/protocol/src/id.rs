//! Identifiers, parsed once at the edge: a value of these types cannot be malformed.
//!
//! None of them can hold a character that has a meaning in a URL path, a file name or a message subject.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use arrayvec::ArrayString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {expected}")]
pub struct IdError {
    /// The rule, in words that follow "must be".
    pub expected: &'static str,
}

/// An estate agency, or an office group of one (`SBOX`, `COL-GMIO`). Compared as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomerId(ArrayString<33>);

/// A person within a customer (`ADV`); unique within that customer only. Compared as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NegotiatorId(Short);

/// A product that people log in to (`AgencyCloud`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Product(ArrayString<32>);

/// An application that posts or reads: the `client_id` of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(ArrayString<128>);

/// A device of a negotiator, chosen by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(ArrayString<64>);

/// An `Idempotency-Key`, chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(ArrayString<128>);

/// A connector: the name of it in its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectorId(ArrayString<64>);

/// One event, one missed call or one session: 32 lower-case hexadecimal digits, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

/// Whom an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipient {
    /// The customer that the negotiator belongs to.
    pub customer: CustomerId,
    /// The negotiator.
    pub negotiator: NegotiatorId,
}

/// Builds the parsing, reading and printing that all textual identifiers share.
macro_rules! textual {
    ($name:ident, $rule:expr, $expected:literal) => {
        impl $name {
            #[doc = concat!("Reads ", $expected, ".")]
            ///
            /// # Errors
            /// [`IdError`] with the rule that `text` breaks.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let error = IdError { expected: $expected };
                let rule: fn(&str) -> bool = $rule;
                if !rule(text) {
                    return Err(error);
                }
                text.try_into().map(Self).map_err(|_too_long| error)
            }

            /// The identifier as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

textual!(CustomerId, is_customer, "2 to 16 letters and digits, optionally followed by - and 2 to 16 more");
textual!(NegotiatorId, is_code, "2 to 16 letters and digits");
textual!(Product, |s| within(s, 1, 32, |b| b.is_ascii_alphanumeric()), "1 to 32 letters and digits");
textual!(ClientId, |s| within(s, 1, 128, |b| b.is_ascii_graphic()), "1 to 128 visible ASCII characters");
textual!(DeviceId, |s| within(s, 1, 64, is_token_byte), "1 to 64 of A-Z a-z 0-9 _ -");
textual!(ConnectorId, |s| within(s, 1, 64, is_token_byte), "1 to 64 of A-Z a-z 0-9 _ -");
textual!(IdempotencyKey, |s| within(s, 1, 128, |b| b.is_ascii_graphic()), "1 to 128 visible ASCII characters");

fn is_customer(text: &str) -> bool {
    match text.split_once('-') {
        Some((organisation, group)) => is_code(organisation) && is_code(group),
        None => is_code(text),
    }
}

fn is_code(text: &str) -> bool {
    within(text, 2, 16, |b| b.is_ascii_alphanumeric())
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn within(text: &str, min: usize, max: usize, allowed: impl Fn(u8) -> bool) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(allowed)
}

impl EventId {
    /// Makes the id of something that happened `unix_millis` after 1970, a UUID of version 7 (RFC 9562 §5.7).
    ///
    /// Later milliseconds sort later; within one the order is that of `random`.
    #[must_use]
    pub fn new(unix_millis: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, &random).into_uuid())
    }

    /// The id that sorts right behind this one, for counting on when a clock stands still or jumps back.
    #[must_use]
    pub fn next(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().wrapping_add(1)))
    }

    /// Reads 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`IdError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let lower_hex = within(text, 32, 32, |b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match Uuid::try_parse(text) {
            Ok(id) if lower_hex => Ok(Self(id)),
            _ => Err(IdError { expected: "32 lower-case hexadecimal digits" }),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn text(&self) -> ArrayString<32> {
        let mut digits = [0; 32];
        ArrayString::from(self.0.as_simple().encode_lower(&mut digits)).unwrap_or_default()
    }

    /// The id as RFC 9562 §4 writes a UUID, with hyphens: for systems that expect that.
    #[must_use]
    pub fn hyphenated(&self) -> String {
        self.0.as_hyphenated().to_string()
    }

    /// The 16 bytes, whose order is the order of the ids.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Takes back what [`EventId::as_bytes`] returned.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.customer, self.negotiator)
    }
}

/// A text of at most 16 bytes that does not end in a zero, filled up with zeros, so that two are held against each other at once:
/// an event's targets are looked for in tables and lists more often than they are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Short([u8; 16]);

impl TryFrom<&str> for Short {
    type Error = ();

    fn try_from(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 16];
        let room = bytes.get_mut(..text.len()).filter(|_| !text.ends_with('\0')).ok_or(())?;
        room.copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl Short {
    fn as_str(&self) -> &str {
        let end = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.0.get(..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl Hash for Short {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_le_bytes(self.0));
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests;
