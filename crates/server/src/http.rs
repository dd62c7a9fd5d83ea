//! Sockets → requests → answers: accepting, capping, timing out.

pub(crate) mod connection; // one socket: its slot, its phases, its deadlines
pub(crate) mod routes; // method and path → handler: the API's table of contents
pub(crate) mod request; // what the headers and the body say
pub(crate) mod notifications; // taking, listing and taking away notifications
pub(crate) mod negotiators; // the directory, in Reapit's shape
pub(crate) mod connectors; // telephone systems' own callbacks
pub(crate) mod events; // what other systems report, for subscribers
pub(crate) mod webhooks; // subscriptions and deliveries
pub(crate) mod answer; // what several calls answer alike
pub(crate) mod paging; // pages by number, as Reapit has them
pub(crate) mod session; // upgrading to a session
pub(crate) mod openapi; // the published contract
pub(crate) mod cors; // which pages may call from a browser
pub(crate) mod ops; // the operators' listener
pub(crate) mod outgoing; // bodies that are sent
pub(crate) mod error; // the only place that names a status code of our API

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::app::Node;
use crate::http::connection::{Connection, Slot};
use crate::http::error::{ApiError, Unavailable};

/// How long to wait when the process has no descriptor left: the next accept would fail as well.
const NO_DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);
/// How long what was sent can stay unacknowledged before the kernel gives the connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(15);

/// Which listener a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Providers and products.
    Api,
    /// Operators.
    Operators,
}

/// Accepts connections until `stop`; each is served by a task of its own, on the runtime that `whose` gives.
pub(crate) async fn accept(
    listener: TcpListener,
    node: Arc<Node>,
    door: Door,
    whose: impl Fn() -> Handle,
    stop: CancellationToken,
) {
    loop {
        // Cancel safety: `accept` takes no connection unless it returns it.
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                if let Some(accepted) = Accepted::admit(socket, peer, &node, door) {
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
    node: Arc<Node>,
}

impl Accepted {
    fn admit(socket: TcpStream, peer: SocketAddr, node: &Arc<Node>, door: Door) -> Option<Self> {
        let slots = match door {
            Door::Api => &node.slots,
            Door::Operators => &node.operator_slots,
        };
        let Some(slot) = slots.take() else {
            let full = ApiError::Unavailable(Unavailable::Connections);
            full.count(node);
            // The kernel's buffer is empty, so this does not block; a client that is gone does not matter.
            drop(socket.try_write(&full.into_raw(node)));
            return None;
        };
        let ready = set_options(&socket).and_then(|()| socket.into_std());
        let socket = ready.inspect_err(|error| tracing::debug!(%error, "a connection ended before it was served")).ok()?;
        Some(Self { socket, slot, peer, door, node: node.clone() })
    }

    async fn serve(self, stop: CancellationToken) {
        let Self { socket, slot, peer, door, node } = self;
        match TcpStream::from_std(socket) {
            Ok(socket) => Connection::new(socket, slot, peer, door, node).serve(stop).await,
            Err(error) => tracing::error!(%error, "a connection cannot be served"),
        }
    }
}

fn set_options(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(USER_TIMEOUT))
}
