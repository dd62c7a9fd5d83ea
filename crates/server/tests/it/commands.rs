//! What operators say to the program: each command as a process, on a running node and on the folder of a stopped one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{PROGRAM, Program};
use crate::support::*;

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
    fs::write(&file, format!("[auth]\nca_file = {path:?}\n")).unwrap();
    let as_json = run(&["config", "check", "--config", path, "--dev", "--json"]);
    let faults: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    let fault = &faults["faults"][0];
    assert_eq!((&fault["line"], &fault["key"]), (&json!(2), &json!("auth.ca_file")), "it holds no certificate: {faults}");
    assert_eq!(told(&["config", "check", "--dev"]), "the configuration has no faults\n");
    assert_eq!(told_json(&["config", "check", "--dev"]), json!({"faults": []}));
}

#[test]
fn authorities_in_a_file_without_a_certificate_are_refused_by_all_in_the_same_words() {
    let folder = tempfile::tempdir().unwrap();
    let (file, empty) = (folder.path().join("bellwire.toml"), folder.path().join("ca.pem"));
    fs::write(&empty, "no certificate\n").unwrap();
    let (path, data, ca_file) = (file.to_str().unwrap(), folder.path().join("data"), empty.to_str().unwrap());
    let words = format!("{ca_file}: it holds no certificate in PEM");
    let issuer = "[[auth.issuers]]\nissuer = \"i\"\njwks_url = \"https://idp.example/keys\"\n";
    #[cfg(feature = "otlp")]
    let endpoint = "[telemetry]\notlp_endpoint = \"https://collector.example\"\n";
    for (section, configuration, asker) in [
        ("webhooks", format!("{issuer}[webhooks]\nca_file = {ca_file:?}\n"), ""),
        ("auth", format!("[auth]\nca_file = {ca_file:?}\n{issuer}"), ""),
        #[cfg(feature = "otlp")]
        ("telemetry", format!("{issuer}{endpoint}ca_file = {ca_file:?}\n"), "telemetry.otlp_endpoint "),
    ] {
        let line = configuration.lines().position(|line| line.starts_with("ca_file")).unwrap() + 1;
        fs::write(&file, configuration).unwrap();
        let checked = run(&["config", "check", "--config", path]);
        let expected = format!("bellwire: 1 fault in the configuration:\n  {path}:{line}: {section}.ca_file: {words}\n");
        assert_eq!((checked.status.code(), text(&checked.stderr)), (Some(78), expected));
        let listen = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        let started = run(&[&["serve", "--config", path], listen.as_slice()].concat());
        let said = text(&started.stderr);
        assert_eq!((started.status.code(), said.lines().last()), (Some(1), Some(&*format!("bellwire: {asker}{words}"))));
    }
    let listened = run(&["listen", "--api", "https://localhost:1", "--ca-file", ca_file, "token"]);
    assert_eq!((listened.status.code(), text(&listened.stderr)), (Some(1), format!("bellwire: --api {words}\n")));
    let asked = run(&["status", "--ops", "https://localhost:1", "--ops-ca-file", ca_file]);
    assert_eq!((asked.status.code(), text(&asked.stderr)), (Some(1), format!("bellwire: --ops {words}\n")));
}

#[test]
fn an_address_that_is_none_is_said_to_be_none_once() {
    let asked = run(&["status", "--ops", "nowhere"]);
    let expected = "bellwire: --ops must be a URL such as http://127.0.0.1:8080 or https://bellwire.example, got \"nowhere\"\n";
    assert_eq!((asked.status.code(), text(&asked.stderr).as_str()), (Some(1), expected));
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
        assert!(told(&["completions", shell]).contains("uninstall"), "{shell}");
    }
    assert_eq!(run(&["completions", "csh"]).status.code(), Some(2));
}

/// What a command says when it fails.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// The ids of all that waits for a negotiator.
async fn waiting(api: &str, negotiator: &str) -> (Vec<String>, String) {
    let answer = Caller::person(api, "SBOX", negotiator).get("/notifications", &[]).await;
    let page = body(&answer);
    let ids = page["_embedded"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
    (ids.collect(), answer.header("etag").unwrap().to_owned())
}

/// Runs `check` for both places where a command can be done: a running node, and then its folder when it is stopped.
fn in_both_places(folder: &Path, check: impl Fn([&str; 2])) {
    let mut program = Program::start(folder);
    check(["--ops", &format!("http://{}", program.ops)]);
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    check(["--data", folder.to_str().unwrap()]);
}

#[test]
fn every_command_says_the_same_to_a_running_node_and_to_a_stopped_one() {
    let folder = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let configuration = files.path().join("webhooks.json");
    fs::write(&configuration, "[]").unwrap();
    in_both_places(folder.path(), |place| {
        let at = |arguments: &[&str]| told(&[arguments, &place].concat());
        let json_of = |arguments: &[&str]| told_json(&[arguments, &place].concat());
        let refused = |arguments: &[&str]| refused(&[arguments, &place].concat());
        assert_eq!(at(&["app", "add", "my/app", "--scope", "a.b c.d"]), "");
        at(&["app", "grant", "my/app", "--scope", "agencyCloud/e.f"]);
        at(&["app", "install", "my/app", "SBOX"]);
        at(&["app", "install", "my/app", "OTHER"]);
        at(&["app", "uninstall", "my/app", "OTHER"]);
        let expected = json!([{"clientId": "my/app", "scopes": ["a.b", "c.d", "e.f"], "customers": ["SBOX"]}]);
        assert_eq!(json_of(&["app", "list"]), expected);
        assert_eq!(at(&["app", "list"]), "my/app\n  scopes     a.b c.d e.f\n  installed  SBOX\n");
        at(&["app", "remove", "my/app"]);
        assert_eq!(refused(&["app", "remove", "my/app"]), "bellwire: there is no application my/app\n");
        let unknown = "bellwire: there is no application my/app; add it first\n";
        assert_eq!(refused(&["app", "grant", "my/app", "--scope", "a.b"]), unknown);
        let faulty = refused(&["app", "add", "x", "--scope", "\u{e9}"]);
        assert!(faulty.contains("422") && faulty.contains("\n  scopes: "), "{faulty}");

        assert_eq!(at(&["avaya", "account", "add", "ABCDEF", "--customer", "ABC"]), "account ABCDEF is that of ABC\n");
        assert_eq!(json_of(&["avaya", "account", "list"]), json!([{"accountId": "ABCDEF", "customerId": "ABC"}]));
        let foreign = refused(&["avaya", "account", "add", "ABCDEF", "--customer", "SBOX"]);
        assert!(foreign.contains("409: The account ABCDEF is that of ABC"), "{foreign}");
        at(&["avaya", "account", "remove", "ABCDEF"]);
        assert_eq!(refused(&["avaya", "account", "remove", "ABCDEF"]), "bellwire: there is no account ABCDEF\n");

        let loaded = json_of(&["enreach", "load", configuration.to_str().unwrap(), "--customer", "ABC"]);
        assert_eq!(loaded["configuration"], json!([]), "{loaded}");
        assert_eq!(json_of(&["enreach", "show", "--customer", "ABC"]), json!([]));
        assert_eq!(json_of(&["webhook", "list"]), json!([]));
        assert!(refused(&["webhook", "show", "nothing"]).starts_with("bellwire: there is no subscription"));
        assert_eq!(json_of(&["missed", "list"]), json!([]));
        let state = if place[0] == "--ops" { "ready" } else { "stopped" };
        assert_eq!(json_of(&["status"])["state"], state);
        assert!(at(&["status"]).starts_with(&format!("state         {state}")));
    });
}

#[tokio::test]
async fn a_purge_leaves_nothing_of_a_number_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut program = Program::start(folder.path());
    let mut provider = Caller::application(&program.api);
    let say = |sub_type: &str, number: &str, to: &str| event(sub_type, &[to]).to_string().replace("07123 456789", number);
    for number in 0..50 {
        let call = say("missedCall", &format!("0777 000{number:03}"), "ADV");
        assert_eq!(provider.post(call, &[("idempotency-key", &format!("k{number}"))]).await.status, 202);
    }
    provider.post(say("missedCall", "0888 111222", "TST"), &[]).await;
    provider.post(say("incomingCall", "0777 999999", "ADV"), &[]).await;
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0), "its rings are handed over");
    let holds = |text: &str| {
        let file = fs::read(folder.path().join("bellwire.sqlite")).unwrap();
        file.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(holds("0777 000") && holds("0777 999999"));
    let gone = told_json(&["purge", "--customer", "SBOX", "--negotiator", "ADV", "--data", data]);
    let counted =
        ["missedCalls", "idempotencyKeys", "resumableEvents", "liveCalls", "receipts"].map(|name| gone[name].as_u64().unwrap());
    assert_eq!(counted, [50, 50, 1, 1, 1], "{gone}");
    assert!(!holds("0777"), "neither in rows nor where rows were");
    assert!(holds("0888 111222"), "another's stays");

    let program = Program::start(folder.path());
    Caller::application(&program.api).post(say("missedCall", "0999 333444", "TST"), &[]).await;
    let gone = told(&["purge", "--customer", "SBOX", "--ops", &format!("http://{}", program.ops)]);
    assert!(gone.contains("       2 missed calls\n"), "{gone}");
    assert!(!holds("0888") && !holds("0999"), "the log of the database is emptied at once");
    let log = fs::read(folder.path().join("bellwire.sqlite-wal")).unwrap_or_default();
    assert!(!log.windows(4).any(|window| window == b"0999"));
}

#[tokio::test]
async fn a_backup_of_a_running_node_is_whole_and_comes_back_under_new_etags() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.sqlite");
    let (file, data) = (copy.to_str().unwrap(), folder.path().to_str().unwrap());
    let mut program = Program::start_with(folder.path(), |command| {
        command.env("BELLWIRE_STORE__KEEP_COUNT", "0");
    });
    let ops = format!("http://{}", program.ops);
    let mut provider = Caller::application(&program.api);
    let missed = event("missedCall", &["ADV"]).to_string();
    for _ in 0..20 {
        assert_eq!(provider.post(missed.clone(), &[]).await.status, 202);
    }
    let (api, ops_too) = (program.api.clone(), ops.clone());
    let posting = async move {
        let mut provider = Caller::application(&api);
        for _ in 0..300 {
            assert_eq!(provider.post(event("missedCall", &["TST"]).to_string(), &[]).await.status, 202, "while it is copied");
        }
    };
    let file_too = file.to_owned();
    let copying = tokio::task::spawn_blocking(move || told(&["backup", &file_too, "--ops", &ops_too]));
    let (made, ()) = tokio::join!(copying, posting);
    let made = made.unwrap();
    assert!(made.contains("webhooks.key"), "{made}");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    assert!(refused(&["backup", file, "--ops", &ops]).contains("copy.sqlite: "), "what is there is left alone");
    assert!(refused(&["restore", file, "--data", data]).contains("is in use by another bellwire process"));
    let (then, tag) = waiting(&program.api, "ADV").await;
    // The list after the backup has the same number of changes as the one that is made after the restore.
    Caller::person(&program.api, "SBOX", "ADV").delete(&then[0]).await;
    let (_, lost_tag) = waiting(&program.api, "ADV").await;
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing partial is left");
    assert!(!folder.path().join("backup.tmp").exists());

    assert!(refused(&["restore", file, "--data", data]).contains("--replace"));
    let restored = told(&["restore", file, "--data", data, "--replace"]);
    assert!(restored.starts_with("restored into"), "{restored}");
    let program = Program::start(folder.path());
    let (now, new_tag) = waiting(&program.api, "ADV").await;
    assert_eq!(now.len(), then.len(), "as it was then");
    assert!(now == then && new_tag != tag && new_tag != lost_tag, "no tag of before stands for it");
    drop(program);

    let (stopped, anew) = (elsewhere.path().join("stopped.sqlite"), elsewhere.path().join("anew"));
    told(&["backup", stopped.to_str().unwrap(), "--data", data]);
    told(&["restore", stopped.to_str().unwrap(), "--data", anew.to_str().unwrap()]);
    let calls = told_json(&["missed", "list", "--customer", "SBOX", "--negotiator", "ADV", "--data", anew.to_str().unwrap()]);
    assert_eq!(calls.as_array().unwrap().len(), then.len());
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("file"), folder.path().join("data"));
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    fs::write(file, "no database at all, but long enough to be looked at").unwrap();
    assert!(refused(&["restore", file, "--data", data]).contains("is damaged"));
    assert!(refused(&["restore", "/no/such/file", "--data", data]).contains("cannot open"));
    assert!(!Path::new(data).exists(), "nothing was made");
    assert_eq!(run(&["restore", file]).status.code(), Some(2), "on a stopped node only");
    let unreachable = refused(&["backup", file, "--ops", "http://127.0.0.1:1"]);
    assert!(unreachable.contains("File exists") || unreachable.contains("exists"), "{unreachable}");
}

#[test]
fn sessions_are_those_of_a_running_node() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let ops = format!("http://{}", program.ops);
    assert_eq!(told_json(&["session", "list", "--ops", &ops]), json!([]));
    let closed = told_json(&["session", "close", "--customer", "SBOX", "--negotiator", "ADV", "--ops", &ops]);
    assert_eq!(closed, json!({"closed": 0}));
    assert_eq!(run(&["session", "list", "--data", "x"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_folder_whose_key_stands_elsewhere_needs_the_configuration() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (key, file) = (elsewhere.path().join("key"), elsewhere.path().join("bellwire.toml"));
    let data = folder.path().to_str().unwrap();
    let mut program = Program::start_with(folder.path(), |command| {
        command.env("BELLWIRE_WEBHOOKS__KEY_FILE", &key);
    });
    let wish = json!({"url": "http://127.0.0.1:9/", "topicIds": ["telephony.missedCall"]}).to_string();
    let mut app = Caller { customer: None, ..Caller::application(&program.api) };
    let json_type = [("content-type", "application/json")];
    assert_eq!(app.send(hyper::Method::POST, "/webhooks/subscriptions", wish, &json_type).await.status, 201);
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    let told = refused(&["webhook", "list", "--data", data]);
    assert!(told.contains("give --config FILE, which names webhooks.key_file"), "{told}");
    assert!(!folder.path().join("webhooks.key").exists(), "none is left there that opens nothing");
    fs::write(&file, format!("[webhooks]\nkey_file = {key:?}\n[ops]\ntoken_file = \"/gone/with/the/node\"\n")).unwrap();
    let listed = told_json(&["webhook", "list", "--data", data, "--config", file.to_str().unwrap()]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
}
