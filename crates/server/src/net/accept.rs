//! A connection, from the kernel to the runtime that serves it: capped, introduced, secured.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answer::put_answer;
use super::connection::Connection;
use super::listener::{Door, Listener};
use super::proxies;
use super::service::{NoRequest, Service};
use super::stream::{Phase, Stream};
use super::tls::{Tls, TlsLine};
use crate::metrics::OfStep;
use crate::node::Node;
use crate::slots::Slot;

/// How long to wait when the process has no descriptor left: the next accept would fail as well.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop`; each is served by a task of its own, on the runtime that `whose` gives.
pub(crate) async fn accept(
    listener: Listener,
    service: Arc<impl Service>,
    node: Arc<Node>,
    whose: impl Fn() -> Handle,
    stop: CancellationToken,
) {
    loop {
        // Cancel safety: that of `Listener::accept`.
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                if let Some(accepted) = Accepted::admit((socket, peer), &node, &service, &listener) {
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
struct Accepted<S> {
    socket: std::net::TcpStream,
    slot: Slot,
    peer: SocketAddr,
    door: Door,
    tls: Option<Arc<Tls>>,
    node: Arc<Node>,
    service: Arc<S>,
}

impl<S: Service> Accepted<S> {
    fn admit(
        (mut socket, peer): (std::net::TcpStream, SocketAddr),
        node: &Arc<Node>,
        service: &Arc<S>,
        listener: &Listener,
    ) -> Option<Self> {
        let Listener { door, tls, .. } = listener;
        let slots = match door {
            Door::Api => &node.slots,
            Door::Operators => &node.operator_slots,
        };
        let Some(slot) = slots.take() else {
            let full = service.turn_away(NoRequest::Full);
            if tls.is_none() {
                let mut text = Vec::new();
                put_answer(&mut text, &full, node.clock.moment(), true);
                // The kernel's buffer is empty, so this does not block; a client that is gone does not matter.
                drop(socket.write(&text));
            }
            return None;
        };
        Some(Self { socket, slot, peer, door: *door, tls: tls.clone(), node: node.clone(), service: service.clone() })
    }

    async fn serve(self, stop: CancellationToken) {
        let Self { socket, slot, peer, door, tls, node, service } = self;
        let socket = TcpStream::from_std(socket).inspect_err(|error| tracing::error!(%error, "a connection cannot be served"));
        let Ok(socket) = socket else { return };
        let is_introduced = door == Door::Api && node.config.proxies.introduce(peer.ip());
        if tls.is_none() && !is_introduced {
            return Connection::new(Stream::new(socket, None, Phase::Head, slot), peer, node, service, stop).serve().await;
        }
        let opening = stop.run_until_cancelled(Box::pin(open(&node, socket, peer, is_introduced, tls.as_deref())));
        let Some(Ok(Opened { socket, peer, tls, is_h2 })) = opening.await else { return };
        let begun = if is_h2 { Phase::Open } else { Phase::Head };
        let connection = Connection::new(Stream::new(socket, tls, begun, slot), peer, node, service, stop);
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
