//! Traces over OTLP, as a collector gets them.

use std::collections::BTreeMap;

use futures::StreamExt;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::program::Program;
use crate::receiver::{Receiver, Reply};
use crate::support::{Caller, ask, event, person};
use crate::webhooks::subscribe;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The program, which tells this collector of so many traces.
fn start(folder: &tempfile::TempDir, collector: &Receiver, ratio: &str) -> Program {
    Program::start_with(folder.path(), |command| {
        command.env("BELLWIRE_TELEMETRY__OTLP_ENDPOINT", collector.url(""));
        command.env("BELLWIRE_TELEMETRY__TRACE_RATIO", ratio).env("BELLWIRE_TELEMETRY__INSTANCE", "node-1");
    })
}

/// The next batches of spans, until there are some of all these names.
async fn spans(collector: &Receiver, names: &[&str]) -> Vec<Span> {
    let mut batches = 0;
    loop {
        batches += 1;
        let received = collector.wait_for("/v1/traces", batches).await;
        let requests = received.iter().map(|received| ExportTraceServiceRequest::decode(&received.body[..]).unwrap());
        let spans: Vec<_> = requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|of_resource| of_resource.scope_spans)
            .flat_map(|of_scope| of_scope.spans)
            .collect();
        if names.iter().all(|name| spans.iter().any(|span| span.name == *name)) {
            return spans;
        }
    }
}

fn attributes(of: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: Any| match value {
        Any::StringValue(text) => text,
        Any::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter().map(|pair| (pair.key.clone(), text(pair.value.clone().unwrap().value.unwrap()))).collect()
}

/// A session whose request belongs to a trace.
async fn open_traced(api: &str, token: &str) -> tokio_tungstenite::WebSocketStream<TcpStream> {
    let mut request = format!("ws://{api}/session").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request.headers_mut().insert("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01").parse().unwrap());
    let (mut session, _) = client_async(request, TcpStream::connect(api).await.unwrap()).await.unwrap();
    assert!(session.next().await.unwrap().unwrap().to_text().unwrap().contains("welcome"));
    session
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn requests_sessions_and_attempts_are_spans_and_a_callers_trace_goes_on() {
    let (folder, collector, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await, Receiver::start().await);
    let mut program = start(&folder, &collector, "1.0");
    let mut provider = Caller::application(&program.api);
    let mut app = crate::webhooks::application(&program.api, "app");
    let topics = ["telephony.incomingCall"];
    subscribe(&mut app, json!({"url": receiver.url("/a"), "topicIds": topics, "customerIds": ["SBOX"]})).await;
    let token = person("SBOX", "ADV", "AgencyCloud");
    let mut session = open_traced(&program.api, &token).await;
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let answer = provider.post(event("incomingCall", &["ADV"]).to_string(), &[("traceparent", &traceparent)]).await;
    assert_eq!(answer.status, 202);
    assert!(session.next().await.unwrap().unwrap().to_text().unwrap().contains("incomingCall"));
    receiver.wait_for("/a", 1).await;
    session.close(None).await.unwrap();
    while session.next().await.is_some_and(|message| message.is_ok()) {}
    let metrics = ask(&program.ops, "/metrics", &[]).await;
    let spans = spans(&collector, &["POST /notifications", "GET /session", "session", "attempt"]).await;
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let post = named("POST /notifications");
    assert_eq!((hex(&post.trace_id), hex(&post.parent_span_id)), (TRACE.to_owned(), "b7ad6b7169203331".to_owned()));
    assert_eq!(attributes(&post.attributes)["http.response.status_code"], "202");
    assert_eq!(attributes(&named("attempt").attributes)["server.address"], "127.0.0.1");
    assert_eq!(attributes(&named("attempt").attributes)["http.response.status_code"], "200");
    assert_eq!(hex(&named("GET /session").trace_id), TRACE);
    for name in ["session", "attempt"] {
        assert!(named(name).parent_span_id.is_empty() && hex(&named(name).trace_id) != TRACE, "{name} is a trace of its own");
    }
    assert!(spans.iter().all(|span| span.events.is_empty()), "log lines stay here");
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let exemplar = format!("# {{trace_id=\"{TRACE}\"}}");
    assert!(
        metrics.lines().any(|line| line.starts_with("bellwire_event_taken_to_queued_seconds_bucket") && line.contains(&exemplar))
    );
    program.signal(Signal::TERM);
    assert!(program.wait().success());
}

#[tokio::test]
async fn a_caller_decides_whether_its_trace_is_told_and_else_the_share() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let mut program = start(&folder, &collector, "0.0");
    let mut provider = Caller::application(&program.api);
    let (told, untold) = (format!("00-{TRACE}-b7ad6b7169203331-01"), format!("00-{TRACE}-b7ad6b7169203331-00"));
    // Twice the same head: it is said anew each time.
    for traceparent in ["nonsense", &untold, &told, &told] {
        let answer = provider.post(event("endedCall", &["ADV"]).to_string(), &[("traceparent", traceparent)]).await;
        assert_eq!(answer.status, 202);
    }
    let told = spans(&collector, &["POST /notifications"]).await;
    program.signal(Signal::TERM);
    assert!(program.wait().success());
    assert_eq!(told.iter().map(|span| hex(&span.trace_id)).collect::<Vec<_>>(), [TRACE, TRACE]);
}

#[tokio::test]
async fn strangers_have_no_more_of_their_traces_told_than_the_limit() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let mut program = Program::start_with(folder.path(), |command| {
        command.env("BELLWIRE_TELEMETRY__OTLP_ENDPOINT", collector.url("")).env("BELLWIRE_TELEMETRY__TRACE_RATIO", "0.0");
        command.env("BELLWIRE_LIMITS__TRACES_PER_SECOND", "1");
    });
    let started = std::time::Instant::now();
    for number in 0..50 {
        let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
        ask(&program.api, &format!("/nowhere/{number}"), &[("traceparent", &traceparent)]).await;
    }
    let seconds = started.elapsed().as_secs();
    let told = spans(&collector, &["GET /…"]).await;
    assert!(told.len() as u64 <= seconds + 2, "{} in {seconds} s", told.len());
    program.signal(Signal::TERM);
    assert!(program.wait().success());
}

#[tokio::test]
async fn spans_say_which_node_of_which_service_they_are_of() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let mut program = start(&folder, &collector, "1.0");
    let mut provider = Caller::application(&program.api);
    assert_eq!(provider.post(event("endedCall", &["ADV"]).to_string(), &[]).await.status, 202);
    program.signal(Signal::TERM);
    assert!(program.wait().success());
    let received = collector.wait_for("/v1/traces", 1).await;
    let request = ExportTraceServiceRequest::decode(&received[0].body[..]).unwrap();
    let of = attributes(&request.resource_spans[0].resource.as_ref().unwrap().attributes);
    assert_eq!((of["service.name"].as_str(), of["service.instance.id"].as_str()), ("bellwire", "node-1"));
    assert_eq!(of["service.version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_collector_that_refuses_or_hangs_delays_nobody_and_is_told_once() {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    collector.script("/v1/traces", [Reply::Status(503)]);
    collector.usually("/v1/traces", Reply::Hang);
    let mut program = start(&folder, &collector, "1.0");
    let mut provider = Caller::application(&program.api);
    let mut post = async || assert_eq!(provider.post(event("endedCall", &["ADV"]).to_string(), &[]).await.status, 202);
    post().await;
    collector.wait_for("/v1/traces", 1).await;
    post().await;
    // They go one after the other, so that the first is judged by now.
    collector.wait_for("/v1/traces", 2).await;
    let warned = program.wait_for("telemetry is not taken: what does not fit into memory is left out");
    assert_eq!(warned["error"], "refused with 503");
    let before = program.log.len();
    for _ in 0..20 {
        post().await;
    }
    program.signal(Signal::TERM);
    assert!(program.wait().success());
    assert!(!program.log[before..].iter().any(|line| line.contains("telemetry is not taken")), "told once: {:#?}", program.log);
}
