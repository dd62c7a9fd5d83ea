//! One table of values, laid over the defaults and read key by key; what is wrong is gathered.

use std::str::FromStr;
use std::time::Duration;

use protocol::id::Product;
use toml::{Table, Value};

/// A configuration that is being read.
#[derive(Debug)]
pub(super) struct Reader {
    values: Table,
    pub(super) faults: Vec<String>,
}

impl Reader {
    pub(super) fn new(defaults: Table) -> Self {
        Self { values: defaults, faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// Replaces values by those of `table`; a key that has no default is a fault. `source` says where the table comes from.
    pub(super) fn lay_over(&mut self, table: Table, source: &str) {
        lay_over(&mut self.values, table, "", source, &mut self.faults);
    }

    /// Reads the value at `path`. A fault is noted and gives `None`.
    pub(super) fn get<T>(&mut self, path: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let mut keys = path.split('.');
        let first = keys.next().and_then(|key| self.values.get(key));
        let value = keys.fold(first, |value, key| value.and_then(|value| value.get(key)));
        let result = value.map_or_else(|| Err("is missing".to_owned()), read);
        result.map_err(|fault| self.faults.push(format!("{path}: {fault}"))).ok()
    }

    /// Reads `auth.issuers`, noting the faults of each.
    pub(super) fn issuers<T>(&mut self, read: impl Fn(&Table) -> Result<T, String>) -> Option<Vec<T>> {
        let tables = self.get("auth.issuers", tables)?;
        let mut issuers = Vec::new();
        for (place, table) in tables.iter().enumerate() {
            match read(table) {
                Ok(issuer) => issuers.push(issuer),
                Err(fault) => self.faults.push(format!("auth.issuers[{place}]: {fault}")),
            }
        }
        Some(issuers)
    }
}

fn tables(value: &Value) -> Result<Vec<Table>, String> {
    let tables = value.as_array().and_then(|values| values.iter().map(|value| value.as_table().cloned()).collect());
    tables.ok_or_else(|| "must be written as [[auth.issuers]]".to_owned())
}

fn lay_over(values: &mut Table, table: Table, path: &str, source: &str, faults: &mut Vec<String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (values.get_mut(&key), value) {
            (None, _) => faults.push(format!("{path}: is not known ({source})")),
            (Some(Value::Table(inner)), Value::Table(table)) => lay_over(inner, table, &path, source, faults),
            (Some(Value::Table(_)), _) => faults.push(format!("{path}: is a section, not a value ({source})")),
            (Some(current), value) => *current = value,
        }
    }
}

pub(super) fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("must be a string, got {value}"))
}

pub(super) fn strings(value: &Value) -> Result<Vec<String>, String> {
    let values = value.as_array().ok_or_else(|| format!("must be a list, got {value}"))?;
    values.iter().map(text).collect()
}

pub(super) fn products(value: &Value) -> Result<Vec<Product>, String> {
    let products = strings(value)?.iter().map(|name| Product::parse(name).map_err(|error| format!("{name:?} {error}"))).collect();
    match products {
        Ok(products) if Vec::is_empty(&products) => Err("must name at least one product".to_owned()),
        products => products,
    }
}

pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(value: &Value) -> Result<T, String> {
    let text = text(value)?;
    text.parse().map_err(|error| format!("{error}, got {text:?}"))
}

/// A list of texts, each read for itself.
pub(super) fn parsed_list<T: FromStr<Err: std::fmt::Display>>(value: &Value) -> Result<Vec<T>, String> {
    let texts = strings(value)?;
    texts.iter().map(|text| text.parse().map_err(|error| format!("{error}, got {text:?}"))).collect()
}

/// A list of ports.
pub(super) fn ports(value: &Value) -> Result<Vec<u16>, String> {
    let values = value.as_array().ok_or_else(|| format!("must be a list of ports, got {value}"))?;
    let port = |value: &Value| value.as_integer().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    values.iter().map(|value| port(value).ok_or_else(|| format!("must hold ports, 1 to 65535, got {value}"))).collect()
}

pub(super) fn duration(value: &Value) -> Result<Duration, String> {
    let text = text(value).map_err(|_not_text| format!("must be a duration such as \"5s\", got {value}"))?;
    humantime::parse_duration(&text).map_err(|error| format!("must be a duration such as \"5s\", got {text:?} ({error})"))
}

/// A duration that limits something: zero means none.
pub(super) fn limit(value: &Value) -> Result<Duration, String> {
    const NONE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    duration(value).map(|limit| if limit.is_zero() { NONE } else { limit })
}

pub(super) fn bytes(value: &Value) -> Result<usize, String> {
    let text = text(value).map_err(|_not_text| format!("must be a size such as \"64KiB\", got {value}"))?;
    let size: bytesize::ByteSize =
        text.parse().map_err(|error| format!("must be a size such as \"64KiB\", got {text:?} ({error})"))?;
    usize::try_from(size.as_u64()).map_err(|_too_large| format!("is too large: {text}"))
}

pub(super) fn count(value: &Value) -> Result<usize, String> {
    value
        .as_integer()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| format!("must be a number from 0 on, got {value}"))
}

pub(super) fn positive(value: &Value) -> Result<usize, String> {
    count(value).ok().filter(|count| *count > 0).ok_or_else(|| format!("must be a number from 1 on, got {value}"))
}

pub(super) fn small(value: &Value) -> Result<u32, String> {
    u32::try_from(count(value)?).map_err(|_too_large| format!("must be at most {}, got {value}", u32::MAX))
}

pub(super) fn count_or_auto(value: &Value) -> Result<Option<usize>, String> {
    match value.as_str() {
        Some("auto") => Ok(None),
        Some(_) => Err(format!("must be a number or \"auto\", got {value}")),
        None => count(value).map(Some),
    }
}
