//! TLS on a listener (RFC 8446): its certificate, which is read again when its file changes, and the hand-shake.

mod certificate; // chain and key, as they are in their files
mod validity; // when a certificate ends
mod line; // a connection's records

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use tokio_rustls::rustls::{self, ServerConfig};

use self::certificate::Certificate;
use super::stream::read_out;
use crate::config::TlsFiles;

pub use self::certificate::CertificateError;
pub(crate) use self::line::TlsLine;

/// HTTP/2 (RFC 9113 §3.2).
const H2: &[u8] = b"h2";
/// RFC 7301 §6.
const HTTP_1_1: &[u8] = b"http/1.1";
/// What every record of a hand-shake begins with (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
/// For those who speak plain HTTP to a listener with TLS.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 42\r\n\r\n\
    This listener speaks TLS: ask with https.\n";

/// The TLS of one listener.
#[derive(Debug)]
pub(crate) struct Tls {
    acceptor: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Certificate or key are unusable.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// Checks certificate and key as a start does.
///
/// # Errors
/// [`TlsError`], as a start would fail with.
pub fn check(files: &TlsFiles) -> Result<(), TlsError> {
    Tls::open(files, true).map(drop)
}

impl Tls {
    /// Reads certificate and key, and offers HTTP/1.1, `with_h2` HTTP/2 as well.
    pub(crate) fn open(files: &TlsFiles, with_h2: bool) -> Result<Self, TlsError> {
        let certificate = Arc::new(Certificate::open(files)?);
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(certificate.clone());
        config.alpn_protocols = if with_h2 { vec![H2.to_vec(), HTTP_1_1.to_vec()] } else { vec![HTTP_1_1.to_vec()] };
        // A client that comes back needs no signature of ours; the keys of tickets live in this process only.
        config.ticketer = Ticketer::new()?;
        Ok(Self { acceptor: Arc::new(config), certificate })
    }

    /// Reads the files again; if they are unusable, what was good before goes on.
    pub(crate) fn refresh(&self) {
        self.certificate.refresh();
    }

    /// When the certificate ends.
    pub(crate) fn expires(&self) -> Timestamp {
        self.certificate.expires()
    }

    /// Shakes hands; gives the line, and whether HTTP/2 is spoken on it.
    pub(crate) async fn accept(&self, mut socket: TcpStream) -> io::Result<(TcpStream, Box<TlsLine>, bool)> {
        let mut first = [0];
        if socket.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
            // Nothing was written yet, so the kernel's buffer has room.
            drop(socket.try_write(PLAIN));
            read_out(&mut socket).await;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
        }
        let (socket, connection) = TlsAcceptor::from(self.acceptor.clone()).accept(socket).await?.into_inner();
        let is_h2 = connection.alpn_protocol() == Some(H2);
        Ok((socket, Box::new(TlsLine::new(connection)), is_h2))
    }
}
