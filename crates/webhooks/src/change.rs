//! What changed between two versions of an entity, and which topics one change is. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Numbers of up to so many digits are told apart as doubles (IEEE 754 binary64).
const EXACT_DIGITS: usize = 15;

/// The members that change with every change.
const STAMPS: [&str; 2] = ["_eTag", "modified"];

/// Whether a [`diff`] names nothing but the stamps that change with every change.
#[must_use]
pub fn is_stamps_only(diff: &RawValue) -> bool {
    Members::of(diff).is_some_and(|members| members.names().all(|name| STAMPS.contains(&name)))
}

/// What differs: for each member `[old, new]`, objects within one another member by member, lists as a whole. Values stand as they
/// were written; a member that only one version has is `null` in the other. `None` unless both are objects.
#[must_use]
pub fn diff(old: &RawValue, new: &RawValue) -> Option<Box<RawValue>> {
    let (old, new) = (Members::of(old)?, Members::of(new)?);
    RawValue::from_string(differences(&old, &new)).ok()
}

fn differences(old: &Members<'_>, new: &Members<'_>) -> String {
    let gone = old.names().filter(|name| new.get(name).is_none());
    let mut text = String::from("{");
    for name in new.names().chain(gone) {
        let (before, after) = (old.get(name), new.get(name));
        let difference = match (before, after) {
            (Some(before), Some(after)) if is_same(before, after) => continue,
            (Some(before), Some(after)) => match (Members::of(before), Members::of(after)) {
                (Some(before), Some(after)) => differences(&before, &after),
                _ => pair(Some(before), Some(after)),
            },
            (before, after) => pair(before, after),
        };
        let comma = if text.len() > 1 { "," } else { "" };
        text.push_str(&format!("{comma}{}:{difference}", Value::from(name)));
    }
    text.push('}');
    text
}

fn pair(before: Option<&RawValue>, after: Option<&RawValue>) -> String {
    let text = |value: Option<&RawValue>| value.map_or("null", RawValue::get).to_owned();
    format!("[{},{}]", text(before), text(after))
}

/// Texts that differ can still say the same: `1.0` and `1`, or spaces.
fn is_same(one: &RawValue, other: &RawValue) -> bool {
    if one.get() == other.get() {
        return true;
    }
    if let (Some(one), Some(other)) = (Members::of(one), Members::of(other)) {
        let same = |name: &String| one.get(name).zip(other.get(name)).is_some_and(|(one, other)| is_same(one, other));
        return one.order.len() == other.order.len() && one.order.iter().all(same);
    }
    if let (Some(one), Some(other)) = (list(one), list(other)) {
        return one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other));
    }
    let read = |value: &RawValue| serde_json::from_str::<Value>(value.get()).ok();
    match (read(one), read(other)) {
        (Some(Value::Number(first)), Some(Value::Number(second))) => {
            // Beyond that, two numbers can be one double.
            let is_exact = |text: &str| text.bytes().filter(u8::is_ascii_digit).count() <= EXACT_DIGITS;
            is_exact(one.get()) && is_exact(other.get()) && first.as_f64() == second.as_f64()
        }
        (one, other) => one == other,
    }
}

fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The members of an object in their order; of a name that stands twice the last.
struct Members<'a> {
    order: Vec<String>,
    by_name: BTreeMap<String, &'a RawValue>,
}

impl<'a> Members<'a> {
    fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.by_name.get(name).copied()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members { order: Vec::new(), by_name: BTreeMap::new() };
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if members.by_name.insert(name.clone(), value).is_none() {
                members.order.push(name);
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests;
