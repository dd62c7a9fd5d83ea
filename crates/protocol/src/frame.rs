//! `Live`, `Missed` → bytes, encoded once and shared by all who get it.
//!
//! Nothing in a frame belongs to one session or one negotiator: the bytes are the same for every recipient.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use crate::authorise::{Live, Missed, Told};
use crate::envelope::Products;
use crate::id::{EventId, NegotiatorId, Product};
use crate::json;
use crate::payload::{CallState, Payload};
use crate::time;

/// How long after it was taken an incomingCall can still be shown: telephones ring for 20 to 30 s.
pub const RING: SignedDuration = SignedDuration::from_secs(45);

/// What must be known of an event on its way.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The event's id, which is also its cursor.
    pub id: EventId,
    /// When the broker took it.
    pub at: Timestamp,
    /// Not to be sent after this, where there is an end.
    pub expires: Option<Timestamp>,
    /// The products that are told.
    pub products: Products,
    /// What it makes of the call.
    pub state: CallState,
    /// When it happened by the provider's clock.
    pub created: Timestamp,
}

/// An `event` message, ready to be sent.
#[derive(Debug, Clone)]
pub struct EncodedFrame<'e> {
    /// What must be known of it.
    pub facts: Facts,
    /// The call that it is about: the provider's id, else the event's own.
    pub call_id: Cow<'e, str>,
    /// The text of the message; valid UTF-8.
    pub text: Vec<u8>,
}

/// Writes the `event` message of a live event.
#[must_use]
pub fn encode<'e>(event: &'e Live<'_>) -> EncodedFrame<'e> {
    let expires = match event.state() {
        CallState::Incoming => Some(event.at() + RING),
        CallState::Answered | CallState::Ended => None,
    };
    let call_id = event.call_id();
    let mut text = Text::default();
    text.raw(r#"{"type":"event","id":"#).string(&event.id().text());
    text.raw(r#","callId":"#).string(&call_id);
    text.raw(r#","at":"#).string(&time::millis(event.at()));
    if let Some(expires) = expires {
        text.raw(r#","expires":"#).string(&time::millis(expires));
    }
    text.raw(r#","customerId":"#).string(event.customer().as_str());
    text.raw(r#","notification":"#);
    write_notification(&mut text, event, Whom::Untold);
    text.raw("}");
    let (at, products, created) = (event.at(), event.products().clone(), event.created());
    let facts = Facts { id: event.id(), at, expires, products, state: event.state(), created };
    EncodedFrame { facts, call_id, text: text.0 }
}

/// Writes what is kept of a missed call: `{"type","subType","products","payload"}`.
#[must_use]
pub fn encode_notification(event: &Missed<'_>) -> String {
    let mut text = Text::default();
    write_notification(&mut text, event, Whom::Untold);
    String::from_utf8_lossy(&text.0).into_owned()
}

/// Writes what subscribers are told of an event: `{"type","subType","products","targets","payload"}`.
#[must_use]
pub fn encode_told(event: &Told<'_>) -> String {
    let mut text = Text::default();
    write_notification(&mut text, event, Whom::Told);
    String::from_utf8_lossy(&text.0).into_owned()
}

/// Whether a reader is told for whom an event is: subscribers are, sessions are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    Told,
    Untold,
}

fn write_notification(text: &mut Text, event: &Told<'_>, whom: Whom) {
    text.raw(r#"{"type":"telephony","subType":"#).string(event.sub_type().name());
    text.raw(r#","products":"#).list(event.products().iter().map(Product::as_str));
    if whom == Whom::Told {
        text.raw(r#","targets":{"negotiatorId":"#).list(event.targets().iter().map(NegotiatorId::as_str)).raw("}");
    }
    let Payload { id, created, caller_id, destination_id, hunt_group, answered_by_id } = event.payload();
    text.raw(r#","payload":{"#);
    if let Some(id) = id {
        text.raw(r#""id":"#).string(id).raw(",");
    }
    text.raw(r#""created":"#).string(&created.text);
    text.raw(r#","callerId":"#).string(caller_id);
    text.raw(r#","destinationId":"#).string(destination_id);
    if let Some(hunt_group) = hunt_group {
        text.raw(if *hunt_group { r#","huntGroup":true"# } else { r#","huntGroup":false"# });
    }
    if let Some(answered_by_id) = answered_by_id {
        text.raw(r#","answeredById":"#).string(answered_by_id.as_str());
    }
    text.raw("}}");
}

/// JSON as it is written, member by member: a serialiser took a seventh of the instructions of an event for this one message.
#[derive(Debug)]
struct Text(Vec<u8>);

impl Default for Text {
    fn default() -> Self {
        Self(Vec::with_capacity(512))
    }
}

impl Text {
    /// What is JSON already.
    fn raw(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }

    /// A string, with its quotes; most have nothing to escape.
    fn string(&mut self, text: &str) -> &mut Self {
        // Not `any`, which stops early and so goes byte by byte.
        let has_some = text.bytes().fold(false, |has, byte| has | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if has_some {
            self.0.extend(json::encode(&text).into_bytes());
        } else {
            self.raw("\"").raw(text).raw("\"");
        }
        self
    }

    fn list<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> &mut Self {
        self.raw("[");
        for (place, text) in texts.enumerate() {
            self.raw(if place == 0 { "" } else { "," }).string(text);
        }
        self.raw("]")
    }
}

#[cfg(test)]
mod tests;
