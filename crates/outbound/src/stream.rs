//! A connection's bytes, plain or secured by TLS.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::dial::{dial, resolve};
use crate::error::{ExchangeStage, OutboundError, within};
use crate::trust::Trust;

/// Where a connection leads, and how it is secured.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// A name or an address, without brackets; its certificate must be for it.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// Whom to trust; `None`: no TLS.
    pub trust: Option<&'a Trust>,
}

/// Both directions of a connection.
#[derive(Debug)]
pub struct Stream(Layer);

#[derive(Debug)]
enum Layer {
    Plain(TcpStream),
    // Boxed, since it is fifty times as large.
    Secured(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self(Layer::Plain(stream))
    }
}

impl Stream {
    /// Connects to a host that the system knows, and shakes hands where the destination is secured. `each` and `limit` as for
    /// [`dial`]; `limit` is that of the whole.
    ///
    /// Cancel safety: the connection is closed.
    ///
    /// # Errors
    /// [`OutboundError`], as [`resolve`], [`dial`] and [`Stream::secure`] have it.
    pub async fn open<W: Future<Output = ()>>(
        to: Destination<'_>,
        each: impl Fn() -> W,
        limit: impl Future<Output = ()>,
    ) -> Result<Self, OutboundError> {
        let mut limit = pin!(limit);
        let addresses = resolve(to.host, to.port, limit.as_mut()).await?;
        let (stream, _) = dial(addresses, each, limit.as_mut()).await?;
        match to.trust {
            None => Ok(stream.into()),
            Some(trust) => Self::secure(stream, to.host, trust, limit).await,
        }
    }

    /// Shakes hands with `host` by TLS: the name that is asked for (SNI), and that the certificate must be for.
    ///
    /// Cancel safety: the connection is closed.
    ///
    /// # Errors
    /// [`OutboundError::Tls`], [`OutboundError::TimedOut`].
    pub async fn secure(
        stream: TcpStream,
        host: &str,
        trust: &Trust,
        limit: impl Future<Output = ()>,
    ) -> Result<Self, OutboundError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| OutboundError::Tls(io::Error::other(error)))?;
        let shaking = TlsConnector::from(trust.0.clone()).connect(name, stream);
        let secured = within(ExchangeStage::Tls, limit, shaking).await?.map_err(OutboundError::Tls)?;
        Ok(Self(Layer::Secured(Box::new(secured))))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Layer::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Layer::Secured(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Layer::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Layer::Secured(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Layer::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Layer::Secured(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    /// Head and body of a request go out in one call of the kernel.
    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Layer::Plain(stream) => stream.is_write_vectored(),
            Layer::Secured(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Layer::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Layer::Secured(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Layer::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Layer::Secured(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
