//! A TOML text: its values, and the line that each stands on.

use std::collections::BTreeMap;

use toml::Table;
use toml::de::{DeTable, DeValue};

/// The line of each key and of each member of a list, by its path: `auth.issuers[0].issuer`.
pub(super) type Lines = BTreeMap<String, usize>;

/// Reads a text, or says what is wrong with it, line by line.
pub(super) fn read(text: &str) -> Result<(Table, Lines), Vec<(usize, String)>> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let faults = |errors: &[toml::de::Error]| errors.iter().map(|error| fault(text, error)).collect();
    if !errors.is_empty() {
        return Err(faults(&errors));
    }
    let values = text.parse().map_err(|error| faults(&[error]))?;
    let mut lines = Lines::new();
    walk(tree.get_ref(), "", text, &mut lines);
    Ok((values, lines))
}

fn fault(text: &str, error: &toml::de::Error) -> (usize, String) {
    (line_at(text, error.span().map_or(0, |span| span.start)), error.message().to_owned())
}

fn walk(table: &DeTable<'_>, path: &str, text: &str, lines: &mut Lines) {
    for (key, value) in table {
        let path = joined(path, key.get_ref());
        lines.insert(path.clone(), line_at(text, key.span().start));
        descend(value.get_ref(), &path, text, lines);
    }
}

fn descend(value: &DeValue<'_>, path: &str, text: &str, lines: &mut Lines) {
    match value {
        DeValue::Table(table) => walk(table, path, text, lines),
        DeValue::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                let path = format!("{path}[{place}]");
                lines.insert(path.clone(), line_at(text, value.span().start));
                descend(value.get_ref(), &path, text, lines);
            }
        }
        _ => {}
    }
}

/// A key below a path.
pub(super) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn line_at(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}
