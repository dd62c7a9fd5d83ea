//! One table of values, laid over the defaults and read key by key; what is wrong is gathered, each with where it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::lines::{Lines, joined};
use super::origin::{ConfigFault, Origin};
use super::show::ShownSetting;

/// Keys of earlier versions, and what their users are to do instead.
const GONE: [(&str, &str); 1] = [(
    "telemetry.metrics_interval",
    "is gone, as metrics are no longer sent over OTLP: take the key away, and have the collector scrape /metrics at ops.listen",
)];

/// A configuration that is being read.
#[derive(Debug)]
pub(super) struct Reader {
    /// The values as they are compiled in.
    reference: Table,
    values: Table,
    /// Where the values came from that are not the reference's.
    origins: BTreeMap<String, Origin>,
    /// The lines of the file.
    lines: Lines,
    /// The keys of the reference, in its order.
    known: Vec<String>,
    /// The keys that were read.
    pub(super) asked: BTreeSet<String>,
    pub(super) faults: Vec<ConfigFault>,
}

impl Reader {
    pub(super) fn new(reference: Table, lines: &Lines) -> Self {
        let mut reader = Self {
            values: reference.clone(),
            reference,
            origins: BTreeMap::new(),
            lines: Lines::new(),
            known: Vec::new(),
            asked: BTreeSet::new(),
            faults: Vec::new(),
        };
        let is_value = |path: &&String| find(&reader.reference, path).is_some_and(|value| !value.is_table());
        let mut known: Vec<_> = lines.keys().filter(is_value).cloned().collect();
        known.sort_by_key(|path| lines.get(path).copied());
        reader.known = known;
        reader
    }

    /// Notes what is wrong with the value of a key.
    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.origin(key);
        self.faults.push(ConfigFault { key: key.to_owned(), message: message.into(), origin });
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
            let current = if key.contains('.') { None } else { find(&self.values, &path) };
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
            self.faults.push(ConfigFault { key: path, message, origin });
        }
    }

    fn set(&mut self, above: &str, key: String, value: Value) {
        let section =
            if above.is_empty() { Some(&mut self.values) } else { self.values.get_mut(above).and_then(Value::as_table_mut) };
        if let Some(section) = section {
            section.insert(key, value);
        }
    }

    /// Says that a key is gone, or that it is unknown and which known one is nearest.
    fn unknown(&self, above: &str, key: &str) -> String {
        let path = joined(above, key);
        if let Some((_, instead)) = GONE.iter().find(|(gone, _)| *gone == path) {
            return (*instead).to_owned();
        }
        let section = if above.is_empty() { Some(&self.values) } else { find(&self.values, above).and_then(Value::as_table) };
        let known = section.into_iter().flat_map(Table::keys);
        let near = known.map(|other| (strsim::osa_distance(&key.to_lowercase(), other), other));
        match near.filter(|(distance, other)| distance * 2 < other.len()).min() {
            Some((_, other)) => format!("is not known here; did you mean {other}?"),
            None => "is not known here".to_owned(),
        }
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

    /// Reads the value at `path`. Where it has a fault, that is noted and the reference's own value returned, so that all that is wrong
    /// is found in one go.
    pub(super) fn get<T>(&mut self, path: &str, read: impl Fn(&Value) -> Result<T, String>) -> T {
        self.asked.insert(path.to_owned());
        let message = match find(&self.values, path).map(&read) {
            Some(Ok(value)) => return value,
            Some(Err(message)) => message,
            None => "is missing".to_owned(),
        };
        self.fault(path, message);
        let default = find(&self.reference, path).and_then(|value| read(value).ok());
        #[expect(clippy::expect_used, reason = "it is compiled in, and a test reads all of it")]
        default.expect("the reference has a good value for every key")
    }

    /// Whether something is wrong with the value of a key or within it.
    pub(super) fn is_faulty(&self, key: &str) -> bool {
        self.faults.iter().any(|fault| fault.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('[')))
    }

    /// Notes that a key does not go with another, unless that has a fault of its own.
    pub(super) fn conflict(&mut self, key: &str, other: &str, message: impl Into<String>) {
        if !self.is_faulty(key) && !self.is_faulty(other) {
            self.fault(key, message);
        }
    }

    /// Reads `auth.issuers`, noting all the faults of each: the key within it, empty for the whole, and what is wrong. Those that have
    /// faults are left out.
    pub(super) fn issuers<T>(&mut self, read: impl Fn(&Table) -> Result<T, Vec<(String, String)>>) -> Vec<T> {
        let mut issuers = Vec::new();
        for (place, table) in self.get("auth.issuers", tables).iter().enumerate() {
            let path = format!("auth.issuers[{place}]");
            match read(table) {
                Ok(issuer) => issuers.push(issuer),
                Err(faults) => faults.into_iter().for_each(|(key, message)| {
                    self.fault(&if key.is_empty() { path.clone() } else { joined(&path, &key) }, message);
                }),
            }
        }
        issuers
    }

    /// All values as they hold, in the order of the reference.
    pub(super) fn settings(&self) -> Vec<ShownSetting> {
        self.known.iter().flat_map(|key| self.settings_of(key)).collect()
    }

    fn settings_of(&self, key: &str) -> Vec<ShownSetting> {
        let Some(value) = find(&self.values, key) else { return Vec::new() };
        let setting = |path: String, value: &Value| {
            let origin = self.origin(&path);
            ShownSetting::new(path, value, origin)
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

fn find<'a>(values: &'a Table, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let first = keys.next().and_then(|key| values.get(key));
    keys.fold(first, |value, key| value.and_then(|value| value.get(key)))
}

fn tables(value: &Value) -> Result<Vec<Table>, String> {
    let tables = value.as_array().and_then(|values| values.iter().map(|value| value.as_table().cloned()).collect());
    tables.ok_or_else(|| "must be written as [[auth.issuers]]".to_owned())
}
