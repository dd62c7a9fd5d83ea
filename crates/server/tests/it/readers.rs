//! Two readers, one way: whatever is sent, cut anywhere and several at once, plain or over TLS, it is answered alike, and counters, log,
//! store and sessions say the same of it. Over TLS traces are told, too.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use client::address::Address;
use client::api::Api;
use client::session::Session;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::program::Program;
use crate::support::{Caller, PATIENCE, application_token, message, person};

const CASES: u32 = 96;
/// Between two pieces, so that they are read apart.
const PAUSE: Duration = Duration::from_millis(3);

trait Line: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Line for T {}

/// One of the four ways: a node of its own, read by one of the readers.
struct Way {
    name: &'static str,
    by_library: bool,
    program: Program,
    tls: Option<(std::path::PathBuf, TlsConnector)>,
    desktop: Session,
    folder: tempfile::TempDir,
}

/// What came of what was sent.
#[derive(Debug, PartialEq)]
struct Came {
    answers: Vec<String>,
    counters: BTreeMap<String, String>,
    log: Vec<String>,
    missed: Vec<Value>,
    heard: Vec<Value>,
}

impl Way {
    async fn open(name: &'static str, by_library: bool, secured: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&chain, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let program = Program::start_with(&folder.path().join("data"), |command| {
            if secured {
                command.env("BELLWIRE_HTTP__TLS_CERTIFICATE", &chain).env("BELLWIRE_HTTP__TLS_KEY", &key);
            }
            command
                .env("BELLWIRE_LOG__FILTER", "info,server=debug")
                .env("BELLWIRE_HTTP__CORS_ORIGINS", r#"["https://crm.example"]"#);
            command.env("BELLWIRE_LIMITS__BODY_TIMEOUT", "1500ms").env("BELLWIRE_LIMITS__HEAD_TIMEOUT", "3s");
            // The desktop is listened to once a case, however long that takes.
            for timer in ["PING_INTERVAL", "PONG_TIMEOUT", "ACK_TIMEOUT"] {
                command.env(format!("BELLWIRE_SESSIONS__{timer}"), "10m");
            }
            if secured && cfg!(feature = "otlp") {
                // Nobody is there, which is told by lines of its own.
                command.env("BELLWIRE_TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:9");
            }
        });
        let tls = secured.then(|| {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&chain).unwrap()).unwrap();
            let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            (chain, TlsConnector::from(std::sync::Arc::new(config)))
        });
        let address = match &tls {
            None => Address::from(program.api.as_str()),
            Some((chain, _)) => Address::parse(&format!("https://{}", program.api), Some(chain)).unwrap(),
        };
        let mut desktop = Session::open(address, &person("SBOX", "ADV", "AgencyCloud"), "?device=watching").await.unwrap();
        assert_eq!(message(&mut desktop).await["type"], "welcome");
        desktop.give_up_after(Duration::from_secs(600));
        Self { name, by_library, program, tls, desktop, folder }
    }

    async fn connect(&self) -> Pin<Box<dyn Line>> {
        let socket = TcpStream::connect(&self.program.api).await.unwrap();
        socket.set_nodelay(true).unwrap();
        match &self.tls {
            None => Box::pin(socket),
            Some((_, tls)) => Box::pin(tls.connect(ServerName::try_from("127.0.0.1").unwrap(), socket).await.unwrap()),
        }
    }

    /// Sends the pieces, and gathers what came of them.
    async fn send(&mut self, case: u32, pieces: &[Vec<u8>]) -> Came {
        let mut line = self.connect().await;
        if self.by_library {
            // A connection that began with something else is the library's for good.
            line.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            let answers = read(&mut line, |text| text.ends_with('}')).await;
            assert_eq!(answers.len(), 1, "{answers:?}");
        } else {
            // The same on another connection, so that counters and log are those of the same requests.
            let mut other = self.connect().await;
            other.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
            read(&mut other, |_| false).await;
        }
        for piece in pieces {
            // The node may have ended the connection.
            let sent = line.write_all(piece).await.is_ok() && line.flush().await.is_ok();
            if !sent {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        // A session goes on; all else ends with the last answer.
        let answers = read(&mut line, |text| {
            text.split_once(" 101 Switching")
                .is_some_and(|(_, rest)| rest.split_once("\r\n\r\n").is_some_and(|(_, word)| !word.is_empty()))
        })
        .await;
        drop(line);
        self.came(case, answers).await
    }

    async fn came(&mut self, case: u32, answers: Vec<String>) -> Came {
        let log = self.log(case).await;
        let mut heard = Vec::new();
        // A session may say twenty things a second.
        tokio::time::sleep(Duration::from_millis(60)).await;
        self.desktop.send(&json!({"type": "ping", "ref": case.to_string()})).await.unwrap();
        loop {
            let said = message(&mut self.desktop).await;
            if said["type"] == "pong" {
                break;
            }
            heard.push(json!([said["type"], said["notification"], said["action"]]));
        }
        let mut operator = Caller { api: Api::new(self.program.ops.as_str()), token: String::new(), customer: None };
        let listed = operator.get("/missed/SBOX/ADV?pageSize=1000", &[]).await;
        let missed: Vec<Value> = serde_json::from_slice(&listed.body).unwrap();
        let missed = missed.iter().map(|call| call["payload"].clone()).collect();
        let text = String::from_utf8(operator.get("/metrics", &[]).await.body.to_vec()).unwrap();
        let counted = text.lines().filter_map(|line| line.rsplit_once(' '));
        // Pings are due when they are due.
        let counted = counted.filter(|(name, _)| name.split('{').next().unwrap().ends_with("_total") && !name.contains("ping"));
        let counters = counted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Came { answers, counters, log, missed, heard }
    }

    /// What was logged of requests up to now: a last one marks the place.
    async fn log(&mut self, case: u32) -> Vec<String> {
        let (mark, before) = (format!("mark-{case}"), self.program.log.len());
        let mut line = self.connect().await;
        let last = format!("GET /marked HTTP/1.1\r\nhost: x\r\nx-request-id: {mark}\r\nconnection: close\r\n\r\n");
        line.write_all(last.as_bytes()).await.unwrap();
        read(&mut line, |_| false).await;
        self.program.wait_until(|line| line.to_string().contains(&mark));
        let lines = self.program.log[before..].iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        // What is about bytes is each reader's own.
        let about_requests = lines.filter(|line| {
            let target = line["target"].as_str().unwrap_or_default();
            target.starts_with("server::") && !["server::net", "server::telemetry"].iter().any(|own| target.starts_with(own))
        });
        let mut log: Vec<_> = about_requests.map(|line| scrub(&without_time(line).to_string())).collect();
        log.sort_unstable();
        log
    }
}

fn without_time(mut line: Value) -> Value {
    line.as_object_mut().unwrap().remove("timestamp");
    line
}

/// Reads until the node ends the connection, or until what came is enough: the answers, each as it lasts.
async fn read(line: &mut Pin<Box<dyn Line>>, is_enough: impl Fn(&str) -> bool) -> Vec<String> {
    let (mut came, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    let reading = async {
        while let Ok(count @ 1..) = line.read(&mut buffer).await {
            came.extend_from_slice(&buffer[..count]);
            if is_enough(&String::from_utf8_lossy(&came)) {
                return;
            }
        }
    };
    timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no end behind {:?}", String::from_utf8_lossy(&came)));
    let text = String::from_utf8_lossy(&came).into_owned();
    text.split("HTTP/1.1 ").skip(1).filter(|answer| !answer.starts_with("100 ")).map(lasting).collect()
}

/// An answer without what differs from one to the next: status, headers in order, body.
fn lasting(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let mut lines: Vec<_> =
        head.split("\r\n").filter(|line| !["date: ", "etag: "].iter().any(|name| line.starts_with(name))).collect();
    let status = lines.remove(0);
    lines.sort_unstable();
    // Behind a 101 stands the session's first word: which it is, not what it says of times.
    let word = if body.contains(r#""type":"welcome""#) { "welcome" } else { "a close" };
    let body = if status.starts_with("101") { word } else { body };
    scrub(&format!("{status}\n{}\n{body}", lines.join("\n")))
}

/// Replaces ids and times.
fn scrub(text: &str) -> String {
    let mut scrubbed = String::new();
    for part in text.split_inclusive(|c: char| !(c.is_ascii_hexdigit() || c == '-')) {
        let (word, end) = part.split_at(part.len() - part.chars().last().map_or(0, char::len_utf8));
        scrubbed += if word.len() >= 32 { "*" } else { word };
        scrubbed += end;
    }
    match scrubbed.split_once(r#""dateTime":""#) {
        Some((before, rest)) => format!("{before}{}", rest.split_once('"').map_or("", |(_, rest)| rest)),
        None => scrubbed,
    }
}

/// What a request says that others do not.
#[derive(Debug, Clone)]
struct Asked {
    line: &'static str,
    headers: Vec<String>,
    body: String,
    /// How far what it says of its body's length is off.
    off: i32,
}

impl Asked {
    fn text(&self) -> String {
        let length = (i32::try_from(self.body.len()).unwrap() + self.off).max(0);
        let headers = self.headers.join("");
        let length =
            if self.headers.iter().any(|line| line.starts_with("transfer-encoding") || line.starts_with("upgrade: websocket")) {
                String::new()
            } else {
                format!("content-length: {length}\r\n")
            };
        format!("{}\r\nhost: x\r\n{headers}{length}\r\n{}", self.line, self.body)
    }
}

fn event_body() -> impl Strategy<Value = String> {
    let sub_type =
        prop_oneof![Just("incomingCall"), Just("answeredCall"), Just("endedCall"), Just("missedCall"), Just("otherCall")];
    let target = prop_oneof![8 => Just("ADV"), 1 => Just("BDV"), 1 => Just("")];
    let body = (sub_type, target, any::<u64>()).prop_map(|(sub_type, target, call)| {
        json!({
            "type": "telephony", "subType": sub_type, "products": ["AgencyCloud"], "targets": {"negotiatorId": [target]},
            "payload": {"id": format!("call-{call}"), "created": "2023-11-01T10:28:00", "callerId": "1", "destinationId": "2"},
        })
        .to_string()
    });
    prop_oneof![12 => body, 1 => Just("{".to_owned()), 1 => Just(String::new()), 1 => Just(" ".repeat(20_000))]
}

fn post() -> impl Strategy<Value = Asked> {
    let line = prop_oneof![
        20 => Just("POST /notifications HTTP/1.1"), 1 => Just("POST /notifications/ HTTP/1.1"),
        1 => Just("POST /notifications?a=b HTTP/1.1"), 1 => Just("POST http://x/notifications HTTP/1.1"),
        1 => Just("post /notifications HTTP/1.1"), 1 => Just("PUT /notifications HTTP/1.1"),
    ];
    let (good, of_person) = (application_token(), person("SBOX", "ADV", "AgencyCloud"));
    let token = prop_oneof![
        16 => Just(format!("authorization: Bearer {good}\r\n")), 1 => Just(String::new()),
        1 => Just("authorization: Bearer a.b.c\r\n".to_owned()), 1 => Just(format!("AUTHORIZATION:bearer {good} \r\n")),
        1 => Just(format!("authorization: Bearer {of_person}\r\n")), 1 => Just(format!("authorization: Bearer {good}\r\nauthorization: x\r\n")),
    ];
    let customer = prop_oneof![
        16 => Just("reapit-customer: SBOX\r\n"), 1 => Just(""), 1 => Just("reapit-customer: S B\r\n"),
        1 => Just("reapit-customer: SBOX\r\nreapit-customer: SBOX\r\n"),
    ];
    let json =
        prop_oneof![16 => Just("content-type: application/json\r\n"), 1 => Just(""), 1 => Just("content-type: text/plain\r\n")];
    let more = proptest::collection::vec(
        prop_oneof![
            4 => Just("prefer: return=representation\r\n"), 4 => Just("idempotency-key: k\r\n"), 2 => Just("idempotency-key: l\r\n"),
            2 => Just("x-request-id: own-1\r\n"), 2 => Just("accept: */*\r\n"), 1 => Just("api-version: 1999-01-01\r\n"),
            1 => Just("connection: keep-alive\r\n"), 1 => Just("connection: close\r\n"), 1 => Just("origin: https://crm.example\r\n"),
            1 => Just("origin: https://other.example\r\n"), 1 => Just("upgrade: h2c\r\n"), 1 => Just("a b: c\r\n"),
            1 => Just("x: \u{e9}\r\n"), 1 => Just("expect: 100-continue\r\n"), 1 => Just("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
        ],
        0..3,
    );
    let off = prop_oneof![30 => Just(0), 1 => Just(-1), 1 => Just(7)];
    (line, token, customer, json, more, event_body(), off).prop_map(|(line, token, customer, json, more, body, off)| {
        let mut headers = vec![token, customer.to_owned(), json.to_owned()];
        headers.extend(more.into_iter().map(str::to_owned));
        Asked { line, headers, body, off }
    })
}

fn other() -> impl Strategy<Value = Asked> {
    let of_person = format!("authorization: Bearer {}\r\n", person("SBOX", "CDV", "AgencyCloud"));
    let line = prop_oneof![
        Just("GET /notifications HTTP/1.1"),
        Just("GET /openapi HTTP/1.1"),
        Just("OPTIONS /notifications HTTP/1.1"),
        Just("DELETE /notifications/x HTTP/1.1"),
        Just("GET /session HTTP/1.1"),
        Just("GET /session/x HTTP/1.1"),
        Just("BREW /pot HTTP/1.1"),
    ];
    let more = prop_oneof![Just(""), Just("origin: https://crm.example\r\naccess-control-request-method: POST\r\n")];
    (line, more).prop_map(move |(line, more)| Asked {
        line,
        headers: vec![of_person.clone(), more.to_owned()],
        body: String::new(),
        off: 0,
    })
}

fn hand_shake() -> impl Strategy<Value = Asked> {
    let line = prop_oneof![
        4 => Just("GET /session HTTP/1.1"), 1 => Just("GET /session?device=d&resume=nothing HTTP/1.1"), 1 => Just("GET /session?x=1 HTTP/1.1"),
        1 => Just("GET /session?device= HTTP/1.1"),
    ];
    let token = person("SBOX", "CDV", "AgencyCloud");
    let token = prop_oneof![
        4 => Just(format!("authorization: Bearer {token}\r\n")), 1 => Just("authorization: Bearer x\r\n".to_owned()),
        2 => Just(format!("origin: https://crm.example\r\nsec-websocket-protocol: bellwire.v1, bellwire.token.{token}\r\n")),
        1 => Just("sec-websocket-protocol: bellwire.v1, bellwire.token.a.b.c\r\n".to_owned()),
    ];
    let upgrade =
        prop_oneof![4 => Just("connection: Upgrade\r\n"), 1 => Just("connection: keep-alive, Upgrade\r\n"), 1 => Just("")];
    let version = prop_oneof![6 => Just("sec-websocket-version: 13\r\n"), 1 => Just("sec-websocket-version: 8\r\n")];
    let key = prop_oneof![6 => Just("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 1 => Just("sec-websocket-key: dGhl\r\n")];
    (line, token, upgrade, version, key).prop_map(|(line, token, upgrade, version, key)| {
        let headers = [&token, upgrade, "upgrade: websocket\r\n", version, key].map(str::to_owned).to_vec();
        Asked { line, headers, body: String::new(), off: 0 }
    })
}

/// Requests one behind the other, the last of which ends the connection, in pieces.
fn conversation() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let asked = prop_oneof![8 => post().boxed(), 2 => other().boxed(), 1 => hand_shake().boxed()];
    // The same again and again, as providers send it, is the most frequent.
    let asked = (asked, 1..4_usize).prop_map(|(asked, times)| vec![asked; times]);
    let all = proptest::collection::vec(asked, 1..4)
        .prop_map(|all| all.into_iter().flatten().map(|asked| asked.text()).collect::<String>());
    // Now and then a byte is another than it should be.
    let other_byte = prop_oneof![4 => Just(None), 1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(Some)];
    (all, proptest::collection::vec(any::<prop::sample::Index>(), 0..5), other_byte).prop_map(|(all, cuts, other_byte)| {
        let mut all = all.into_bytes();
        if let Some((place, byte)) = other_byte {
            let place = place.index(all.len());
            all[place] = byte;
        }
        all.extend_from_slice(b"GET /end HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(all.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut rest, mut begin) = (Vec::new(), all.as_slice(), 0);
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut - begin);
            pieces.push(piece.to_vec());
            (rest, begin) = (behind, cut);
        }
        pieces.push(rest.to_vec());
        pieces.retain(|piece| !piece.is_empty());
        pieces
    })
}

#[test]
fn whatever_is_sent_both_readers_make_the_same_of_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let open = async {
        let plain = (Way::open("own reader", false, false).await, Way::open("library", true, false).await);
        [plain.0, plain.1, Way::open("own reader, TLS", false, true).await, Way::open("library, TLS", true, true).await]
    };
    let ways = std::cell::RefCell::new(runtime.block_on(open));
    let (case, mut runner) =
        (std::cell::Cell::new(0), TestRunner::new(Config { cases: CASES, max_shrink_iters: 200, ..Config::default() }));
    let done = runner.run(&conversation(), |pieces| {
        case.set(case.get() + 1);
        let mut ways = ways.borrow_mut();
        let came = runtime.block_on(futures::future::join_all(ways.iter_mut().map(|way| way.send(case.get(), &pieces))));
        for (one, other) in [(0, 1), (2, 3)] {
            prop_assert_eq!(&came[one], &came[other], "{} and {}", ways[one].name, ways[other].name);
        }
        prop_assert_eq!(&came[0].answers, &came[2].answers, "{} and {}", ways[0].name, ways[2].name);
        Ok(())
    });
    let folders = ways.borrow().iter().all(|way| way.folder.path().exists());
    assert!(folders && done.is_ok(), "{}", done.unwrap_err());
}
