//! The bodies that profiles send. Made anew for each attempt; the order and the case of the members are part of the contract.

use std::fmt::Write;

use protocol::time;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event::Event;

/// Reapit's body: `SendAttempts` first, and the only member with a capital letter; all members always there.
#[must_use]
pub fn reapit(event: &Event<'_>, sends: u32) -> Vec<u8> {
    let entity = event.entity.as_deref().map_or_else(|| "null".to_owned(), text);
    let (new, old, diff) = (raw(event.new), raw(event.old), raw(event.diff));
    format!(
        r#"{{"SendAttempts":{sends},"eventId":{},"entityId":{entity},"customerId":{},"eventTime":"{:.7}","topicId":{},"new":{new},"old":{old},"diff":{diff}}}"#,
        text(&event.change),
        text(event.customer.as_str()),
        event.time,
        text(&event.topic),
    )
    .into_bytes()
}

/// The body that Standard Webhooks advises: `type`, `timestamp`, `data`. In `data` stand the ids, then the versions of the entity or
/// what else there is to tell.
#[must_use]
pub fn standard(event: &Event<'_>, _sends: u32) -> Vec<u8> {
    let mut data = format!(r#"{{"eventId":{},"customerId":{}"#, text(&event.change), text(event.customer.as_str()));
    if let Some(entity) = event.entity.as_deref() {
        let _infallible = write!(data, r#","entityId":{}"#, text(entity));
    }
    match event.data.map(|data| data.get().trim()) {
        // An object: its members follow in their order.
        Some(told) => {
            let members = told.strip_prefix('{').unwrap_or("}");
            let comma = if members.trim_start() == "}" { "" } else { "," };
            let _infallible = write!(data, "{comma}{members}");
        }
        None => {
            let (new, old, diff) = (raw(event.new), raw(event.old), raw(event.diff));
            let _infallible = write!(data, r#","new":{new},"old":{old},"diff":{diff}}}"#);
        }
    }
    let (topic, at) = (text(&event.topic), time::millis(event.time));
    format!(r#"{{"type":{topic},"timestamp":"{at}","data":{data}}}"#).into_bytes()
}

fn raw(value: Option<&RawValue>) -> &str {
    value.map_or("null", RawValue::get)
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}
