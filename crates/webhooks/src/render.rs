//! The bodies that profiles send. Made anew for each attempt; the order and the case of the members are part of the contract.

use std::io::Write;

use protocol::time;
use serde_json::value::RawValue;

use crate::event::Event;

/// What a body takes besides what the event brings, in bytes, about.
const ROOM: usize = 384;

/// Reapit's body: `SendAttempts` first, and the only member with a capital letter; all members always there.
#[must_use]
pub fn reapit(event: &Event<'_>, sends: u32) -> Vec<u8> {
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
    body.0
}

/// The body that Standard Webhooks advises: `type`, `timestamp`, `data`. In `data` stand the ids, then the versions of the entity or
/// what else there is to tell.
#[must_use]
pub fn standard(event: &Event<'_>, _sends: u32) -> Vec<u8> {
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
    match event.data.map(|data| data.get().trim()) {
        // An object: its members follow in their order.
        Some(told) => {
            let members = told.strip_prefix('{').unwrap_or("}");
            let comma = if members.trim_start() == "}" { "" } else { "," };
            body.put(format_args!("{comma}{members}"));
        }
        None => body.versions(event),
    }
    body.put(format_args!("}}"));
    body.0
}

/// A body that is being written.
struct Body(Vec<u8>);

impl Body {
    fn new(event: &Event<'_>) -> Self {
        let told = [event.new, event.old, event.diff, event.data];
        Self(Vec::with_capacity(ROOM + told.into_iter().flatten().map(|value| value.get().len()).sum::<usize>()))
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _infallible = self.0.write_fmt(text);
    }

    fn text(&mut self, text: &str) {
        let _infallible = serde_json::to_writer(&mut self.0, text);
    }

    /// The entity as it is, as it was, and what differs; the end of the object that they are part of.
    fn versions(&mut self, event: &Event<'_>) {
        let (new, old, diff) = (raw(event.new), raw(event.old), raw(event.diff));
        self.put(format_args!(r#","new":{new},"old":{old},"diff":{diff}}}"#));
    }
}

fn raw(value: Option<&RawValue>) -> &str {
    value.map_or("null", RawValue::get)
}
