//! A receiver of webhooks over real sockets that does what a test tells it to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_util::task::AbortOnDropHandle;

use crate::support::PATIENCE;

/// What the receiver does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers with this status and no body.
    Status(u16),
    /// Writes these bytes as they are, and goes on reading requests.
    Raw(Vec<u8>),
    /// Reads the request and never answers.
    Hang,
    /// Writes these bytes and then nothing, with the connection open.
    Begin(Vec<u8>),
    /// Writes the first bytes, then the second again and again as long as they are taken.
    Endless(Vec<u8>, Vec<u8>),
    /// Writes the first bytes, then a byte each time that this much time has passed, as long as they are taken.
    Drip(Vec<u8>, Duration),
    /// Answers with this status when a permit is there.
    When(Arc<Semaphore>, u16),
    /// Writes these bytes as they are when a permit is there.
    RawWhen(Arc<Semaphore>, Vec<u8>),
    /// Closes the connection without an answer.
    Close,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The request line and the headers, byte for byte.
    pub(crate) head: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// Which connection it came by, in the order in which they came.
    pub(crate) connection: usize,
}

impl Received {
    /// The value of a header, by its name in this very case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| line.split_once(": ").filter(|(other, _)| *other == name).map(|(_, value)| value))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// By path; where there is none, `usual`.
    script: HashMap<String, VecDeque<Reply>>,
    usual: HashMap<String, Reply>,
    connections: usize,
    /// Bytes of endless answers that were taken.
    taken: usize,
}

/// Listens until it is dropped.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    came: Arc<Notify>,
    _listening: AbortOnDropHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    /// With TLS for these names. Returns the certificate, in PEM, of the authority that signed it as well.
    pub(crate) async fn start_tls(names: &[&str]) -> (Self, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let receiver = Self::start_tls_with(certified.cert.der().clone(), certified.signing_key.serialize_der()).await;
        (receiver, certified.cert.pem())
    }

    /// With TLS by this certificate and its key.
    pub(crate) async fn start_tls_with(certificate: CertificateDer<'static>, key: Vec<u8>) -> Self {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        Self::serve(Some(TlsAcceptor::from(Arc::new(config.unwrap())))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, came) = (Arc::new(Mutex::new(State::default())), Arc::new(Notify::new()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listening = accept(listener, tls, state.clone(), came.clone());
        #[expect(clippy::disallowed_methods, reason = "ended when the receiver is dropped")]
        let _listening = AbortOnDropHandle::new(tokio::spawn(listening));
        Self { port, scheme, state, came, _listening }
    }

    /// A callback URL; each path has a script of its own.
    pub(crate) fn url(&self, path: &str) -> String {
        self.url_at("127.0.0.1", path)
    }

    /// The same under another name.
    pub(crate) fn url_at(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.port)
    }

    /// What is done with the next requests to a path.
    pub(crate) fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().script.entry(path.to_owned()).or_default().extend(replies);
    }

    /// What is done with requests to a path beyond the script; 200 where nothing is said.
    pub(crate) fn usually(&self, path: &str, reply: Reply) {
        self.state.lock().unwrap().usual.insert(path.to_owned(), reply);
    }

    /// All requests to a path so far.
    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        self.state.lock().unwrap().received.iter().filter(|received| received.path == path).cloned().collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Bytes of endless answers that were taken so far.
    pub(crate) fn taken(&self) -> usize {
        self.state.lock().unwrap().taken
    }

    /// Waits until so many requests have come to a path, and returns all of them.
    pub(crate) async fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        let waiting = async {
            loop {
                let came = self.came.notified();
                let received = self.received(path);
                if received.len() >= count {
                    return received;
                }
                came.await;
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{count} requests to {path}, came: {}", self.received(path).len()))
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>, came: Arc<Notify>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (state, came, tls) = (state.clone(), came.clone(), tls.clone());
        let number = {
            let mut state = state.lock().unwrap();
            state.connections += 1;
            state.connections
        };
        connections.spawn(async move {
            match tls {
                None => converse(stream, number, &state, &came).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => converse(stream, number, &state, &came).await,
                    Err(_) => None,
                },
            }
        });
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    connection: usize,
    state: &Mutex<State>,
    came: &Notify,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let received = read(&mut stream, &mut buffer, connection).await?;
        let path = received.path.clone();
        let reply = {
            let mut state = state.lock().unwrap();
            state.received.push(received);
            let scripted = state.script.get_mut(&path).and_then(VecDeque::pop_front);
            scripted.or_else(|| state.usual.get(&path).cloned()).unwrap_or(Reply::Status(200))
        };
        came.notify_waiters();
        match reply {
            Reply::Status(status) => stream.write_all(&answer(status)).await.ok()?,
            Reply::Raw(bytes) => stream.write_all(&bytes).await.ok()?,
            Reply::Hang => std::future::pending().await,
            Reply::Begin(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                std::future::pending().await
            }
            Reply::Endless(begin, more) => {
                stream.write_all(&begin).await.ok()?;
                loop {
                    stream.write_all(&more).await.ok()?;
                    state.lock().unwrap().taken += more.len();
                }
            }
            Reply::Drip(begin, pause) => {
                stream.write_all(&begin).await.ok()?;
                loop {
                    stream.write_all(b"x").await.ok()?;
                    state.lock().unwrap().taken += 1;
                    tokio::time::sleep(pause).await;
                }
            }
            Reply::When(permits, status) => {
                permits.acquire().await.unwrap().forget();
                stream.write_all(&answer(status)).await.ok()?;
            }
            Reply::RawWhen(permits, bytes) => {
                permits.acquire().await.unwrap().forget();
                stream.write_all(&bytes).await.ok()?;
            }
            Reply::Close => return None,
        }
    }
}

fn answer(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>, connection: usize) -> Option<Received> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = if head.starts_with("GET ") { 0 } else { length.expect("a Content-Length") };
    while buffer.len() < end + 4 + length {
        more(stream, buffer).await?;
    }
    let body = buffer[end + 4..end + 4 + length].to_vec();
    buffer.drain(..end + 4 + length);
    let path = head.split(' ').nth(1).unwrap().to_owned();
    Some(Received { head, path, body, connection })
}

async fn more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<()> {
    buffer.reserve(64 * 1024);
    stream.read_buf(buffer).await.ok().filter(|count| *count > 0).map(drop)
}
