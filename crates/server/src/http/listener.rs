//! Where connections come in.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::net::{TcpListener, TcpSocket};

use super::Door;
use super::tls::{Tls, TlsError};
use crate::app::Node;
use crate::config::{Config, TlsFiles};
use crate::metrics::OfListener;

/// How many connections the kernel keeps that were not accepted yet.
const BACKLOG: u32 = 4096;
/// How long before its end a certificate is talked about, and how often.
const CERTIFICATE_ENDS_SOON: SignedDuration = SignedDuration::from_hours(7 * 24);
const REMINDER_INTERVAL: SignedDuration = SignedDuration::from_hours(24);

/// A socket, and what is spoken on it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(super) socket: TcpListener,
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
        source: std::io::Error,
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
            // Set on the listener: sockets inherit it before their window is agreed.
            socket.set_send_buffer_size(send_buffer)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let tls = tls
            .map(|files| Tls::open(files, door))
            .transpose()
            .map_err(|source| ListenError::Tls { address, source: Box::new(source) })?;
        let socket = bind().map_err(|source| ListenError::Listen { address, source })?;
        Ok(Self { socket, door, tls: tls.map(Arc::new) })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
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
