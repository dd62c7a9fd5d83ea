//! One table of values, laid over the defaults and read key by key; what is wrong is gathered, each with where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use protocol::id::Product;
use toml::{Table, Value};

use super::lines::{Lines, joined};
use super::origin::{Fault, Origin};
use super::show::Setting;

/// A hundred years, which stand for no limit as well.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A configuration that is being read.
#[derive(Debug)]
pub(super) struct Reader {
    values: Table,
    /// Where the values came from that are not the reference's.
    origins: BTreeMap<String, Origin>,
    /// The lines of the file.
    lines: Lines,
    /// The keys of the reference, in its order.
    known: Vec<String>,
    /// The keys that were read.
    pub(super) asked: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
}

impl Reader {
    pub(super) fn new(reference: Table, lines: &Lines) -> Self {
        let mut reader = Self {
            values: reference,
            origins: BTreeMap::new(),
            lines: Lines::new(),
            known: Vec::new(),
            asked: BTreeSet::new(),
            faults: Vec::new(),
        };
        let is_value = |path: &&String| reader.find(path).is_some_and(|value| !value.is_table());
        let mut known: Vec<_> = lines.keys().filter(is_value).cloned().collect();
        known.sort_by_key(|path| lines.get(path).copied());
        reader.known = known;
        reader
    }

    /// Notes what is wrong with the value of a key.
    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.origin(key);
        self.faults.push(Fault { key: key.to_owned(), message: message.into(), origin });
    }

    /// Replaces values by those of a file.
    pub(super) fn lay_file_over(&mut self, table: Table, lines: Lines, file: &Path) {
        let line = |path: &str| lines.get(path).copied().unwrap_or(1);
        self.lay_over(table, &|path| Origin::File { path: file.to_owned(), line: line(path) });
        self.lines = lines;
    }

    /// Replaces values by those of `table`; a key that has no default is a fault. `origin` says where each comes from.
    pub(super) fn lay_over(&mut self, table: Table, origin: &dyn Fn(&str) -> Origin) {
        self.lay(table, "", origin);
    }

    fn lay(&mut self, table: Table, above: &str, origin: &dyn Fn(&str) -> Origin) {
        for (key, value) in table {
            let path = joined(above, &key);
            let current = if key.contains('.') { None } else { self.find(&path) };
            let message = match (current, value) {
                (None, _) => self.unknown(above, &key),
                (Some(Value::Table(_)), Value::Table(table)) => {
                    self.lay(table, &path, origin);
                    continue;
                }
                (Some(Value::Table(_)), _) => "is a section, not a value".to_owned(),
                (Some(_), value) => {
                    self.origins.insert(path.clone(), origin(&path));
                    self.set(above, key, value);
                    continue;
                }
            };
            let origin = origin(&path);
            self.faults.push(Fault { key: path, message, origin });
        }
    }

    fn set(&mut self, above: &str, key: String, value: Value) {
        let section =
            if above.is_empty() { Some(&mut self.values) } else { self.values.get_mut(above).and_then(Value::as_table_mut) };
        if let Some(section) = section {
            section.insert(key, value);
        }
    }

    /// Says that a key is unknown, and which known one is nearest.
    fn unknown(&self, above: &str, key: &str) -> String {
        let section = if above.is_empty() { Some(&self.values) } else { self.find(above).and_then(Value::as_table) };
        let known = section.into_iter().flat_map(Table::keys);
        let near = known.map(|other| (strsim::osa_distance(&key.to_lowercase(), other), other));
        match near.filter(|(distance, other)| distance * 2 < other.len()).min() {
            Some((_, other)) => format!("is not known here; did you mean {other}?"),
            None => "is not known here".to_owned(),
        }
    }

    fn find(&self, path: &str) -> Option<&Value> {
        let mut keys = path.split('.');
        let first = keys.next().and_then(|key| self.values.get(key));
        keys.fold(first, |value, key| value.and_then(|value| value.get(key)))
    }

    /// Where the value at `path` came from; what stands within a list has lines of its own.
    pub(super) fn origin(&self, path: &str) -> Origin {
        match self.origins.get(path.split('[').next().unwrap_or(path)) {
            Some(Origin::File { path: file, line }) => {
                Origin::File { path: file.clone(), line: self.lines.get(path).copied().unwrap_or(*line) }
            }
            Some(origin) => origin.clone(),
            None => Origin::Default,
        }
    }

    /// Reads the value at `path`. A fault is noted and gives `None`.
    pub(super) fn get<T>(&mut self, path: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        self.asked.insert(path.to_owned());
        let result = self.find(path).map_or_else(|| Err("is missing".to_owned()), read);
        result.map_err(|message| self.fault(path, message)).ok()
    }

    /// Reads `auth.issuers`, noting all the faults of each: the key within it, empty for the whole, and what is wrong.
    pub(super) fn issuers<T>(&mut self, read: impl Fn(&Table) -> Result<T, Vec<(String, String)>>) -> Option<Vec<T>> {
        let tables = self.get("auth.issuers", tables)?;
        let mut issuers = Vec::new();
        for (place, table) in tables.iter().enumerate() {
            let path = format!("auth.issuers[{place}]");
            match read(table) {
                Ok(issuer) => issuers.push(issuer),
                Err(faults) => faults.into_iter().for_each(|(key, message)| {
                    self.fault(&if key.is_empty() { path.clone() } else { joined(&path, &key) }, message);
                }),
            }
        }
        Some(issuers)
    }

    /// How many issuers are written down, faulty ones included.
    pub(super) fn issuers_given(&self) -> usize {
        self.find("auth.issuers").and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// All values as they hold, in the order of the reference.
    pub(super) fn settings(&self) -> Vec<Setting> {
        self.known.iter().flat_map(|key| self.settings_of(key)).collect()
    }

    fn settings_of(&self, key: &str) -> Vec<Setting> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let setting = |path: String, value: &Value| {
            let origin = self.origin(&path);
            Setting::new(path, value, origin)
        };
        match tables(value) {
            Ok(tables) if !tables.is_empty() => {
                let members = tables.iter().enumerate().flat_map(|(place, table)| {
                    table.iter().map(move |(member, value)| (format!("{key}[{place}].{member}"), value))
                });
                members.map(|(path, value)| setting(path, value)).collect()
            }
            Ok(_) | Err(_) => vec![setting(key.to_owned(), value)],
        }
    }
}

fn tables(value: &Value) -> Result<Vec<Table>, String> {
    let tables = value.as_array().and_then(|values| values.iter().map(|value| value.as_table().cloned()).collect());
    tables.ok_or_else(|| "must be written as [[auth.issuers]]".to_owned())
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
    let duration =
        humantime::parse_duration(&text).map_err(|error| format!("must be a duration such as \"5s\", got {text:?} ({error})"))?;
    // Times are added to: what no clock reaches must not overflow either.
    if duration > LONGEST { Err(format!("must be at most 100 years, got {text:?}")) } else { Ok(duration) }
}

/// A duration that limits something: zero means none.
pub(super) fn limit(value: &Value) -> Result<Duration, String> {
    duration(value).map(|limit| if limit.is_zero() { LONGEST } else { limit })
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
