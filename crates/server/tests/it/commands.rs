//! What operators say to the program: each command as a process, on a running node and on the folder of a stopped one.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::program::PROGRAM;

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env("RUST_BACKTRACE", "0").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command prints, which must succeed.
fn told(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn told_json(arguments: &[&str]) -> Value {
    let told = told(&[arguments, &["--json"]].concat());
    serde_json::from_str(&told).unwrap_or_else(|_| panic!("{arguments:?}: {told}"))
}

#[test]
fn a_configuration_is_checked_whole_without_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bellwire.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, "[http]\nlisten = \"here\"\n\n[[auth.issuers]]\nissuer = \"i\"\njwks_file = \"/no/such/file\"\n").unwrap();
    let faulty = run(&["config", "check", "--config", path, "--data", "/x"]);
    assert_eq!(faulty.status.code(), Some(78));
    let expected = format!(
        "bellwire: 1 fault in the configuration:\n  {path}:2: http.listen: invalid socket address syntax, got \"here\"\n"
    );
    assert_eq!(text(&faulty.stderr), expected);
    let as_json = run(&["config", "check", "--config", path, "--listen", "127.0.0.1:1", "--json"]);
    assert_eq!(as_json.status.code(), Some(78), "the key set is looked at once all else is good");
    let faults: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    let fault = &faults["faults"][0];
    assert_eq!((&fault["line"], &fault["key"]), (&json!(6), &json!("auth.issuers[0].jwks_file")), "{faults}");
    assert_eq!(told(&["config", "check", "--dev"]), "the configuration has no faults\n");
    assert_eq!(told_json(&["config", "check", "--dev"]), json!({"faults": []}));
}

#[test]
fn the_configuration_that_holds_says_where_each_value_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bellwire.toml");
    fs::write(&file, "[limits]\npolls_burst = 7\n").unwrap();
    let arguments = ["config", "show", "--dev", "--listen", "127.0.0.1:4", "--config", file.to_str().unwrap()];
    let output = Command::new(PROGRAM)
        .args(arguments)
        .env("BELLWIRE_LOG__FORMAT", "json")
        .env("BELLWIRE_DEV_SECRET", "a development secret")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    let has = |line: &str| shown.lines().any(|shown| shown.split_whitespace().eq(line.split_whitespace()));
    for line in [
        "listen = \"127.0.0.1:4\" # --listen",
        &format!("polls_burst = 7 # {}:2", file.display()),
        "format = \"json\" # BELLWIRE_LOG__FORMAT",
        "requests_burst = 100 # default",
        "# --dev secret: \"***\" # BELLWIRE_DEV_SECRET",
    ] {
        assert!(has(line), "{line} in\n{shown}");
    }
    assert!(!shown.contains("a development secret"));
    let all = told_json(&arguments);
    let burst = all.as_array().unwrap().iter().find(|setting| setting["key"] == "limits.polls_burst").unwrap();
    assert_eq!(burst, &json!({"key": "limits.polls_burst", "value": 7, "source": "file", "file": file, "line": 2}));
}

#[test]
fn shells_are_told_how_to_complete() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            told(&["completions", shell]).contains("uninstall") || told(&["completions", shell]).contains("config"),
            "{shell}"
        );
    }
    assert_eq!(run(&["completions", "csh"]).status.code(), Some(2));
}
