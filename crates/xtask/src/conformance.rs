//! `cargo xtask conformance`: suites that others have written, against the real door.
//!
//! Schemathesis asks for what `protocol/openapi.yaml` publishes (`contract.rs`), Autobahn speaks WebSocket to sessions.
//!
//! The Autobahn suite is Python 2, so it needs an interpreter that no current system brings by itself; it is installed under
//! `target/conformance` and nowhere else.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::commands::succeed;
use crate::contract;

/// The suite and its version.
const SUITE: &str = "autobahntestsuite==0.8.2";
/// Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing, auto-fragmentation. Sections 9 (performance), 12 and 13
/// (compression, which sessions do not offer) are left out.
const SECTIONS: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
/// How many cases these sections have.
const CASES: usize = 247;
/// Invalid UTF-8 is found at the end of a frame, not within it.
const MAY_BE_NON_STRICT: [&str; 2] = ["6.4.3", "6.4.4"];

/// Runs the suite that is named, `api` or `sessions`, else both; says what failed.
pub(crate) fn run(only: Option<&str>) -> Result<(), String> {
    let folder = PathBuf::from("target/conformance");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    match only {
        Some("api") => contract::run(&folder),
        Some("sessions") => autobahn(&folder),
        Some(other) => Err(format!("there is no suite {other}; there are api and sessions")),
        None => contract::run(&folder).and_then(|()| autobahn(&folder)),
    }
}

fn autobahn(folder: &Path) -> Result<(), String> {
    let suite = install(folder)?;
    let node = Node::start()?;
    let reports = folder.join("reports");
    // What an earlier run left is not to be judged.
    if reports.exists() {
        fs::remove_dir_all(&reports).map_err(|error| format!("cannot remove {}: {error}", reports.display()))?;
    }
    let spec = json!({
        "outdir": reports,
        "servers": [{
            "agent": "bellwire", "url": format!("ws://{}/session", node.address),
            "protocols": ["bellwire.v1", format!("bellwire.token.{}", node.token)],
        }],
        "cases": SECTIONS, "exclude-cases": [], "exclude-agent-cases": {},
    });
    let spec_file = folder.join("fuzzingclient.json");
    fs::write(&spec_file, spec.to_string()).map_err(|error| format!("cannot write {}: {error}", spec_file.display()))?;
    suite.run(&spec_file)?;
    judge(&reports.join("index.json"))
}

struct Suite {
    python: String,
    packages: PathBuf,
}

impl Suite {
    fn run(&self, spec: &Path) -> Result<(), String> {
        let wstest = self.packages.join("bin/wstest");
        // Set for this command only: it would break any other Python.
        let mut command = Command::new(&self.python);
        command.env("PYTHONPATH", &self.packages).arg(wstest).args(["-m", "fuzzingclient", "-s"]).arg(spec);
        command.stdout(Stdio::null());
        succeed(&mut command)
    }
}

fn install(folder: &Path) -> Result<Suite, String> {
    let python = python()?;
    let packages = folder.join("autobahn");
    let complete = packages.join("complete");
    if !complete.exists() {
        let mut pip = Command::new(&python);
        succeed(pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&packages).arg(SUITE))?;
        // A namespace package that pip leaves without its mark.
        for mark in [packages.join("zope/__init__.py"), complete] {
            fs::write(&mark, "").map_err(|error| format!("cannot write {}: {error}", mark.display()))?;
        }
    }
    Ok(Suite { python, packages })
}

fn python() -> Result<String, String> {
    let search =
        r#"ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7 2>/dev/null | grep . || command -v python2.7"#;
    let found = Command::new("sh").args(["-c", search]).output().map_err(|error| format!("cannot run sh: {error}"))?;
    let path = String::from_utf8_lossy(&found.stdout).lines().last().unwrap_or_default().to_owned();
    if path.is_empty() { Err("python2.7 with pip is needed: pyenv install 2.7.18".to_owned()) } else { Ok(path) }
}

/// A node whose sessions say everything back; ended when dropped.
struct Node {
    process: Child,
    address: String,
    token: String,
}

impl Node {
    fn start() -> Result<Self, String> {
        let build = ["build", "--release", "--package", "server", "--example", "echo", "--features", "conformance", "--locked"];
        succeed(Command::new("cargo").args(build).args(["--target-dir", "target"]))?;
        let mut command = Command::new("target/release/examples/echo");
        // One person, many sessions.
        command.env("BELLWIRE_LIMITS__POLLS_PER_SECOND", "0").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("cannot run the node: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("the node says nothing: {error}"))?;
        }
        let (address, token) = line.trim().split_once(' ').ok_or("the node did not start")?;
        Ok(Self { process, address: address.to_owned(), token: token.to_owned() })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _status = self.process.wait();
    }
}

/// Counts the verdicts, and holds each against what is allowed.
fn judge(index: &Path) -> Result<(), String> {
    let text = fs::read_to_string(index).map_err(|error| format!("there is no report {}: {error}", index.display()))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", index.display()))?;
    let cases = report.get("bellwire").and_then(Value::as_object).ok_or("the report names no cases")?;
    let (mut counts, mut wrong) = (BTreeMap::<String, u32>::new(), Vec::new());
    for (case, verdict) in cases {
        let of = |name| verdict.get(name).and_then(Value::as_str).unwrap_or("MISSING");
        let (behavior, close) = (of("behavior"), of("behaviorClose"));
        *counts.entry(behavior.to_owned()).or_default() += 1;
        let non_strict = behavior == "NON-STRICT" && MAY_BE_NON_STRICT.contains(&case.as_str());
        let passed = non_strict || matches!(behavior, "OK" | "INFORMATIONAL");
        if !passed || !matches!(close, "OK" | "INFORMATIONAL") {
            wrong.push(format!("{case} ({behavior}, close {close})"));
        }
    }
    eprintln!("xtask: {SUITE}: {} cases, {counts:?}", cases.len());
    if cases.len() != CASES {
        return Err(format!("{CASES} cases were to run"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("cases that failed: {}; see {}", wrong.join(", "), index.display())) }
}
