//! Bytes to requests and back: accepting, capping, timing out.

pub mod listener; // where connections come in
pub mod tls; // certificates, hand-shakes, records
pub(crate) mod proxies; // whose a connection or a request is
pub(crate) mod stream; // the two directions of a socket, and its phase
pub(crate) mod connection; // one socket: its slot, its deadlines, its requests
pub(crate) mod http1; // the usual request, answered without the HTTP library
pub(crate) mod headers; // what is asked of headers, whoever has read them
pub(crate) mod outgoing; // bodies that are sent

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::api::faults::{ApiError, Unavailable};
use crate::app::Node;
use crate::metrics::OfStep;
use crate::net::connection::{Connection, Slot};
use crate::net::listener::Listener;
use crate::net::stream::{Phase, Stream};
use crate::net::tls::{Tls, TlsLine};

/// How long to wait when the process has no descriptor left: the next accept would fail as well.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Which listener a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Providers and products.
    Api,
    /// Operators.
    Operators,
}

impl Door {
    fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Operators => "operators",
        }
    }
}

/// Accepts connections until `stop`; each is served by a task of its own, on the runtime that `whose` gives.
pub(crate) async fn accept(listener: Listener, node: Arc<Node>, whose: impl Fn() -> Handle, stop: CancellationToken) {
    loop {
        // Cancel safety: that of `Listener::accept`.
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                if let Some(accepted) = Accepted::admit(socket, peer, &node, &listener) {
                    node.spawn_connection(accepted.serve(stop.clone()), &whose());
                }
            }
            Err(error) if is_exhaustion(&error) => {
                tracing::error!(%error, "cannot accept connections: out of descriptors or memory");
                tokio::time::sleep(NO_DESCRIPTOR_PAUSE).await;
            }
            Err(error) => tracing::debug!(%error, "a connection ended before it was accepted"),
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    exhausted.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A connection that there is room for, on its way to the runtime that serves it.
struct Accepted {
    socket: std::net::TcpStream,
    slot: Slot,
    peer: SocketAddr,
    door: Door,
    tls: Option<Arc<Tls>>,
    node: Arc<Node>,
}

impl Accepted {
    fn admit(mut socket: std::net::TcpStream, peer: SocketAddr, node: &Arc<Node>, listener: &Listener) -> Option<Self> {
        let Listener { door, tls, .. } = listener;
        let slots = match door {
            Door::Api => &node.slots,
            Door::Operators => &node.operator_slots,
        };
        let Some(slot) = slots.take() else {
            let full = ApiError::Unavailable(Unavailable::Connections);
            full.count(node);
            if tls.is_none() {
                // The kernel's buffer is empty, so this does not block; a client that is gone does not matter.
                drop(socket.write(&full.into_raw(node)));
            }
            return None;
        };
        Some(Self { socket, slot, peer, door: *door, tls: tls.clone(), node: node.clone() })
    }

    async fn serve(self, stop: CancellationToken) {
        let Self { socket, slot, peer, door, tls, node } = self;
        let socket = TcpStream::from_std(socket).inspect_err(|error| tracing::error!(%error, "a connection cannot be served"));
        let Ok(socket) = socket else { return };
        let is_introduced = door == Door::Api && node.config.proxies.introduce(peer.ip());
        if tls.is_none() && !is_introduced {
            return Connection::new(Stream::new(socket, None, Phase::Head, slot), peer, door, node, stop).serve().await;
        }
        let opening = stop.run_until_cancelled(Box::pin(open(&node, socket, peer, is_introduced, tls.as_deref())));
        let Some(Ok(Opened { socket, peer, tls, is_h2 })) = opening.await else { return };
        let begun = if is_h2 { Phase::Open } else { Phase::Head };
        let connection = Connection::new(Stream::new(socket, tls, begun, slot), peer, door, node, stop);
        if is_h2 { Box::pin(connection.serve_h2()).await } else { Box::pin(connection.serve()).await }
    }
}

/// A connection on which requests can come.
struct Opened {
    socket: TcpStream,
    /// Whose it is.
    peer: SocketAddr,
    tls: Option<Box<TlsLine>>,
    is_h2: bool,
}

/// Goes through what comes before the first request, in the time of a head.
async fn open(
    node: &Node,
    mut socket: TcpStream,
    peer: SocketAddr,
    is_introduced: bool,
    tls: Option<&Tls>,
) -> io::Result<Opened> {
    let failed = |step: &'static str| {
        move |error: &io::Error| {
            tracing::debug!(%peer, step, %error, "a connection ended before its first request");
            node.metrics.openings_failed.get_or_create(&OfStep { step }).inc();
        }
    };
    let end = Instant::now() + node.config.limits.head_timeout;
    let mut client = peer;
    if is_introduced {
        let told = timeout_at(end, proxies::introduction(&mut socket)).await;
        let told = told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).inspect_err(failed("proxy-protocol"))?;
        client = told.unwrap_or(peer);
    }
    let Some(tls) = tls else { return Ok(Opened { socket, peer: client, tls: None, is_h2: false }) };
    let accepted = timeout_at(end, tls.accept(socket)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let (socket, tls, is_h2) = accepted.inspect_err(failed("tls"))?;
    Ok(Opened { socket, peer: client, tls: Some(tls), is_h2 })
}
