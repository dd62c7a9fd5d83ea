//! Where connections come in.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpSocket;

use super::tls::{Tls, TlsError};
use crate::config::{Config, TlsFiles};
use crate::metrics::OfListener;
use crate::node::Node;

/// How many connections the kernel keeps that were not accepted yet.
const BACKLOG: u32 = 4096;
/// How long what was sent can stay unacknowledged before the kernel gives the connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long before its end a certificate is talked about, and how often.
const CERTIFICATE_ENDS_SOON: SignedDuration = SignedDuration::from_hours(7 * 24);
const REMINDER_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

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

/// A socket, and what is spoken on it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: AsyncFd<TcpListener>,
    pub(super) door: Door,
    pub(super) tls: Option<Arc<Tls>>,
}

/// Why nobody can come in.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is no TLS on it.
    #[error("cannot speak TLS on {address}")]
    Tls {
        /// The address.
        address: SocketAddr,
        /// What is wrong.
        source: Box<TlsError>,
    },
}

impl Listener {
    /// The listeners for providers and products, and for operators.
    pub(crate) fn bind_both(config: &Config) -> Result<(Self, Self), ListenError> {
        let api = Self::bind(Door::Api, config.listen, config.tls.as_ref(), config.send_buffer)?;
        Ok((api, Self::bind(Door::Operators, config.ops_listen, config.ops_tls.as_ref(), config.send_buffer)?))
    }

    fn bind(door: Door, address: SocketAddr, tls: Option<&TlsFiles>, send_buffer: u32) -> Result<Self, ListenError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            // Set on the listener, sockets inherit it: the buffer before their window is agreed, the others without a call for each.
            socket.set_send_buffer_size(send_buffer)?;
            socket.set_nodelay(true)?;
            socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
            socket.bind(address)?;
            registered(socket.listen(BACKLOG)?.into_std()?)
        };
        let tls = tls
            .map(|files| Tls::open(files, door == Door::Api))
            .transpose()
            .map_err(|source| ListenError::Tls { address, source: Box::new(source) })?;
        let socket = bind().map_err(|source| ListenError::Listen { address, source })?;
        Ok(Self { socket, door, tls: tls.map(Arc::new) })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The next connection. It is in nobody's runtime yet: which one will serve it is decided behind this, and to move it would take two
    /// calls more.
    ///
    /// Cancel safety: takes no connection unless it returns it.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.socket.async_io(Interest::READABLE, TcpListener::accept).await?;
        socket.set_nonblocking(true)?;
        Ok((socket, peer))
    }

    /// What looks after the certificate, from time to time.
    pub(crate) fn caretaker(&self) -> impl FnMut(&Node) + use<> {
        let (listener, tls, mut reminder) = (self.door.name(), self.tls.clone(), Timestamp::MIN);
        move |node: &Node| {
            let Some(tls) = &tls else { return };
            tls.refresh();
            let (now, expires) = (node.clock.now(), tls.expires());
            node.metrics.certificate_expires.get_or_create(&OfListener { listener }).set(expires.as_second());
            if expires.duration_since(now) < CERTIFICATE_ENDS_SOON && now >= reminder {
                reminder = now.saturating_add(REMINDER_INTERVAL).unwrap_or(Timestamp::MAX);
                tracing::warn!(listener, %expires, "the certificate ends soon, or has ended: after that nobody connects");
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "what came in its place wants the promise that the descriptor stays; the standard library keeps it"
)]
fn registered(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_has_the_options_of_its_listener() {
        let listener = Listener::bind(Door::Api, "127.0.0.1:0".parse().unwrap(), None, 20_000).unwrap();
        let _client = TcpStream::connect(listener.address().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let accepted = socket2::SockRef::from(&socket);
        assert_eq!((socket.nodelay().unwrap(), accepted.tcp_user_timeout().unwrap()), (true, Some(USER_TIMEOUT)));
        // The kernel counts its own share as much again (socket(7)).
        assert_eq!((accepted.send_buffer_size().unwrap(), accepted.nonblocking().unwrap()), (40_000, true));
    }
}
