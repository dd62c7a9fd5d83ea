//! Who may depend on whom, and which crate alone may use what; the table stands in `crates/README.md`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate, with the crates of this workspace that it may depend on.
const MAY_DEPEND_ON: [(&str, &[&str]); 12] = [
    ("clock", &[]),
    ("protocol", &[]),
    ("outbound", &[]),
    ("sessions", &["protocol", "clock"]),
    ("store", &["protocol"]),
    ("connectors", &["protocol"]),
    ("catalogues", &["protocol"]),
    ("webhooks", &["protocol", "clock", "store", "catalogues", "outbound"]),
    ("client", &["protocol", "outbound"]),
    ("server", &["protocol", "clock", "sessions", "store", "connectors", "webhooks", "client", "outbound"]),
    ("xtask", &["protocol", "client"]),
    ("bellwire-loadtest", &["protocol", "client"]),
];

/// Libraries that one crate, or two, alone may use.
const ONLY_USED_BY: [(&str, &[&str]); 17] = [
    ("dashmap", &["sessions"]),
    ("ahash", &["sessions"]),
    ("tokio-tungstenite", &["sessions", "client"]),
    ("rusqlite", &["store"]),
    ("jsonwebtoken", &["server", "bellwire-loadtest"]),
    ("tracing-subscriber", &["server"]),
    ("clap", &["server", "bellwire-loadtest"]),
    ("clap_complete", &["server"]),
    ("toml", &["server"]),
    ("httparse", &["server"]),
    ("hyper", &["outbound", "server", "client", "webhooks", "bellwire-loadtest"]),
    ("aws-lc-rs", &["webhooks"]),
    ("opentelemetry", &["server"]),
    ("hickory-resolver", &["webhooks"]),
    ("tokio-rustls", &["outbound", "server"]),
    ("webpki-roots", &["outbound"]),
    ("jsonschema", &["catalogues"]),
];

/// A normal dependency, and the features of it that are asked for.
struct Dependency {
    name: String,
    features: Vec<String>,
}

/// Crate → its normal dependencies.
fn dependencies() -> BTreeMap<String, Vec<Dependency>> {
    let output =
        Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--no-deps", "--locked"]).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let read = |dependency: &Value| {
        let features = dependency["features"].as_array().unwrap().iter().map(text).collect();
        Dependency { name: text(&dependency["name"]), features }
    };
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let normal = package["dependencies"].as_array().unwrap().iter().filter(|dependency| dependency["kind"].is_null());
        (text(&package["name"]), normal.map(read).collect())
    });
    packages.collect()
}

#[test]
fn crates_depend_only_on_those_below_them() {
    let dependencies = dependencies();
    let known: Vec<_> = MAY_DEPEND_ON.iter().map(|(name, _)| *name).collect();
    assert!(dependencies.keys().all(|name| known.contains(&name.as_str())), "a crate is missing in the table: {known:?}");
    for (name, allowed) in MAY_DEPEND_ON {
        for Dependency { name: dependency, .. } in &dependencies[name] {
            let is_allowed = !known.contains(&dependency.as_str()) || allowed.contains(&dependency.as_str());
            assert!(is_allowed, "{name} may not depend on {dependency}");
        }
    }
}

/// The rows of a table of the developers' page, below this head: the cells of each.
fn table(head: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let rows = page.split_once(head).unwrap().1.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn the_developers_page_has_the_same_tables() {
    let rows = table("| crate | what | may depend on | alone uses |");
    let written = |list: &str| list.split(", ").filter(|name| *name != "–").map(str::to_owned).collect::<Vec<_>>();
    // The fuzz targets are not of the workspace.
    let of_page = rows.iter().filter(|row| row[1] != "fuzz").map(|row| (row[1].clone(), written(&row[3])));
    let of_test = MAY_DEPEND_ON.iter().map(|(name, allowed)| {
        let allowed: Vec<_> = allowed.iter().map(|name| (*name).to_owned()).collect();
        ((*name).to_owned(), allowed)
    });
    assert_eq!(of_page.collect::<BTreeMap<_, _>>(), of_test.collect());
    let rooms = table("| room | duty |").into_iter().flat_map(|row| written(&row[1]));
    assert_eq!(rooms.collect::<Vec<_>>(), ROOMS);
}

#[test]
fn heavy_libraries_stay_where_they_belong() {
    for (name, dependencies) in dependencies() {
        for (library, allowed) in ONLY_USED_BY {
            let uses = dependencies.iter().any(|dependency| dependency.name == library);
            assert!(!uses || allowed.contains(&name.as_str()), "{name} may not use {library}");
        }
    }
}

#[test]
fn outbound_alone_asks_others_by_http() {
    for (name, dependencies) in dependencies() {
        let asks = |of: &Dependency| of.name == "hyper" && of.features.iter().any(|feature| feature == "client");
        assert_eq!(dependencies.iter().any(asks), name == "outbound", "{name}");
    }
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    for (name, _) in MAY_DEPEND_ON {
        let folder = if name == "bellwire-loadtest" { "../loadtest" } else { name };
        let manifest = std::fs::read_to_string(format!("{}/../{folder}/Cargo.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name}");
    }
}

/// All source files below `folder`, but tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    all.filter(|path| path.components().all(|part| !part.as_os_str().to_string_lossy().starts_with("tests"))).collect()
}

/// The floor of the store on which a file is.
fn floor(file: &Path) -> &'static str {
    let first = file.components().next().unwrap().as_os_str().to_string_lossy();
    match first.trim_end_matches(".rs") {
        "lib" => "root",
        "front" => "front",
        "sqlite" => "sqlite",
        _ => "types",
    }
}

#[test]
fn the_store_names_its_database_below_one_folder_and_its_floors_from_above() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../store/src").canonicalize().unwrap();
    let files = sources(&root);
    assert!(files.len() > 30, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let file = file.strip_prefix(&root).unwrap();
        let mut forbidden = match floor(file) {
            "root" => vec![],
            "front" | "sqlite" => vec!["crate::Store", "crate::front"],
            _ => vec!["crate::Store", "crate::front", "crate::sqlite"],
        };
        forbidden.extend((floor(file) != "sqlite").then_some("rusqlite"));
        let found: Vec<_> = forbidden.into_iter().filter(|name| text.contains(name)).collect();
        assert!(found.is_empty(), "{} may not name {found:?}", file.display());
    }
}

/// The rooms of the server in the order of `lib.rs`: each may name those above it, and none below.
const ROOMS: [&str; 25] = [
    "config",
    "metrics",
    "causes",
    "limits",
    "slots",
    "auth",
    "speaker",
    "idempotency",
    "documents",
    "directories",
    "connectors",
    "node",
    "memo",
    "net",
    "telemetry",
    "tell",
    "dispatch",
    "post",
    "callbacks",
    "handover",
    "api",
    "ops",
    "workers",
    "app",
    "stopped",
];

/// What a file names of its own crate: the first segment behind each `crate::`.
fn rooms_named(text: &str) -> Vec<&str> {
    // Tests may reach up.
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut named = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').map(|list| list.split('}').next().unwrap());
        let paths = list.map_or_else(|| vec![rest], |list| list.split(',').collect());
        named.extend(paths.into_iter().map(|path| path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()));
    }
    named.retain(|name| !name.is_empty());
    named
}

#[test]
fn rooms_of_the_server_name_only_those_above_them() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../server/src").canonicalize().unwrap();
    let lib = std::fs::read_to_string(root.join("lib.rs")).unwrap();
    let listed = lib.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.split(';').next());
    assert_eq!(listed.filter(|room| *room != "fuzzing").collect::<Vec<_>>(), ROOMS, "lib.rs has the same order");
    let files = sources(&root);
    assert!(files.len() > 80, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let file = file.strip_prefix(&root).unwrap();
        let first = file.components().next().unwrap().as_os_str().to_string_lossy();
        let Some(place) = ROOMS.iter().position(|room| *room == first.trim_end_matches(".rs")) else { continue };
        let above = &ROOMS[..=place];
        // Out of a room by `super` nobody sees where to.
        let depth = file.components().count();
        assert!(!text.contains(&vec!["super"; depth + 1].join("::")), "{} leaves its room by super", file.display());
        let wrong: Vec<_> = rooms_named(&text).into_iter().filter(|room| !above.contains(room)).collect();
        assert!(wrong.is_empty(), "{} may not name {wrong:?}", file.display());
    }
}
