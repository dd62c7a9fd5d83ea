//! TLS, HTTP/2, and proxies that say whose a connection is.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use client::address::Address;
use client::api::Api;
use client::session::Session;
use futures::future::{join, join_all};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use server::config::{Config, Proxies, Rate, TlsFiles, ToldBy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::sessions::overflow;
use crate::support::{Caller, PATIENCE, TestNode, application_token, body, event, next_event, person, raw, read_to_end};

/// A node with a certificate of its own for 127.0.0.1.
struct Secured {
    node: TestNode,
    folder: tempfile::TempDir,
    grace: Duration,
}

impl Secured {
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.path().join("chain.pem"), certified.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), certified.signing_key.serialize_pem()).unwrap();
        let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        let mut grace = Duration::ZERO;
        let node = TestNode::start_with(|config| {
            config.tls = Some(files.clone());
            config.ops_tls = Some(files);
            change(config);
            grace = config.shutdown_grace;
        });
        Self { node: node.await, folder, grace }
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    fn address(&self, authority: &str) -> Address {
        Address::parse(&format!("https://{authority}"), Some(&self.chain())).unwrap()
    }

    fn provider(&self) -> Caller {
        Caller { api: Api::new(self.address(&self.node.api)), token: application_token(), customer: Some("SBOX".to_owned()) }
    }

    async fn session(&self, negotiator: &str) -> Session {
        let token = person("SBOX", negotiator, "AgencyCloud");
        let mut session = timeout(PATIENCE, Session::open(self.address(&self.node.api), &token, "")).await.unwrap().unwrap();
        assert_eq!(crate::support::message(&mut session).await["type"], "welcome");
        session
    }

    /// A metric, asked for over TLS as well.
    async fn metric(&self, name: &str) -> f64 {
        let mut operator = Caller { api: Api::new(self.address(&self.node.ops)), token: String::new(), customer: None };
        let answer = operator.get("/metrics", &[]).await;
        assert_eq!(answer.status, 200);
        crate::support::Metrics(String::from_utf8(answer.body.to_vec()).unwrap()).value(name)
    }

    /// Waits until a metric is so.
    async fn until(&self, name: &str, value: f64) {
        let so = async {
            while self.metric(name).await != value {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, so).await.unwrap_or_else(|_| panic!("{name} is not {value}"));
    }

    /// A connection with TLS, for one of these protocols.
    async fn connect_tls(&self, authority: &str, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        self.shake_hands(TcpStream::connect(authority).await.unwrap(), protocols).await
    }

    async fn shake_hands(&self, socket: TcpStream, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.chain()).unwrap()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), socket).await.unwrap()
    }

    /// An HTTP/2 connection that is driven.
    async fn h2(&self, authority: &str) -> SendRequest<Full<Bytes>> {
        let (sender, connection) = self.connect_h2(authority).await;
        #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
        tokio::spawn(connection);
        sender
    }

    async fn connect_h2(&self, authority: &str) -> (SendRequest<Full<Bytes>>, impl Future<Output = hyper::Result<()>> + use<>) {
        let stream = self.connect_tls(authority, &[b"h2"]).await;
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap()
    }
}

async fn exchange(sender: &SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
    let response = timeout(PATIENCE, sender.clone().send_request(request)).await.unwrap().unwrap();
    assert_eq!((response.version(), response.headers().get("connection")), (Version::HTTP_2, None));
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn post_to(authority: &str, negotiator: &str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("https://{authority}/notifications"))
        .header("authorization", format!("Bearer {}", application_token()))
        .header("reapit-customer", "SBOX")
        .header("content-type", "application/json");
    request.body(Full::from(event("incomingCall", &[negotiator]).to_string())).unwrap()
}

#[tokio::test]
async fn events_and_operators_come_in_by_tls() {
    let secured = Secured::start().await;
    let mut session = secured.session("ADV").await;
    let answer =
        secured.provider().post(event("incomingCall", &["ADV"]).to_string(), &[("prefer", "return=representation")]).await;
    assert_eq!(answer.status, 202);
    assert_eq!(next_event(&mut session).await["id"], body(&answer)["id"]);
    session.send(&json!({"type": "ack", "id": body(&answer)["id"]})).await.unwrap();
    session.close().await;
    assert_eq!(secured.metric("bellwire_events_total{sub_type=\"incomingCall\"}").await, 1.0);
    assert!(secured.metric("bellwire_certificate_expires_timestamp_seconds{listener=\"api\"}").await > 1.7e9);
}

#[tokio::test]
async fn a_slow_session_with_tls_is_closed_as_any_other() {
    let secured = Secured::start().await;
    let (slow, quick) = (secured.session("ADV").await, secured.session("ADV").await);
    overflow(secured.provider(), slow, quick).await;
    assert_eq!(secured.metric("bellwire_sessions_closed_total{code=\"4202\"}").await, 1.0);
}

#[tokio::test]
async fn what_a_slow_line_gets_at_last_is_whole_and_in_order() {
    let secured = Secured::start().await;
    let mut session = secured.session("ADV").await;
    let mut provider = secured.provider();
    let mut posted = Vec::new();
    // The session reads nothing until its socket is full.
    while secured.metric("bellwire_session_queue_events").await < 10.0 {
        let mut call = event("incomingCall", &["ADV"]);
        call["payload"]["id"] = json!("x".repeat(128));
        posted.push(body(&provider.post(call.to_string(), &[("prefer", "return=representation")]).await)["id"].clone());
        assert!(posted.len() < 100_000);
    }
    let mut received = Vec::new();
    while received.len() < posted.len() {
        received.push(next_event(&mut session).await["id"].clone());
    }
    assert_eq!(received, posted);
}

#[tokio::test]
async fn many_requests_share_an_http_2_connection() {
    let secured = Secured::start().await;
    let sender = secured.h2(&secured.node.api).await;
    let mut session = secured.session("ADV").await;
    let posts = (0..50).map(|_| exchange(&sender, post_to(&secured.node.api, "ADV")));
    assert!(join_all(posts).await.iter().all(|(status, _)| *status == 202));
    for _ in 0..50 {
        next_event(&mut session).await;
    }
}

#[tokio::test]
async fn http_2_has_the_refusals_of_http_1() {
    let secured = Secured::start().await;
    let api = secured.h2(&secured.node.api).await;
    let get =
        |authority: &str, path: &str| Request::get(format!("https://{authority}{path}")).body(Full::from(Bytes::new())).unwrap();
    let (status, said) = exchange(&api, get(&secured.node.api, "/session")).await;
    assert_eq!((status.as_u16(), said["statusCode"].as_u64()), (426, Some(426)), "{said}");
    assert_eq!(exchange(&api, get(&secured.node.api, "/notifications")).await.0, 401);
    let mut large = post_to(&secured.node.api, "ADV");
    *large.body_mut() = Full::from(vec![b' '; 1024 * 1024]);
    assert_eq!(exchange(&api, large).await.0, 413);
    assert_eq!(exchange(&api, post_to(&secured.node.api, "ADV")).await.0, 202, "the connection goes on");
}

#[tokio::test]
async fn an_http_2_connection_without_requests_ends() {
    let secured = Secured::start_with(|config| config.limits.idle_timeout = Duration::from_secs(1)).await;
    let (sender, connection) = secured.connect_h2(&secured.node.api).await;
    let idle = async { assert_eq!(exchange(&sender, post_to(&secured.node.api, "ADV")).await.0, 202) };
    let (ended, ()) = timeout(PATIENCE, join(connection, idle)).await.expect("it ends when it is idle");
    assert!(ended.is_ok(), "by a farewell: {ended:?}");
}

#[tokio::test]
async fn who_speaks_plainly_to_a_listener_with_tls_is_told() {
    let secured = Secured::start().await;
    let said = raw(&secured.node.api, b"GET /notifications HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 400 ") && said.ends_with("This listener speaks TLS: ask with https.\n"), "{said}");
    secured.until("bellwire_openings_failed_total{step=\"tls\"}", 1.0).await;
}

#[tokio::test]
async fn who_does_not_shake_hands_in_time_is_cut_off() {
    let secured = Secured::start_with(|config| config.limits.head_timeout = Duration::from_secs(1)).await;
    for begin in [&b""[..], &[22, 3, 1, 2]] {
        assert_eq!(raw(&secured.node.api, begin).await, "");
    }
    secured.until("bellwire_openings_failed_total{step=\"tls\"}", 2.0).await;
    secured.until("bellwire_connections", 0.0).await;
}

#[tokio::test]
async fn who_agrees_on_http_2_and_says_nothing_is_cut_off_as_soon() {
    let secured = Secured::start_with(|config| config.limits.head_timeout = Duration::from_secs(1)).await;
    let mut silent = secured.connect_tls(&secured.node.api, &[b"h2"]).await;
    // What the node says of its settings, and its farewell, are all that comes.
    drop(timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await.expect("it ends in time"));
    secured.until("bellwire_connections", 0.0).await;
}

#[tokio::test]
async fn a_client_that_hangs_on_http_2_holds_no_shutdown_up() {
    let secured = Secured::start().await;
    // Its connection is not driven, so it never says goodbye.
    let (_sender, _connection) = secured.connect_h2(&secured.node.api).await;
    let began = std::time::Instant::now();
    let grace = secured.grace;
    secured.node.stop().await;
    assert!(began.elapsed() < grace / 2, "{:?} of {grace:?}", began.elapsed());
}

/// A node behind a proxy on this machine, which lets a stranger in once.
async fn behind(told_by: ToldBy) -> TestNode {
    TestNode::start_with(|config| {
        config.proxies = Proxies { trusted: vec!["127.0.0.0/8".parse().unwrap()], told_by };
        config.limits.strangers = Rate { per_second: 1, burst: 1 };
    })
    .await
}

const GET: &[u8] = b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn status(said: &str) -> &str {
    said.get(9..12).unwrap_or(said)
}

#[tokio::test]
async fn a_connection_is_of_whom_the_proxy_says() {
    let node = behind(ToldBy::ProxyProtocol).await;
    let ask = async |header: &str| raw(&node.api, &[header.as_bytes(), GET].concat()).await;
    let (first, second) = ("PROXY TCP4 192.0.2.1 10.0.0.1 4711 8080\r\n", "PROXY TCP4 192.0.2.2 10.0.0.1 4711 8080\r\n");
    assert_eq!(status(&ask(first).await), "404");
    assert_eq!(status(&ask(first).await), "429", "each has a budget of its own");
    assert_eq!(status(&ask(second).await), "404");
    assert_eq!(ask("").await, "", "a proxy that does not introduce a connection is not heard");
    let metrics = node.metrics().await;
    assert_eq!(metrics.value("bellwire_openings_failed_total{step=\"proxy-protocol\"}"), 1.0);
}

#[tokio::test]
async fn a_request_is_of_whom_the_proxy_says() {
    for (told_by, name, value) in [(ToldBy::Forwarded, "forwarded", "for="), (ToldBy::XForwardedFor, "x-forwarded-for", "")] {
        let node = behind(told_by).await;
        let ask = async |client: &str| {
            let head = format!("GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{name}: {value}{client}\r\n\r\n");
            raw(&node.api, head.as_bytes()).await
        };
        assert_eq!(status(&ask("192.0.2.1").await), "404");
        assert_eq!(status(&ask("192.0.2.1").await), "429");
        assert_eq!(status(&ask("192.0.2.2").await), "404");
    }
}

#[tokio::test]
async fn a_proxy_that_introduces_a_connection_can_pass_tls_on() {
    let secured = Secured::start_with(|config| {
        config.proxies = Proxies { trusted: vec!["127.0.0.0/8".parse().unwrap()], told_by: ToldBy::ProxyProtocol };
    })
    .await;
    let mut socket = TcpStream::connect(&secured.node.api).await.unwrap();
    socket.write_all(b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 8080\r\n").await.unwrap();
    let mut stream = secured.shake_hands(socket, &[]).await;
    stream.write_all(GET).await.unwrap();
    let mut said = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap().unwrap();
    assert_eq!(status(&String::from_utf8_lossy(&said)), "404");
}

#[tokio::test]
async fn a_proxy_that_hangs_is_cut_off() {
    let node = TestNode::start_with(|config| {
        config.proxies = Proxies { trusted: vec!["127.0.0.0/8".parse().unwrap()], told_by: ToldBy::ProxyProtocol };
        config.limits.head_timeout = Duration::from_secs(1);
    })
    .await;
    let mut socket = TcpStream::connect(&node.api).await.unwrap();
    socket.write_all(b"PROXY TCP4 192.0").await.unwrap();
    assert_eq!(read_to_end(&mut socket).await, "");
}
