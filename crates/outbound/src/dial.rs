//! Names → addresses → a connected socket.
//!
//! The loop over the addresses of a host stands here and nowhere else: what one day tries several at a time (RFC 8305, Happy
//! Eyeballs) takes its place.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};

use crate::error::{ExchangeStage, OutboundError, within};

/// Returns the addresses of `host`, a name or an address, as the system knows them.
///
/// Cancel safety: nothing is lost.
///
/// # Errors
/// [`OutboundError::Resolve`], [`OutboundError::TimedOut`].
pub async fn resolve(host: &str, port: u16, limit: impl Future<Output = ()>) -> Result<Vec<SocketAddr>, OutboundError> {
    let found = within(ExchangeStage::Resolve, limit, lookup_host((host, port))).await?;
    let failed = |source| OutboundError::Resolve { name: host.to_owned(), source };
    Ok(found.map_err(failed)?.collect())
}

/// Connects to the first of `addresses` that takes the connection, and returns which one that was.
///
/// They are tried one after the other. `each` makes the limit of one address, so that there is time for the next; `limit` is that of
/// all.
///
/// Cancel safety: the connection that is being tried is closed.
///
/// # Errors
/// [`OutboundError::Connect`] with the last address, [`OutboundError::NoAddress`], [`OutboundError::TimedOut`].
pub async fn dial<W: Future<Output = ()>>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    each: impl Fn() -> W,
    limit: impl Future<Output = ()>,
) -> Result<(TcpStream, SocketAddr), OutboundError> {
    let trying = async {
        let mut last = OutboundError::NoAddress;
        for address in addresses {
            match within(ExchangeStage::Connect, each(), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request is written at once; an answer to it is waited for. A socket that refuses this has just ended.
                    drop(stream.set_nodelay(true));
                    return Ok((stream, address));
                }
                Ok(Err(source)) => last = OutboundError::Connect { address, source },
                Err(_late) => {
                    let source = io::Error::new(io::ErrorKind::TimedOut, format!("{address} takes no connection"));
                    last = OutboundError::Connect { address, source };
                }
            }
        }
        Err(last)
    };
    within(ExchangeStage::Connect, limit, trying).await?
}
