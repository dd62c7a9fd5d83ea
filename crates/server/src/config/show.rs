//! The effective configuration for people and for programs: each value with where it came from, secrets masked.

use std::fmt::Write;

use serde_json::{Value as Json, json};
use toml::Value;

use super::origin::Origin;

/// What stands for a secret.
const MASK: &str = "***";
/// How keys end whose values are secrets. Those of files (`_file`) are paths: what is in the file is never shown.
const SECRETS: [&str; 4] = ["secret", "password", "token", "_key"];
/// Where the comment with the origin begins.
const COLUMN: usize = 56;

/// One value, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownSetting {
    /// Its key: `http.listen`, `auth.issuers[0].issuer`.
    pub key: String,
    /// The value; a secret's is masked.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

impl ShownSetting {
    pub(super) fn new(key: String, value: &Value, origin: Origin) -> Self {
        let value = masked(&key, value);
        Self { key, value, origin }
    }

    /// As programs read it.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut shown = self.origin.json();
        if let Json::Object(shown) = &mut shown {
            shown.insert("key".to_owned(), json!(self.key));
            shown.insert("value".to_owned(), json!(self.value));
        }
        shown
    }
}

fn masked(key: &str, value: &Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.iter().map(|value| masked(key, value)).collect()),
        Value::String(text) if SECRETS.iter().any(|end| key.ends_with(end)) && !text.is_empty() => Value::from(MASK),
        Value::String(text) => Value::String(without_userinfo(text)),
        other => other.clone(),
    }
}

/// A URL can hold a password (RFC 3986 §3.2.1).
fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{MASK}@{host}{path}"),
        None => text.to_owned(),
    }
}

/// Writes settings as a configuration file, with the origin of each behind it. What is no key of the file is a comment.
#[must_use]
pub fn written(settings: &[ShownSetting]) -> String {
    let mut text = String::new();
    let mut section = "";
    for ShownSetting { key, value, origin } in settings {
        let (of, name) = key.rsplit_once('.').unwrap_or(("", key));
        if of != section {
            section = of;
            match of.split_once('[') {
                Some((list, _)) => drop(writeln!(text, "\n[[{list}]]")),
                None => drop(writeln!(text, "\n[{of}]")),
            }
        }
        let line =
            if of.is_empty() && name.starts_with("--") { format!("# {name}: {value}") } else { format!("{name} = {value}") };
        let _infallible = writeln!(text, "{line:<COLUMN$} # {origin}");
    }
    text
}
