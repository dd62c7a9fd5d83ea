//! What else a session says and hears, as JSON text: the server's `welcome`, `pong` and `error`, the client's `ack` and `ping`.
//!
//! Unknown members are ignored by both sides, so that members can be added.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::frame::to_vec;
use crate::id::EventId;
use crate::time;

/// How large a client's message can be.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// How many messages a client can send in a second.
pub const CLIENT_MESSAGES_PER_SECOND: u32 = 20;
const REF_CHARACTERS_MAX: usize = 64;

/// What the client was told of its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Resume {
    /// It brought none.
    New,
    /// It brought one that cannot be resumed from: a gap is possible.
    None,
}

/// How a client comes back after a broken line, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reconnect {
    /// The first try is at random between 0 and this.
    pub first_ms: u64,
    /// Then full jitter from this, doubling …
    pub base_ms: u64,
    /// … up to this.
    pub cap_ms: u64,
}

impl Reconnect {
    /// What every session is told.
    pub const ADVICE: Self = Self { first_ms: 5_000, base_ms: 1_000, cap_ms: 30_000 };
}

/// The first message of a session.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// This session.
    pub session_id: EventId,
    /// Where the session begins, for a later resume.
    pub cursor: EventId,
    /// What became of the cursor that the client brought.
    pub resume: Resume,
    /// After how many seconds of silence a client that sees no WebSocket pings asks.
    pub ping_seconds: u32,
    /// For how long a cursor is kept.
    pub resume_seconds: u32,
    /// When the token ends.
    pub token_expires: Timestamp,
    /// The broker's clock.
    pub now: Timestamp,
}

impl Welcome {
    /// Writes the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_vec(&ServerMessage::Welcome {
            session_id: self.session_id,
            cursor: self.cursor,
            resume: self.resume,
            calls: [],
            ping_seconds: self.ping_seconds,
            resume_seconds: self.resume_seconds,
            token_expires: time::millis(self.token_expires),
            reconnect: Reconnect::ADVICE,
            now: time::millis(self.now),
        })
    }
}

/// What was wrong with a client's message; the session goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No object, no `type`, or a member of the wrong shape.
    #[error("{message}")]
    BadMessage {
        /// What is wrong.
        message: String,
        /// The client's own mark, repeated.
        reference: Option<String>,
    },
    /// A `type` that is not known here.
    #[error("{message}")]
    UnknownType {
        /// What is wrong.
        message: String,
        /// The client's own mark, repeated.
        reference: Option<String>,
    },
}

impl MessageError {
    /// Writes the `error` message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (code, message, reference) = match self {
            Self::BadMessage { message, reference } => ("bad_message", message, reference),
            Self::UnknownType { message, reference } => ("unknown_type", message, reference),
        };
        to_vec(&ServerMessage::Error { code, message, reference: reference.as_deref() })
    }
}

/// Writes the `pong` message.
#[must_use]
pub fn encode_pong(reference: Option<&str>) -> Vec<u8> {
    to_vec(&ServerMessage::Pong { reference })
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum ServerMessage<'a> {
    Welcome {
        session_id: EventId,
        cursor: EventId,
        resume: Resume,
        calls: [(); 0],
        ping_seconds: u32,
        resume_seconds: u32,
        token_expires: String,
        reconnect: Reconnect,
        now: String,
    },
    Pong {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Error {
        code: &'static str,
        message: &'a str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
}

/// What a client can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// Everything up to and including this event has been received.
    Ack {
        /// The event's id.
        id: EventId,
    },
    /// Is the line alive?
    Ping {
        /// The client's own mark, which the answer repeats.
        reference: Option<String>,
    },
}

/// Why a text frame is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    /// Not JSON at all: the session ends.
    #[error("the message is not readable JSON")]
    Unreadable,
    /// JSON, but not a message: the client is told and the session goes on.
    #[error(transparent)]
    Message(MessageError),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: Option<serde_json::Value>,
    #[serde(rename = "ref")]
    reference: Option<serde_json::Value>,
    id: Option<serde_json::Value>,
}

impl ClientMessage {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`ClientFault::Unreadable`] ends the session, [`ClientFault::Message`] does not.
    pub fn parse(text: &str) -> Result<Self, ClientFault> {
        let json: serde_json::Value = serde_json::from_str(text).map_err(|_unreadable| ClientFault::Unreadable)?;
        let bad = |message: &str| ClientFault::Message(MessageError::BadMessage { message: message.to_owned(), reference: None });
        if !json.is_object() {
            return Err(bad("a message is an object with a type"));
        }
        let raw: Raw = serde_json::from_value(json).map_err(|_not_an_object| bad("a message is an object with a type"))?;
        let reference = raw.reference().ok_or_else(|| bad("ref is a string of 1 to 64 characters"))?;
        raw.message(reference).map_err(ClientFault::Message)
    }
}

impl Raw {
    /// The mark, where there is one; `None` when it is malformed.
    fn reference(&self) -> Option<Option<String>> {
        match &self.reference {
            None => Some(None),
            Some(serde_json::Value::String(text)) => {
                (1..=REF_CHARACTERS_MAX).contains(&text.chars().count()).then(|| Some(text.clone()))
            }
            Some(_) => None,
        }
    }

    fn message(&self, reference: Option<String>) -> Result<ClientMessage, MessageError> {
        let kind = match &self.kind {
            Some(serde_json::Value::String(kind)) => kind.as_str(),
            Some(_) | None => {
                return Err(MessageError::BadMessage { message: "type is required, a string".to_owned(), reference });
            }
        };
        match kind {
            "ping" => Ok(ClientMessage::Ping { reference }),
            "ack" => match self.id.as_ref().and_then(|id| id.as_str()).map(EventId::parse) {
                Some(Ok(id)) => Ok(ClientMessage::Ack { id }),
                Some(Err(_)) | None => {
                    Err(MessageError::BadMessage { message: "ack needs the id of an event".to_owned(), reference })
                }
            },
            other => {
                let message = format!("type {} is not known; known are ack, ping", crate::fault::shown(other));
                Err(MessageError::UnknownType { message, reference })
            }
        }
    }
}

#[cfg(test)]
mod tests;
