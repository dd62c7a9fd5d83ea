//! The program itself, as a process: its signals, its crashes, its disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use client::session::Session;
use futures::future::join_all;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::program::{FaultyDisk, PROGRAM, Program};
use crate::support::*;

fn set(command: &mut Command, name: &str, value: &str) {
    command.env(name, value);
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env("RUST_BACKTRACE", "0").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn missed(id: &str) -> String {
    let mut call = event("missedCall", &["ADV"]);
    call["payload"]["id"] = json!(id);
    call.to_string()
}

/// The call ids of all that waits for ADV.
async fn waiting(api: &str) -> BTreeSet<String> {
    let (mut adv, mut path, mut ids) =
        (Caller::person(api, "SBOX", "ADV"), "/notifications?pageSize=100".to_owned(), BTreeSet::new());
    loop {
        let page = body(&adv.get(&path, &[]).await);
        for item in page["_embedded"].as_array().unwrap() {
            assert!(ids.insert(item["payload"]["id"].as_str().unwrap().to_owned()), "{item} is there twice");
        }
        match page["_links"]["next"]["href"].as_str() {
            Some(next) => path = next.to_owned(),
            None => return ids,
        }
    }
}

/// Posts missed calls until the connection breaks. Returns the ids of those that were answered 202.
async fn post_until_it_breaks(api: &str, prefix: &str) -> Vec<String> {
    let (mut api, token) = (client::api::Api::new(api), application_token());
    let mut taken = Vec::new();
    for number in 0.. {
        let id = format!("{prefix}-{number}");
        let request = hyper::Request::post("/notifications")
            .header("authorization", format!("Bearer {token}"))
            .header("reapit-customer", "SBOX")
            .header("content-type", "application/json")
            .body(http_body_util::Full::from(missed(&id)));
        match api.send(request.unwrap()).await {
            Ok(answer) if answer.status == 202 => taken.push(id),
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => break,
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_call_that_was_taken_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut taken = BTreeSet::new();
    for round in 0..8_u64 {
        let program = Program::start_with(folder.path(), |command| set(command, "BELLWIRE_STORE__KEEP_COUNT", "0"));
        let api = program.api.clone();
        let prefixes: Vec<_> = (0..4).map(|connection| format!("{round}-{connection}")).collect();
        let posting = join_all(prefixes.iter().map(|prefix| post_until_it_breaks(&api, prefix)));
        let killing = async {
            // Killed at another moment each time, in the midst of the posts.
            tokio::time::sleep(Duration::from_millis(150 + 23 * round)).await;
            program.kill();
        };
        let (posted, ()) = tokio::join!(posting, killing);
        assert!(posted.iter().any(|ids| !ids.is_empty()), "nothing was posted in round {round}");
        taken.extend(posted.into_iter().flatten());
    }
    let program = Program::start(folder.path());
    let there = waiting(&program.api).await;
    let lost: Vec<_> = taken.difference(&there).collect();
    assert!(lost.is_empty(), "{} of {} were lost: {lost:?}", lost.len(), taken.len());
}

#[tokio::test]
async fn a_missed_call_is_synced_before_it_is_answered() {
    let (disk, folder) = (FaultyDisk::new(), tempfile::tempdir().unwrap());
    let program = Program::start_with(folder.path(), |command| disk.under(command));
    let mut provider = Caller::application(&program.api);
    fs::remove_file(disk.file("trace")).unwrap();
    for number in 0..10 {
        assert_eq!(provider.post(missed(&number.to_string()), &[]).await.status, 202);
    }
    let trace = fs::read_to_string(disk.file("trace")).unwrap();
    let mut synced = false;
    let mut answers = 0;
    for line in trace.lines() {
        match line {
            "sync" => synced = true,
            "202" => {
                assert!(synced, "an answer without a sync before it:\n{trace}");
                (synced, answers) = (false, answers + 1);
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(answers, 10, "{trace}");
}

#[tokio::test]
async fn a_failed_sync_poisons_the_store_until_a_restart_and_live_events_go_on() {
    let (disk, folder) = (FaultyDisk::new(), tempfile::tempdir().unwrap());
    let mut program = Program::start_with(folder.path(), |command| disk.under(command));
    let mut provider = Caller::application(&program.api);
    assert_eq!(provider.post(missed("before"), &[]).await.status, 202);
    disk.order("sync-fails");
    let refused = provider.post(missed("during"), &[("idempotency-key", "k")]).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("30")));
    assert!(!text(&refused.body).contains("sync"), "a 5xx says nothing of the inside");
    let said = program.wait_for("store poisoned: no write is taken until the node is restarted on a sound disk");
    assert_eq!(said["level"], "ERROR");
    disk.revoke("sync-fails");
    assert_eq!(provider.post(missed("after"), &[]).await.status, 503, "not tried again as if nothing were");
    let ready = ask(&program.ops, "/readyz", &[]).await;
    assert_eq!((ready.status.as_u16(), text(&ready.body).as_str()), (503, "the store takes no writes: see the log\n"));
    assert_eq!(ask(&program.ops, "/livez", &[]).await.status, 200);
    assert!(text(&ask(&program.ops, "/metrics", &[]).await.body).contains("bellwire_store_sound 0\n"));
    assert_eq!(provider.post(event("incomingCall", &["ADV"]).to_string(), &[]).await.status, 202, "live events go on");
    assert!(waiting(&program.api).await.contains("before"), "reading goes on");
    program.kill();

    let program = Program::start(folder.path());
    let mut provider = Caller::application(&program.api);
    assert_eq!(provider.post(missed("later"), &[]).await.status, 202);
    let there = waiting(&program.api).await;
    assert!(there.contains("before") && there.contains("later") && !there.contains("after"), "{there:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_missed_calls_and_takes_them_again_when_there_is_room() {
    let (disk, folder) = (FaultyDisk::new(), tempfile::tempdir().unwrap());
    let program = Program::start_with(folder.path(), |command| disk.under(command));
    let mut provider = Caller::application(&program.api);
    assert_eq!(provider.post(missed("before"), &[]).await.status, 202);
    disk.order("full");
    for _ in 0..3 {
        let refused = provider.post(missed("during"), &[("idempotency-key", "k")]).await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, Some("5")));
    }
    assert_eq!(provider.post(event("incomingCall", &["ADV"]).to_string(), &[]).await.status, 202, "live events go on");
    assert_eq!(ask(&program.ops, "/readyz", &[]).await.status, 200);
    disk.revoke("full");
    assert_eq!(provider.post(missed("during"), &[("idempotency-key", "k")]).await.status, 202, "by itself, and the key is free");
    assert_eq!(waiting(&program.api).await.into_iter().collect::<Vec<_>>(), ["before", "during"]);
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight_closes_sessions_with_1012_and_exits_0() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path());
    let mut session = Session::open(&program.api, &person("SBOX", "ADV", "AgencyCloud"), "").await.unwrap();
    assert_eq!(message(&mut session).await["type"], "welcome");
    let text = missed("in flight");
    let head = format!(
        "POST /notifications HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nreapit-customer: SBOX\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        application_token(),
        text.len()
    );
    let mut in_flight = TcpStream::connect(&program.api).await.unwrap();
    in_flight.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    in_flight.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    program.signal(Signal::TERM);
    assert_eq!(close_code(&mut session).await, 1012);
    program.wait_for("shutting down");
    in_flight.write_all(text.as_bytes()).await.unwrap();
    assert!(read_to_end(&mut in_flight).await.starts_with("HTTP/1.1 202 "));
    assert_eq!(program.wait().code(), Some(0), "{:#?}", program.log);
    let program = Program::start(folder.path());
    assert_eq!(waiting(&program.api).await.into_iter().collect::<Vec<_>>(), ["in flight"]);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path());
    // A request that never ends holds the first one up.
    let mut stream = TcpStream::connect(&program.api).await.unwrap();
    let head = format!(
        "POST /notifications HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nreapit-customer: SBOX\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        application_token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 25]).await.unwrap();
    program.signal(Signal::TERM);
    program.wait_for("shutting down");
    program.signal(Signal::INT);
    assert_eq!(program.wait().code(), Some(1));
}

#[tokio::test]
async fn ten_thousand_idle_connections_do_not_shut_a_provider_out() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start_with(folder.path(), |command| set(command, "BELLWIRE_LIMITS__HEAD_TIMEOUT", "2min"));
    let mut idle = Vec::with_capacity(10_000);
    for _ in 0..100 {
        let opened = join_all((0..100).map(|_| TcpStream::connect(&program.api))).await;
        idle.extend(opened.into_iter().map(Result::unwrap));
    }
    let connections = async || Metrics(text(&ask(&program.ops, "/metrics", &[]).await.body)).value("bellwire_connections");
    let all = async { while connections().await < 10_000.0 {} };
    tokio::time::timeout(PATIENCE, all).await.expect("all are counted in time");
    let mut provider = Caller::application(&program.api);
    assert_eq!(provider.post(missed("through"), &[]).await.status, 202);
    drop(idle);
    let few = async { while connections().await > 100.0 {} };
    tokio::time::timeout(PATIENCE, few).await.expect("all are given up in time");
}

#[tokio::test]
async fn a_second_process_on_the_folder_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Program::start(folder.path());
    let data = folder.path().to_str().unwrap();
    let second = run(&["serve", "--dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("is in use by another bellwire process"), "{}", text(&second.stderr));
}

#[tokio::test]
async fn a_folder_of_a_newer_program_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Program::start(folder.path());
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code(), Some(0));
    // The version of the tables, in the head of the file (https://sqlite.org/fileformat.html#user_version_number).
    let database = folder.path().join("bellwire.sqlite");
    let mut bytes = fs::read(&database).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&database, bytes).unwrap();
    let data = folder.path().to_str().unwrap();
    let older = run(&["serve", "--dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(older.status.code(), Some(1));
    let told = text(&older.stderr);
    assert!(told.contains("has tables of version 99, this program knows up to"), "{told}");
    assert!(told.contains("run the newer program, or restore a backup"), "{told}");
}

#[test]
fn a_faulty_configuration_is_told_whole_and_exits_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bellwire.toml");
    fs::write(&file, "colour = 1\n[http]\nlisten = \"here\"\n").unwrap();
    let refused = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(78));
    let told = text(&refused.stderr);
    for fault in ["3 faults", "colour: is not known", "http.listen: invalid socket address", "auth.issuers: names nobody"] {
        assert!(told.contains(fault), "{told}");
    }
    let missing = run(&["serve", "--config", "/no/such/file"]);
    assert_eq!(missing.status.code(), Some(78));
    let not_loopback = run(&["serve", "--dev", "--listen", "0.0.0.0:0"]);
    assert_eq!(not_loopback.status.code(), Some(78));
    fs::write(&file, "[telemetry]\nmetrics_interval = \"10s\"\n").unwrap();
    let gone = run(&["serve", "--dev", "--config", file.to_str().unwrap()]);
    assert_eq!(gone.status.code(), Some(78));
    assert!(text(&gone.stderr).contains("bellwire.toml:2: telemetry.metrics_interval: is gone"), "{}", text(&gone.stderr));
}

/// As `cargo run` builds it.
#[cfg(not(feature = "otlp"))]
#[test]
fn an_endpoint_for_traces_exits_78_where_they_are_not_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bellwire.toml");
    fs::write(&file, "[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"\n").unwrap();
    let refused = run(&["serve", "--dev", "--config", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(78));
    let told = text(&refused.stderr);
    assert!(told.contains("bellwire.toml:2: telemetry.otlp_endpoint: needs a program that can send traces"), "{told}");
}

#[tokio::test]
async fn the_log_names_ids_and_never_a_token_a_number_or_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start_with(folder.path(), |command| set(command, "BELLWIRE_LOG__FILTER", "debug"));
    let adv = person("SBOX", "ADV", "AgencyCloud");
    let mut session = Session::open(&program.api, &adv, "").await.unwrap();
    assert_eq!(message(&mut session).await["type"], "welcome");
    let mut provider = Caller::application(&program.api);
    let answer = provider.post(event("incomingCall", &["ADV"]).to_string(), &[("prefer", "return=representation")]).await;
    assert_eq!(message(&mut session).await["type"], "event");
    provider.post(missed("a-missed-call"), &[]).await;
    provider.post(event("incomingCall", &["ADV"]).to_string().replace("07123", "not a number 07123"), &[]).await;
    assert_eq!(waiting(&program.api).await.len(), 1);
    session.close().await;
    program.signal(Signal::TERM);
    assert_eq!(program.wait().code(), Some(0));
    let log = program.log.join("\n");
    assert!(log.contains(body(&answer)["id"].as_str().unwrap()) && log.contains("SBOX") && log.contains("ADV"), "{log}");
    assert!(log.contains("DEVELOPMENT MODE, NOT FOR PRODUCTION"));
    for secret in ["07123", "01234 567890", "a-missed-call", "eyJ", SECRET, "callerId"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn the_demo_shows_one_call_end_to_end() {
    let demo = run(&["demo"]);
    let told = text(&demo.stdout);
    assert!(demo.status.success(), "{told}{}", text(&demo.stderr));
    for line in [
        "ADV, front desk  incomingCall after",
        "ADV, laptop      incomingCall after",
        "TST, desktop     incomingCall after",
        "ADV, laptop      endedCall after",
        "payload.callerId: must be digits",
        "403 Forbidden: The token belongs to another customer than SBOX",
        "304 Not Modified",
        "204 No Content",
        "{\"_embedded\":[],\"_links\":{}}",
    ] {
        assert!(told.contains(line), "{line:?} in\n{told}");
    }
}

#[tokio::test]
async fn applications_are_kept_by_the_program_on_a_stopped_node_and_on_a_running_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let unknown = run(&["app", "install", "app", "SBOX", "--data", data]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("there is no application app"), "{}", text(&unknown.stderr));
    assert!(run(&["app", "add", "app", "--scope", "agencyCloud/notifications.telephony.write", "--data", data]).status.success());
    assert!(run(&["app", "install", "app", "SBOX", "--data", data]).status.success());

    let program = Program::start(folder.path());
    assert!(text(&run(&["app", "list", "--data", data]).stderr).contains("is in use by another bellwire process"));
    let ops = format!("http://{}", program.ops);
    assert!(run(&["app", "add", "other", "--scope", "a.b", "--ops", &ops]).status.success());
    assert!(run(&["app", "install", "app", "COL-GMIO", "--ops", &ops]).status.success());
    assert_eq!(run(&["app", "install", "nobody", "SBOX", "--ops", &ops]).status.code(), Some(1));
    let listed: Value = serde_json::from_slice(&run(&["app", "list", "--json", "--ops", &ops]).stdout).unwrap();
    let app = json!({"clientId": "app", "scopes": ["notifications.telephony.write"], "customers": ["COL-GMIO", "SBOX"]});
    assert_eq!(listed, json!([app, {"clientId": "other", "scopes": ["a.b"], "customers": []}]));
    assert!(text(&run(&["app", "list", "--ops", &ops]).stdout).contains("installed  COL-GMIO SBOX"));
    program.kill();
    let told = text(&run(&["app", "list", "--ops", &ops]).stderr);
    assert!(told.contains("does not answer; is the node running?") && told.contains("--data DIR"), "{told}");
}

#[tokio::test]
async fn an_operator_logs_a_negotiator_out_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let mut session = Session::open(&program.api, &person("SBOX", "ADV", "AgencyCloud"), "").await.unwrap();
    assert_eq!(message(&mut session).await["type"], "welcome");
    let ops = format!("http://{}", program.ops);
    let closed = run(&["session", "close", "--customer", "SBOX", "--negotiator", "ADV", "--ops", &ops]);
    assert_eq!(text(&closed.stdout), "1 sessions closed\n");
    assert_eq!(close_code(&mut session).await, 4006);
    assert_eq!(run(&["session", "close", "--customer", "S.X", "--negotiator", "ADV", "--ops", &ops]).status.code(), Some(2));
}

#[tokio::test]
async fn a_token_of_the_program_opens_a_session_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "another-development-secret";
    let program = Program::start_with(folder.path(), |command| set(command, "BELLWIRE_DEV_SECRET", secret));
    let print = |secret: &str| {
        let arguments = ["token", "--customer", "SBOX", "--negotiator", "ADV", "--product", "PropertyCloud", "--ttl", "5m"];
        let printed = Command::new(PROGRAM).args(arguments).env("BELLWIRE_DEV_SECRET", secret).output().unwrap();
        text(&printed.stdout).trim().to_owned()
    };
    assert!(Session::open(&program.api, &print("some other secret"), "").await.is_err());
    let mut session = Session::open(&program.api, &print(secret), "").await.unwrap();
    assert_eq!(message(&mut session).await["type"], "welcome");
    assert!(text(&run(&["--version"]).stdout).starts_with("bellwire 0."));
}

/// A desktop in a process of its own.
struct Listener {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Listener {
    fn start(api: &str, token: &str) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["listen", "--api", &format!("http://{api}"), "--device", "desk"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{token}").unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(PATIENCE).expect("a line in time")).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn a_desktop_that_hangs_is_found_while_the_telephone_rings_and_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let mut listener = Listener::start(&program.api, &person("SBOX", "ADV", "AgencyCloud"));
    assert_eq!(listener.line()["resume"], "new");
    listener.signal(Signal::STOP);
    let mut provider = Caller::application(&program.api);
    let answer = provider.post(event("incomingCall", &["ADV"]).to_string(), &[("prefer", "return=representation")]).await;
    assert_eq!(body(&answer)["targets"][0]["sessions"], 1, "its line looks sound");
    let posted = Instant::now();
    loop {
        let metrics = Metrics(String::from_utf8(ask(&program.ops, "/metrics", &[]).await.body.to_vec()).unwrap());
        if metrics.value("bellwire_sessions_closed_total{code=\"4201\"}") == 1.0 {
            break;
        }
        // 6 s, and a machine that is busy; without a call it would take a ping's interval, 20 s at the least, and 10 s more.
        assert!(posted.elapsed() < Duration::from_secs(10), "not found by the call");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(posted.elapsed() >= Duration::from_secs(5), "3 s to acknowledge, 3 s to answer");
    let ended = event("endedCall", &["ADV"]).to_string();
    assert_eq!(provider.post(ended, &[]).await.status, 202);
    listener.signal(Signal::CONT);
    let mut heard = Vec::new();
    while heard.last() != Some(&json!("endedCall")) {
        let line = listener.line();
        if line["type"] == "welcome" {
            assert_eq!(line["resume"], "full");
        }
        heard.extend(line.pointer("/notification/subType").cloned());
    }
    assert_eq!(heard, ["incomingCall", "endedCall"]);
}

#[test]
fn listening_with_a_bad_token_ends_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path());
    let output = run(&["listen", "--api", &format!("http://{}", program.api), "no.good.token"]);
    assert!(!output.status.success());
    assert!(text(&output.stdout).ends_with("{\"stopped\":4001}\n"), "{output:?}");
    assert_eq!(text(&output.stderr), "bellwire: the session ended for good with 4001\n");
    let output = run(&["listen", "--api", "127.0.0.1:8080", "token"]);
    assert_eq!(
        text(&output.stderr),
        "bellwire: --api must be a URL such as http://127.0.0.1:8080 or https://bellwire.example, got \"127.0.0.1:8080\"\n"
    );
}

#[test]
fn a_directory_and_a_connector_are_set_on_a_running_node_and_on_a_stopped_one() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let people = "negotiatorId,name,email,extension,number,active,vendorUser\nADV,Andy,,101,,true,b4df\nADV,,,,,,andy@pbx\n";
    let (people, secret) = (file("people.csv", people), file("secret", "a-secret-of-some-length\n"));
    let queues = file("queues.csv", "queue,negotiatorId,alias\nSales,ADV,6cb3\n");
    let program = Program::start(folder.path());
    let (ops, data) = (format!("http://{}", program.ops), folder.path().to_str().unwrap().to_owned());
    let on = |place: [&str; 2], arguments: &[&str]| {
        let output = run(&[arguments, &place].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let mut program = Some(program);
    for place in [["--ops", ops.as_str()], ["--data", data.as_str()]] {
        if place[0] == "--data" {
            drop(program.take());
        }
        on(place, &["directory", "import", "--customer", "SBOX", &people, "--queues", &queues]);
        let exported = on(place, &["directory", "export", "--customer", "SBOX"]);
        assert!(exported.contains("ADV,Andy,,101,,true,b4df\nADV,,,,,,andy@pbx\n"), "{exported}");
        assert!(on(place, &["directory", "list"]).starts_with("SBOX"));
        let add = ["connector", "add", "--vendor", "avaya", "--customer", "SBOX", "--secret-file", &secret];
        let added = on(place, &[&add[..], &["--id", "axp", "--url", "https://bellwire.example/"]].concat());
        assert!(added.starts_with("URL     https://bellwire.example/connectors/axp/SECRET "), "{added}");
        assert_eq!(on(place, &["connector", "list"]).split_whitespace().collect::<Vec<_>>(), ["axp", "avaya", "SBOX"]);
        on(place, &["connector", "remove", "axp"]);
        let faulty = ["connector", "add", "--vendor", "apirtc", "--customer", "SBOX", "--secret-file", &secret, "--id", "video"];
        let refusal = text(&run(&[&faulty[..], &place].concat()).stderr);
        assert!(refusal.ends_with("\n  negotiators: is required: the callbacks of apirtc name nobody\n"), "{refusal}");
        on(place, &["directory", "remove", "--customer", "SBOX"]);
    }
    let output = run(&["directory", "remove", "--customer", "SBOX", "--data", &data]);
    assert_eq!(text(&output.stderr), "bellwire: there is no directory of SBOX\n");
    let faulty = file("faulty.csv", "negotiatorId,name\nA,x\n");
    let output = run(&["directory", "import", "--customer", "SBOX", &faulty, "--data", &data]);
    let expected =
        format!("bellwire: 1 fault in {faulty}:\n  line 2: negotiatorId must be 2 to 16 letters and digits, got \"A\"\n");
    assert_eq!(text(&output.stderr), expected);
}

#[test]
fn a_callback_is_tried_without_a_node() {
    let files = tempfile::tempdir().unwrap();
    let example = fs::read_to_string("../../protocol/examples/connectors/enreach-answered.json").unwrap();
    let example: Value = serde_json::from_str(&example).unwrap();
    let bodies: Vec<_> = example["callbacks"].as_array().unwrap().iter().map(|callback| callback["body"].clone()).collect();
    let path = files.path().join("callbacks.json");
    fs::write(&path, json!(bodies).to_string()).unwrap();
    let output = run(&["connector", "try", "--vendor", "enreach", path.to_str().unwrap()]);
    let shown = text(&output.stdout);
    assert!(shown.contains("\"sample.agent@customer.com\"") && shown.contains("\"answeredCall\""), "{shown}");
    assert!(shown.contains("callback 2: nothing\n"), "it rings already: {shown}");
    fs::write(&path, json!({"EventType": "UserStatus"}).to_string()).unwrap();
    let output = run(&["connector", "try", "--vendor", "enreach", path.to_str().unwrap()]);
    assert_eq!(text(&output.stdout), "callback 1: nothing (no_telephony)\n");
}
