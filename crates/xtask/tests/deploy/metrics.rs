//! Which metrics the program has, read from where it registers them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Those that register metrics.
const CRATES: [&str; 4] = ["server", "sessions", "store", "webhooks"];

/// Each metric, with the names under which it is read.
pub(crate) fn registered() -> BTreeMap<String, Vec<String>> {
    let metrics: BTreeMap<_, _> =
        CRATES.into_iter().flat_map(|name| of_source(&source(&format!("{name}/src/metrics.rs")))).collect();
    // As many as there were when this was written, or more: less means that the source is no longer understood.
    assert!(metrics.len() >= 44, "{metrics:?}");
    metrics
}

/// A source file of the product, by its path below `crates`.
pub(crate) fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

fn of_source(source: &str) -> Vec<(String, Vec<String>)> {
    // As if each stood on a line of its own.
    let flat = source.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
    let parts: Vec<_> = flat.split("(registry, \"").collect();
    parts.windows(2).map(|pair| exposed(pair[0], pair[1].split('"').next().unwrap(), source)).collect()
}

/// `… field: seconds`, `(registry, "name` → the metric as it is exposed.
fn exposed(before: &str, name: &str, source: &str) -> (String, Vec<String>) {
    let mut words = before.rsplit([' ', ':']).filter(|word| !word.is_empty());
    let (made, field) = (words.next().unwrap(), words.next().unwrap());
    let unit = match made {
        "seconds" | "bytes" => Some(format!("_{made}")),
        _ => None,
    };
    let declared =
        source.lines().find_map(|line| line.trim().trim_start_matches("pub(crate) ").strip_prefix(&format!("{field}: ")));
    let kind = declared.unwrap().trim_end_matches([',', '>']).rsplit([' ', '<']).next().unwrap();
    let name = format!("bellwire_{name}{}", unit.unwrap_or_default());
    let endings: &[&str] = match kind {
        "Counter" => &["_total"],
        "Gauge" => &[""],
        // The one with exemplars is named by their labels.
        "Histogram" | "OfTrace" => &["_bucket", "_sum", "_count"],
        other => panic!("{name} is a {other}"),
    };
    let names = endings.iter().map(|ending| format!("{name}{ending}")).collect();
    (name, names)
}

/// The names in a text that look like metrics of ours.
pub(crate) fn named(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("bellwire_")).collect()
}
