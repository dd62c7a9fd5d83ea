//! Peers that do what a test tells them to, and the limits of the tests.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::Request;
use outbound::body;
use outbound::dial::dial;
use outbound::error::OutboundError;
use outbound::exchange::{Case, Connection, Driver, Heads, begin};
use outbound::stream::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub(crate) const HEADS: Heads = Heads { bytes_max: 8 * 1024, headers_max: 10, case: Case::Lower };
/// A limit in which all happens that happens at all on this machine: that takes microseconds.
pub(crate) const SHORT: Duration = Duration::from_millis(200);
/// More than a test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A peer on a port of its own.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses.
pub(crate) async fn refusing() -> SocketAddr {
    listener().await.1
}

/// A limit that ends when the peer says so: it has come to the stage in which it hangs.
#[derive(Clone, Default)]
pub(crate) struct Signal(Arc<Notify>);

impl Signal {
    pub(crate) fn give(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn limit(self) {
        self.0.notified().await;
    }
}

/// Both in one test, within its patience.
pub(crate) async fn both<A, B>(peer: impl Future<Output = A>, own: impl Future<Output = B>) -> (A, B) {
    tokio::time::timeout(PATIENCE, async { tokio::join!(peer, own) }).await.unwrap()
}

/// What `own` returns while the peer does what it does, which may have no end.
pub(crate) async fn against<T>(peer: impl Future<Output = ()>, own: impl Future<Output = T>) -> T {
    let racing = async {
        tokio::select! {
            done = own => done,
            () = async { peer.await; pending().await } => unreachable!(),
        }
    };
    tokio::time::timeout(PATIENCE, racing).await.unwrap()
}

pub(crate) async fn connected(address: SocketAddr) -> TcpStream {
    dial([address], pending::<()>, pending()).await.unwrap().0
}

pub(crate) async fn begun(address: SocketAddr) -> (Connection, Driver) {
    begin(Stream::from(connected(address).await), HEADS).await.unwrap()
}

pub(crate) fn request() -> Request<Full<Bytes>> {
    Request::post("/hooks").header("host", "localhost").body(Full::from("{}")).unwrap()
}

/// Reads a request of [`request`] to its end.
pub(crate) async fn heard(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n{}") {
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "it ended");
    }
    String::from_utf8(heard).unwrap()
}

/// Accepts a connection, hears a request, and writes `answer` to it. The connection stays open.
pub(crate) async fn answering(listener: &TcpListener, answer: impl AsRef<[u8]>) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    heard(&mut stream).await;
    stream.write_all(answer.as_ref()).await.unwrap();
    stream
}

/// Sends a request and reads the answer, of which the body has `max` bytes at most; returns what came of the body as well.
pub(crate) async fn asked(address: SocketAddr, max: usize) -> (Result<u16, OutboundError>, Bytes) {
    let (mut connection, mut driver) = begun(address).await;
    let mut text = BytesMut::new();
    let exchanging = async {
        let (head, body) = connection.send(request(), pending()).await?.into_parts();
        body::read(body, &mut text, max, pending()).await?;
        Ok(head.status.as_u16())
    };
    (driver.during(exchanging).await, text.freeze())
}
