//! What the pages name, held against the program: each command, path, setting, file and link is one that there is.

mod page; // a page, taken apart

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use self::page::{Page, words};
use crate::program::PROGRAM;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// What people read, one page for each kind of reader, and the pages behind that of integrators.
const PAGES: [&str; 10] = [
    "README.md",
    "protocol/README.md",
    "protocol/webhooks.md",
    "protocol/webhook-profiles.md",
    "protocol/connectors/apirtc.md",
    "protocol/connectors/avaya.md",
    "protocol/connectors/enreach.md",
    "deploy/README.md",
    "loadtest/README.md",
    "crates/README.md",
];
const OF_OPERATORS: &str = "deploy/README.md";
const OF_DEVELOPERS: &str = "crates/README.md";

/// Absolute paths that are not ours to answer.
const NOT_OF_THE_API: [&str; 6] = ["/etc/", "/usr/", "/var/", "/proc/", "/dev/", "/.well-known/"];
/// What looks like a setting and is none.
const NO_SETTINGS: [&str; 6] = ["webhooks.key", "geoloc.lat", "_parent.id", "welcome.cursor", "payload.id", "payload.created"];
/// What looks like a file of the repository and is none.
const NO_FILES: [&str; 3] = ["target/", "application/", "agencyCloud/"];

/// What can be asked at a path.
#[derive(Debug)]
struct Route {
    path: String,
    methods: Vec<String>,
}

static API: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let document: Value = serde_json::from_str(&read("protocol/openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let route = |(path, calls): (&String, &Value)| {
        let methods = calls.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
        Route { path: path.trim_end_matches('/').to_owned(), methods }
    };
    paths.map(route).collect()
});

/// Those of the operators' listener, as its table has them.
static OPS: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let source = read("crates/server/src/ops.rs");
    let rows = source.split("Route { path: \"").skip(1).map(|row| row.split("] }").next().unwrap());
    let methods = |row: &str| row.split('(').filter_map(|call| call.split_once(", |")).map(|(name, _)| name.to_owned()).collect();
    let routes: Vec<_> =
        rows.map(|row| Route { path: row.split('"').next().unwrap().to_owned(), methods: methods(row) }).collect();
    assert!(routes.len() > 20 && routes.iter().all(|route| !route.methods.is_empty()), "the table is no longer understood");
    routes
});

static SETTINGS: LazyLock<toml::Table> = LazyLock::new(|| read("deploy/bellwire.default.toml").parse().unwrap());

/// All files of the repository that people write, from its root on.
static FILES: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
    fn below(folder: &Path, files: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                below(&path, files);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    below(Path::new(ROOT), &mut files);
    files
});

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn pages() -> Vec<Page> {
    PAGES.into_iter().map(|name| Page::read(name, &read(name))).collect()
}

/// What each page names that `is_wrong`, which must be nothing.
fn check<'p>(pages: &'p [Page], named: impl Fn(&'p Page) -> Vec<String>, is_wrong: impl Fn(&Page, &str) -> bool) {
    let mut count = 0;
    let wrong = pages.iter().flat_map(|page| named(page).into_iter().map(move |name| (page, name)));
    let wrong: Vec<_> = wrong
        .inspect(|_| count += 1)
        .filter(|(page, name)| is_wrong(page, name))
        .map(|(page, name)| format!("{}: {name}", page.name))
        .collect();
    assert!(wrong.is_empty(), "there is no such thing:\n{}", wrong.join("\n"));
    assert!(count > 5, "the pages are no longer understood");
}

/// Whether the program understands a command line: `--help` behind it stops it before anything is done.
fn is_understood(arguments: &[String]) -> bool {
    let output = Command::new(PROGRAM).args(arguments).arg("--help").output().unwrap();
    output.status.success() && !output.stdout.is_empty()
}

#[test]
fn every_command_line_is_one_that_the_program_understands() {
    check(&pages(), |page| page.commands("bellwire"), |_, line| !is_understood(&words(line)));
}

/// All commands, without the groups that they are in, as `--help` lists them.
fn commands_below(group: &str) -> Vec<String> {
    let output = Command::new(PROGRAM).args(group.split_whitespace()).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let Some((_, listed)) = help.split_once("\nCommands:\n") else { return vec![group.trim().to_owned()] };
    let lines = listed.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| commands_below(&format!("{group} {name}"))).collect()
}

#[test]
fn the_page_for_operators_has_every_command_and_every_path_of_their_listener() {
    let page = Page::read(OF_OPERATORS, &read(OF_OPERATORS));
    let listed = page.commands("bellwire");
    let all = commands_below("");
    assert!(all.len() > 30, "{all:?}");
    let left_out: Vec<_> = all
        .into_iter()
        .filter(|command| !listed.iter().any(|line| *line == *command || line.starts_with(&format!("{command} "))))
        .collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    let is_named = |route: &Route, method: &str| {
        let is_of_method = |span: &str| request(span).is_some_and(|(methods, _)| methods.is_empty() || methods.contains(&method));
        page.spans.iter().any(|span| asks(span, route, true) && is_of_method(span))
    };
    let calls = OPS.iter().flat_map(|route| route.methods.iter().map(move |method| (route, method)));
    let left_out: Vec<_> = calls.filter(|(route, method)| !is_named(route, method)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}

/// The methods and the path of `GET PUT /things/{id}`.
fn request(text: &str) -> Option<(Vec<&str>, &str)> {
    let parts: Vec<_> = text.split(' ').collect();
    let (path, methods) = parts.split_last()?;
    let is_method = |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_path = path.starts_with('/') && *path != "//!" || path.starts_with("…/");
    let path = path.split(['?', '"']).next()?.trim_end_matches('/');
    (is_path && !path.is_empty() && methods.iter().all(is_method)).then(|| (methods.to_vec(), path))
}

/// Whether a text asks for this route. In prose ids are written as the route has them.
fn asks(text: &str, route: &Route, in_prose: bool) -> bool {
    let Some((methods, path)) = request(text) else { return false };
    let is_of_method = methods.iter().all(|method| route.methods.iter().any(|known| known == method));
    let is_segment = |(named, known): (&str, &str)| named == known || (known.starts_with('{') && !in_prose && !named.is_empty());
    let is_path = match path.strip_prefix('…') {
        Some(end) => route.path.ends_with(end),
        None => {
            path.split('/').count() == route.path.split('/').count() && path.split('/').zip(route.path.split('/')).all(is_segment)
        }
    };
    is_of_method && is_path
}

fn is_no_request(text: &str, in_prose: bool) -> bool {
    request(text).is_some_and(|(_, path)| !NOT_OF_THE_API.iter().any(|folder| format!("{path}/").starts_with(folder)))
        && !API.iter().chain(OPS.iter()).any(|route| asks(text, route, in_prose))
}

#[test]
fn every_path_is_one_of_the_api_or_of_the_operators_listener() {
    check(&pages(), |page| page.spans.clone(), |_, span| is_no_request(span, true));
    // A variable may stand for an id there.
    check(&pages(), |page| page.requests.clone(), |_, path| is_no_request(path, false));
}

/// Whether a dotted name is a setting.
fn is_setting(name: &str) -> bool {
    let found = name.split_once('.').map_or(SETTINGS.get(name), |(section, key)| SETTINGS.get(section)?.get(key));
    found.is_some_and(|value| !value.is_table())
}

/// Topics and scopes: they have dots as well.
static TOPICS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let catalogues = FILES.iter().filter(|path| path.ends_with("catalogue.json"));
    let read = |path: &PathBuf| serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap();
    let topics: Vec<_> = catalogues.flat_map(|path| read(path)["topics"].as_array().unwrap().clone()).collect();
    let named = topics.iter().flat_map(|topic| [topic["id"].as_str(), topic["scope"].as_str()]).flatten();
    named.map(str::to_owned).chain(["negotiators.read".to_owned()]).collect()
});

fn is_file_name(name: &str) -> bool {
    FILES.iter().any(|path| path.ends_with(name))
}

#[test]
fn every_setting_is_one_of_the_reference() {
    let dotted = |page: &Page| {
        let is_key = |part: &str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_dotted = |span: &&String| span.split('.').count() == 2 && span.split('.').all(is_key);
        let named: Vec<_> = page.spans.iter().filter(is_dotted).cloned().collect();
        [named, page.settings.clone()].concat()
    };
    let is_known = |name: &str| {
        let is_file = [".toml", ".sqlite", ".json", ".csv"].iter().any(|ending| name.ends_with(ending));
        is_setting(name) || is_file || is_file_name(name) || TOPICS.contains(name) || NO_SETTINGS.contains(&name)
    };
    check(&pages(), dotted, |_, name| !is_known(name));
}

/// Whether a path leads somewhere, from where its page is, from the root, or from the crates.
fn leads_somewhere(page: &Page, path: &str) -> bool {
    let root = Path::new(ROOT);
    let folder = root.join(page.name).parent().unwrap().to_owned();
    [folder, root.to_owned(), root.join("crates")].iter().any(|from| from.join(path).exists())
}

#[test]
fn every_file_that_is_named_is_there() {
    let named = |page: &Page| {
        let is_plain = |span: &&String| span.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
        let is_path = |span: &&String| span.contains('/') && span.starts_with(|c: char| c.is_ascii_lowercase());
        let is_name = |span: &&String| !span.contains('/') && [".rs", ".md"].iter().any(|ending| span.ends_with(ending));
        let spans = page.spans.iter().filter(is_plain).filter(|span| is_path(span) || is_name(span));
        spans.filter(|span| !NO_FILES.iter().any(|begin| span.starts_with(begin))).cloned().collect()
    };
    check(&pages(), named, |page, path| !leads_somewhere(page, path) && (path.contains('/') || !is_file_name(path)));
}

#[test]
fn every_link_leads_somewhere() {
    let headings: BTreeMap<_, _> = FILES
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.canonicalize().unwrap(), Page::read("", &fs::read_to_string(path).unwrap()).anchors))
        .collect();
    let is_broken = |page: &Page, link: &str| {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let own = Path::new(ROOT).join(page.name);
        let target = if path.is_empty() { own } else { own.parent().unwrap().join(path) };
        let Ok(target) = target.canonicalize() else { return true };
        !anchor.is_empty() && !headings.get(&target).is_some_and(|anchors| anchors.iter().any(|known| known == anchor))
    };
    check(&pages(), |page| page.links.clone(), is_broken);
}

#[test]
fn every_command_of_the_workspace_is_one_that_there_is() {
    let source = read("crates/xtask/src/main.rs");
    let is_of_xtask = |line: &str| line.split(' ').next().is_some_and(|name| source.contains(&format!("Some(\"{name}\")")));
    check(&pages(), |page| page.commands("cargo xtask"), |_, line| !is_of_xtask(line));
    let listed = Page::read(OF_DEVELOPERS, &read(OF_DEVELOPERS)).commands("cargo xtask");
    let all = source.split("Some(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let left_out: Vec<_> = all.filter(|name| !listed.iter().any(|line| line.split(' ').next() == Some(name))).collect();
    assert!(left_out.is_empty(), "{left_out:?}");

    let sources = ["loadtest/src/main.rs", "loadtest/src/bench/args.rs"].map(read).concat();
    let is_of_loadtest = |line: &str| {
        let name: String = line.split([' ', '-']).next().unwrap().chars().enumerate().fold(String::new(), |name, (place, c)| {
            name + &if place == 0 { c.to_uppercase().to_string() } else { c.to_string() }
        });
        sources.contains(&format!("    {name}("))
    };
    check(&pages(), |page| page.commands("bellwire-loadtest"), |_, line| !is_of_loadtest(line));

    let packages = |page: &Page| [page.commands("cargo test -p"), page.commands("cargo test --package")].concat();
    let is_package = |line: &str| {
        let name = line.split(' ').next().unwrap();
        name == "CRATE" || Path::new(ROOT).join("crates").join(name).join("Cargo.toml").exists()
    };
    check(&pages(), packages, |_, line| !is_package(line));
}

#[test]
fn what_the_package_brings_is_there() {
    let source = read("crates/xtask/src/dist.rs");
    let files = source.split("    (\"").skip(1).map(|row| row.split('"').next().unwrap()).filter(|path| path.contains('.'));
    let missing: Vec<_> = files.filter(|path| !Path::new(ROOT).join(path).exists()).collect();
    assert!(missing.is_empty() && source.contains("(\"deploy/README.md\", "), "{missing:?}");
}
