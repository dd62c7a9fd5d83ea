//! A receiver of webhooks that fails twice and then takes what it is sent.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// How often it fails.
const FAILURES: u16 = 2;
/// Requests that nobody has looked at yet.
const WAITING_MAX: usize = 16;

/// A delivery as it came, and what was answered.
pub(super) struct Taken {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) answered: StatusCode,
}

/// Listens until it is dropped.
pub(super) struct Receiver {
    pub(super) url: String,
    pub(super) taken: mpsc::Receiver<Taken>,
    _listening: AbortOnDropHandle<()>,
}

impl Receiver {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hooks", listener.local_addr()?);
        let (tell, taken) = mpsc::channel(WAITING_MAX);
        #[expect(clippy::disallowed_methods, reason = "ended when the receiver is dropped")]
        let _listening = AbortOnDropHandle::new(tokio::spawn(listen(listener, tell)));
        Ok(Self { url, taken, _listening })
    }
}

/// One connection after the other: there is one sender, and it keeps its connection.
async fn listen(listener: TcpListener, tell: mpsc::Sender<Taken>) {
    let count = Arc::new(AtomicU16::new(0));
    while let Ok((stream, _)) = listener.accept().await {
        let answer = service_fn(|request| answer(request, count.clone(), tell.clone()));
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
    }
}

async fn answer(
    request: Request<Incoming>,
    count: Arc<AtomicU16>,
    tell: mpsc::Sender<Taken>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let failed = count.fetch_add(1, Ordering::AcqRel) < FAILURES;
    let answered = if failed { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    // The demo may be over.
    drop(tell.send(Taken { headers: head.headers, body, answered }).await);
    let mut response = Response::new(Full::default());
    *response.status_mut() = answered;
    Ok(response)
}
