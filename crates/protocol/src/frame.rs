//! `Event` → bytes, encoded once and shared by all who get it.
//!
//! Nothing in a frame belongs to one session or one negotiator: the bytes are the same for every recipient.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::authorise::Event;
use crate::envelope::Products;
use crate::id::{CustomerId, EventId, NegotiatorId, Product};
use crate::payload::{Payload, SubType};
use crate::time;

/// How long after it was taken an incomingCall can still be shown: telephones ring for 20 to 30 s.
pub const RING: SignedDuration = SignedDuration::from_secs(45);

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallState {
    /// It rings.
    Incoming,
    /// Somebody took it.
    Answered,
    /// It is over.
    Ended,
}

/// An `event` message, ready to be sent, with what must be known of it on its way.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// The event's id, which is also its cursor.
    pub id: EventId,
    /// When the broker took it.
    pub at: Timestamp,
    /// Not to be sent after this, where there is an end.
    pub expires: Option<Timestamp>,
    /// The products that are told.
    pub products: Products,
    /// The call that it is about: the provider's id, else the event's own.
    pub call_id: Box<str>,
    /// What it makes of the call.
    pub state: CallState,
    /// When it happened by the provider's clock.
    pub created: Timestamp,
    /// The text of the message; valid UTF-8.
    pub text: Bytes,
}

/// What a subscriber is told of an event: the envelope.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sub_type: SubType,
    products: &'a [Product],
    targets: Targets<'a>,
    payload: &'a Payload<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Targets<'a> {
    negotiator_id: &'a [NegotiatorId],
}

/// What a product is told of an event: the envelope without its targets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    sub_type: SubType,
    products: &'a [Product],
    payload: &'a Payload<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: EventId,
    call_id: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    customer_id: CustomerId,
    notification: Notification<'a>,
}

/// Writes the `event` message of a live event.
#[must_use]
pub fn encode(event: &Event<'_>) -> EncodedFrame {
    let (state, expires) = match event.sub_type() {
        SubType::IncomingCall => (CallState::Incoming, Some(event.at() + RING)),
        SubType::AnsweredCall => (CallState::Answered, None),
        SubType::EndedCall | SubType::MissedCall => (CallState::Ended, None),
    };
    let call_id = event.call_id();
    let message = EventMessage {
        kind: "event",
        id: event.id(),
        call_id: &call_id,
        at: time::millis(event.at()),
        expires: expires.map(time::millis),
        customer_id: event.customer(),
        notification: notification(event),
    };
    let text = Bytes::from(to_vec(&message));
    let (at, products, created) = (event.at(), event.products().clone(), event.created());
    EncodedFrame { id: event.id(), at, expires, products, call_id: call_id.into(), state, created, text }
}

/// Writes what is kept of a missed call: `{"type","subType","products","payload"}`.
#[must_use]
pub fn encode_notification(event: &Event<'_>) -> String {
    String::from_utf8_lossy(&to_vec(&notification(event))).into_owned()
}

/// Writes what subscribers are told of an event: `{"type","subType","products","targets","payload"}`.
#[must_use]
pub fn encode_told(event: &Event<'_>) -> String {
    let Notification { kind, sub_type, products, payload } = notification(event);
    let told = Told { kind, sub_type, products, targets: Targets { negotiator_id: event.targets() }, payload };
    String::from_utf8_lossy(&to_vec(&told)).into_owned()
}

fn notification<'a>(event: &'a Event<'a>) -> Notification<'a> {
    Notification { kind: "telephony", sub_type: event.sub_type(), products: event.products(), payload: event.payload() }
}

/// Writes a message as JSON.
pub(crate) fn to_vec(message: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    #[expect(clippy::expect_used, reason = "strings, booleans and times into memory: serde_json has nothing to fail at")]
    serde_json::to_writer(&mut text, message).expect("a message of strings is written to memory");
    text
}

#[cfg(test)]
mod tests;
