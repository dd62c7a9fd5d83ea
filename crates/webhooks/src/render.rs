//! The bodies that profiles send. Made anew for each attempt; the order and the case of the members are part of the contract.

use std::borrow::Cow;
use std::io::Write;

use protocol::time;
use serde_json::value::RawValue;

use crate::event::TopicEvent;

/// What a body takes besides what the event brings, in bytes, about.
const ROOM: usize = 384;

/// Reapit's body: `SendAttempts` first, and the only member with a capital letter; all members always there.
#[must_use]
pub fn reapit(event: &TopicEvent<'_>, sends: u32) -> Vec<u8> {
    let mut body = Body::new(event);
    body.put(format_args!(r#"{{"SendAttempts":{sends},"eventId":"#));
    body.text(&event.change);
    body.put(format_args!(r#","entityId":"#));
    match event.entity.as_deref() {
        Some(entity) => body.text(entity),
        None => body.put(format_args!("null")),
    }
    body.put(format_args!(r#","customerId":"#));
    body.text(event.customer.as_str());
    body.put(format_args!(r#","eventTime":"{:.7}","topicId":"#, event.time));
    body.text(&event.topic);
    body.versions(event);
    body.put(format_args!("}}"));
    body.0
}

/// The body that Standard Webhooks advises: `type`, `timestamp`, `data`. In `data` stand the ids, then the versions of the entity or
/// what else there is to tell.
#[must_use]
pub fn standard(event: &TopicEvent<'_>, _sends: u32) -> Vec<u8> {
    let mut body = Body::new(event);
    body.put(format_args!(r#"{{"type":"#));
    body.text(&event.topic);
    body.put(format_args!(r#","timestamp":"{}","data":{{"eventId":"#, time::millis(event.time)));
    body.text(&event.change);
    body.put(format_args!(r#","customerId":"#));
    body.text(event.customer.as_str());
    if let Some(entity) = event.entity.as_deref() {
        body.put(format_args!(r#","entityId":"#));
        body.text(entity);
    }
    match event.data {
        Some(_) => body.members(event.data),
        None => body.versions(event),
    }
    body.put(format_args!("}}}}"));
    body.0
}

/// ApiRTC's body. The id of a conversation is a text, the others are numbers.
#[must_use]
pub fn apirtc(event: &TopicEvent<'_>, _sends: u32) -> Vec<u8> {
    let (object, name) = event.topic.split_once('.').unwrap_or((&event.topic, ""));
    let entity = event.entity.as_deref().unwrap_or_default();
    let mut body = Body::new(event);
    body.put(format_args!(r#"{{"event":"#));
    body.text(name);
    body.put(format_args!(r#","time":{},"object":"#, event.time.as_second()));
    body.text(object);
    body.put(format_args!(r#","objectId":"#));
    match object {
        "conversation" => body.text(entity),
        _ => body.put(format_args!("{entity}")),
    }
    body.put(format_args!(r#","props":{}}}"#, event.data.map_or("{}", RawValue::get)));
    body.0
}

/// Avaya's body: type and time, then what was reported.
#[must_use]
pub fn avaya(event: &TopicEvent<'_>, _sends: u32) -> Vec<u8> {
    let mut body = Body::new(event);
    body.put(format_args!(r#"{{"eventType":"#));
    body.text(&event.topic);
    body.put(format_args!(r#","eventDate":"{}""#, time::millis(event.time)));
    body.members(event.data);
    body.put(format_args!("}}"));
    body.0
}

/// Enreach's body: the organization and the entity, what was reported, then id and time. The time has no zone and is UTC.
#[must_use]
pub fn enreach(event: &TopicEvent<'_>, _sends: u32) -> Vec<u8> {
    let organization = event.data.and_then(|data| serde_json::from_str::<Organization<'_>>(data.get()).ok());
    let organization = organization.map(|organization| organization.id).unwrap_or_default();
    let at = format!("{:.7}", event.time);
    let at = at.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    let mut body = Body::new(event);
    body.put(format_args!(r#"{{"RootEntityType":"Organization","RootEntityId":"#));
    body.text(&organization);
    body.put(format_args!(r#","EventType":"#));
    body.text(&event.topic);
    body.put(format_args!(r#","EntityType":"{}","EntityId":"#, entity_type(&event.topic)));
    body.text(event.entity.as_deref().unwrap_or_default());
    body.members(event.data);
    body.put(format_args!(r#","Id":"#));
    body.text(&event.id);
    body.put(format_args!(r#","Timestamp":"{at}"}}"#));
    body.0
}

#[derive(serde::Deserialize)]
struct Organization<'a> {
    #[serde(rename = "OrganizationId", borrow)]
    id: Cow<'a, str>,
}

/// What an Enreach event is about, by the begin of its name; `Undefined` for types that are yet to come.
fn entity_type(topic: &str) -> &'static str {
    let types = [("User", "User"), ("Queue", "Queue"), ("Callback", "CallList")];
    types.iter().find(|(begin, _)| topic.starts_with(begin)).map_or("Undefined", |(_, entity)| entity)
}

/// A body that is being written.
struct Body(Vec<u8>);

impl Body {
    fn new(event: &TopicEvent<'_>) -> Self {
        let told = [event.new, event.old, event.diff, event.data];
        Self(Vec::with_capacity(ROOM + told.into_iter().flatten().map(|value| value.get().len()).sum::<usize>()))
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _infallible = self.0.write_fmt(text);
    }

    fn text(&mut self, text: &str) {
        let _infallible = serde_json::to_writer(&mut self.0, text);
    }

    /// The members of an object, in their order, behind others.
    fn members(&mut self, object: Option<&RawValue>) {
        let inner = object.and_then(|object| object.get().trim().strip_prefix('{')?.strip_suffix('}')).unwrap_or_default();
        if !inner.trim().is_empty() {
            self.put(format_args!(",{inner}"));
        }
    }

    /// The entity as it is, as it was, and what differs.
    fn versions(&mut self, event: &TopicEvent<'_>) {
        let (new, old, diff) = (raw(event.new), raw(event.old), raw(event.diff));
        self.put(format_args!(r#","new":{new},"old":{old},"diff":{diff}"#));
    }
}

fn raw(value: Option<&RawValue>) -> &str {
    value.map_or("null", RawValue::get)
}
