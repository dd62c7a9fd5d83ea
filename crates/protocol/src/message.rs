//! What else a session says and hears, as JSON text: all messages but `event`, which [`crate::frame`] writes.
//!
//! Unknown members are ignored by both sides, so that members can be added.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::EventId;
use crate::json;
use crate::payload::ID_CHARACTERS_MAX;
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
    /// Every event after it follows.
    Full,
    /// It brought one that cannot be resumed from: a gap is possible.
    None,
}

/// What became of a call, where no event tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncAction {
    /// Another device of this negotiator has put it aside.
    Dismissed,
    /// It rang for 45 s and nobody said that it stopped.
    Expired,
    /// It was missed.
    Missed,
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
pub struct Welcome<'a> {
    /// This session.
    pub session_id: EventId,
    /// Where the session begins, for a later resume.
    pub cursor: EventId,
    /// What became of the cursor that the client brought.
    pub resume: Resume,
    /// The live calls: the text of the `event` that set the state of each, oldest call first.
    pub calls: Vec<&'a str>,
    /// After how many seconds of silence a client that sees no WebSocket pings asks.
    pub ping_seconds: u32,
    /// For how long a cursor is kept.
    pub resume_seconds: u32,
    /// When the token ends.
    pub token_expires: Timestamp,
    /// The broker's clock.
    pub now: Timestamp,
}

impl Welcome<'_> {
    /// Writes the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let calls = self.calls.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let welcome = ServerMessage::Welcome {
            session_id: self.session_id,
            cursor: self.cursor,
            resume: self.resume,
            calls,
            ping_seconds: self.ping_seconds,
            resume_seconds: self.resume_seconds,
            token_expires: time::millis(self.token_expires),
            reconnect: Reconnect::ADVICE,
            now: time::millis(self.now),
        };
        json::encode(&welcome).into_bytes()
    }
}

/// What was wrong with a client's message; the session goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct MessageError {
    /// What kind of fault it is.
    pub code: MessageErrorCode,
    /// What is wrong, for the author of the client.
    pub message: String,
    /// The client's own mark, repeated.
    pub reference: Option<String>,
}

/// What kind of fault a client's message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageErrorCode {
    /// No object, no `type`, or a member of the wrong shape.
    BadMessage,
    /// A `type` that is not known here.
    UnknownType,
    /// There is no such live call.
    UnknownCall,
    /// The new token is not good, or belongs to somebody else.
    TokenRefused,
}

impl MessageErrorCode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::BadMessage, Self::UnknownType, Self::UnknownCall, Self::TokenRefused];
}

impl MessageError {
    /// Writes the `error` message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let error = ServerMessage::Error { code: self.code, message: &self.message, reference: self.reference.as_deref() };
        json::encode(&error).into_bytes()
    }
}

/// Writes the `goaway` message: the session will be closed after so many milliseconds, and that is when to come back.
#[must_use]
pub fn encode_go_away(reconnect_in_ms: u64) -> Vec<u8> {
    json::encode(&ServerMessage::Goaway { reason: "restarting", reconnect_in_ms, deadline_ms: reconnect_in_ms }).into_bytes()
}

/// Writes the `refreshed` message.
#[must_use]
pub fn encode_refreshed(token_expires: Timestamp, reference: Option<&str>) -> Vec<u8> {
    json::encode(&ServerMessage::Refreshed { token_expires: time::millis(token_expires), reference }).into_bytes()
}

/// Writes the `sync` message.
#[must_use]
pub fn encode_sync(call_id: &str, action: SyncAction) -> Vec<u8> {
    json::encode(&ServerMessage::Sync { call_id, action }).into_bytes()
}

/// Writes the `pong` message.
#[must_use]
pub fn encode_pong(reference: Option<&str>) -> Vec<u8> {
    json::encode(&ServerMessage::Pong { reference }).into_bytes()
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum ServerMessage<'a> {
    Welcome {
        session_id: EventId,
        cursor: EventId,
        resume: Resume,
        calls: Vec<&'a serde_json::value::RawValue>,
        ping_seconds: u32,
        resume_seconds: u32,
        token_expires: time::Millis,
        reconnect: Reconnect,
        now: time::Millis,
    },
    Pong {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Goaway {
        reason: &'static str,
        reconnect_in_ms: u64,
        deadline_ms: u64,
    },
    Refreshed {
        token_expires: time::Millis,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
    Sync {
        call_id: &'a str,
        action: SyncAction,
    },
    Error {
        code: MessageErrorCode,
        message: &'a str,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
    },
}

/// What a client says, with its own mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMessage {
    /// What it says.
    pub kind: ClientMessageKind,
    /// The client's own mark, which the answer repeats.
    pub reference: Option<String>,
}

/// What a client can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessageKind {
    /// Everything up to and including this event has been received.
    Ack(EventId),
    /// The person at this device saw the call.
    Shown(String),
    /// The person at this device put the call aside.
    Dismissed(String),
    /// Here is a token that lasts longer.
    Refresh(String),
    /// Is the line alive?
    Ping,
}

impl ClientMessageKind {
    /// The types that are known.
    pub const TYPES: [&str; 5] = ["ack", "shown", "dismissed", "refresh", "ping"];
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
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "type")]
    kind: Option<serde_json::Value>,
    #[serde(rename = "ref")]
    reference: Option<serde_json::Value>,
    id: Option<serde_json::Value>,
    call_id: Option<serde_json::Value>,
    token: Option<serde_json::Value>,
}

impl ClientMessage {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`ClientFault::Unreadable`] ends the session, [`ClientFault::Message`] does not.
    pub fn parse(text: &str) -> Result<Self, ClientFault> {
        let json: serde_json::Value = serde_json::from_str(text).map_err(|_unreadable| ClientFault::Unreadable)?;
        let bad = |message: &str, reference| MessageError {
            code: MessageErrorCode::BadMessage,
            message: message.to_owned(),
            reference,
        };
        let raw = json.is_object().then(|| serde_json::from_value::<Raw>(json).ok()).flatten();
        let raw = raw.ok_or_else(|| ClientFault::Message(bad("a message is an object with a type", None)))?;
        let reference =
            raw.reference().ok_or_else(|| ClientFault::Message(bad("ref is a string of 1 to 64 characters", None)))?;
        match raw.message_kind() {
            Ok(kind) => Ok(Self { kind, reference }),
            Err((code, message)) => Err(ClientFault::Message(MessageError { code, message, reference })),
        }
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

    fn message_kind(&self) -> Result<ClientMessageKind, (MessageErrorCode, String)> {
        let text = |value: &Option<serde_json::Value>| value.as_ref().and_then(|value| value.as_str()).map(str::to_owned);
        let bad = |message: &str| (MessageErrorCode::BadMessage, message.to_owned());
        let kind = text(&self.kind).ok_or_else(|| bad("type is required, a string"))?;
        let call_id = || {
            let id = text(&self.call_id).filter(|id| (1..=ID_CHARACTERS_MAX).contains(&id.chars().count()));
            id.ok_or_else(|| bad("callId is required, a string of 1 to 128 characters"))
        };
        match kind.as_str() {
            "ack" => {
                let id = text(&self.id).and_then(|id| EventId::parse(&id).ok());
                id.map(ClientMessageKind::Ack).ok_or_else(|| bad("ack needs the id of an event"))
            }
            "shown" => call_id().map(ClientMessageKind::Shown),
            "dismissed" => call_id().map(ClientMessageKind::Dismissed),
            "refresh" => text(&self.token).map(ClientMessageKind::Refresh).ok_or_else(|| bad("token is required, a string")),
            "ping" => Ok(ClientMessageKind::Ping),
            other => {
                let message = format!(
                    "type {} is not known; known are {}",
                    crate::fault::shown(other),
                    ClientMessageKind::TYPES.join(", ")
                );
                Err((MessageErrorCode::UnknownType, message))
            }
        }
    }
}

#[cfg(test)]
mod tests;
