//! Subscriptions as vendors' own contracts ask for them: a vendor's words → a [`Wish`](crate::subscription::Wish), or what is wrong
//! with them. Pure.

pub mod apirtc; // one hook of a company
pub mod avaya; // subscriptions of an account
pub mod enreach; // the configuration that its support would load

use std::fmt;

use protocol::fault::{Faults, Malformed, shown};
use protocol::json::{self, Json, Unreadable};
use serde_json::Value;

use crate::profile::Profile;
use crate::subscription::{Asker, url_fault};

/// Reads a document; members that are given twice are faults already.
///
/// # Errors
/// [`Malformed::Unreadable`].
fn document(body: &[u8]) -> Result<(Value, Faults), Malformed> {
    let mut faults = Faults::default();
    check_repeats(&json::read(body)?, "", &mut faults);
    let value = serde_json::from_slice(body).map_err(Unreadable::from)?;
    Ok((value, faults))
}

fn check_repeats(json: &Json<'_>, path: &str, faults: &mut Faults) {
    match json {
        Json::Object(members) => {
            for (place, (name, value)) in members.iter().enumerate() {
                let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                if members.iter().take(place).any(|(other, _)| other == name) {
                    faults.add(&path, "is given more than once");
                }
                check_repeats(value, &path, faults);
            }
        }
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| check_repeats(item, &format!("{path}[{place}]"), faults));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// What stands at a place of a document; null where nothing does.
fn of(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or_default()
}

/// A part of a document, and where it stands.
struct Part<'v> {
    value: &'v Value,
    path: String,
}

impl<'v> Part<'v> {
    fn whole(value: &'v Value) -> Self {
        Self { value, path: String::new() }
    }

    /// What stands there; nothing where it is null.
    fn given(&self) -> Option<&'v Value> {
        Some(self.value).filter(|value| !value.is_null())
    }

    fn member(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { value: self.value.get(name).unwrap_or(&Value::Null), path: format!("{}{dot}{name}", self.path) }
    }

    fn items(&self) -> impl Iterator<Item = Part<'v>> {
        let list = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().enumerate().map(|(place, value)| Part { value, path: format!("{}[{place}]", self.path) })
    }

    fn fault(&self, faults: &mut Faults, message: impl fmt::Display) {
        let path = if self.path.is_empty() { "$" } else { &self.path };
        faults.add(path, message.to_string());
    }

    /// Refuses members that are not known here. Returns whether it is an object.
    fn knows(&self, known: &[&str], faults: &mut Faults) -> bool {
        let Some(members) = self.value.as_object() else {
            self.fault(faults, "must be an object");
            return false;
        };
        for name in members.keys().filter(|name| !known.contains(&name.as_str())) {
            self.member(name).fault(faults, format_args!("is not known; known are {}", known.join(", ")));
        }
        true
    }

    fn text(&self, faults: &mut Faults) -> Option<&'v str> {
        let value = self.given()?;
        if value.as_str().is_none() {
            self.fault(faults, format_args!("must be a string, got {}", shown(&value.to_string())));
        }
        value.as_str()
    }

    fn flag(&self, faults: &mut Faults) -> Option<bool> {
        let value = self.given()?;
        if value.as_bool().is_none() {
            self.fault(faults, format_args!("must be true or false, got {}", shown(&value.to_string())));
        }
        value.as_bool()
    }

    /// A URL that may be called back.
    fn url(&self, profile: &Profile, asker: &Asker<'_>, faults: &mut Faults) -> Option<&'v str> {
        if self.value.is_array() {
            self.fault(faults, "must be one URL, got a list");
            return None;
        }
        let text = self.text(faults)?;
        if let Some(fault) = url_fault(text, profile, asker) {
            self.fault(faults, fault);
            return None;
        }
        Some(text)
    }
}
