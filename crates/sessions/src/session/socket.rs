//! The socket beneath a session, and how one is turned away.

use std::sync::Arc;

use protocol::close::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::outbox::way_out::WayOut;
use crate::registry::Registry;
use crate::ws::codec::close_frame;
use crate::ws::reader::Reader;

/// A client's socket, in both directions.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns its writing half, for all who have something for the client.
    fn way_out(&self) -> Arc<dyn WayOut>;

    /// Makes it end without lingering: what is unsent is dropped.
    fn reset(&self);
}

/// Completes an upgrade only to say why it is refused: scripts in a browser see no status. `head` is the answer to the upgrade, where
/// it is yet to be sent.
pub async fn refuse<S: Socket>(mut io: S, head: &[u8], early: &[u8], registry: &Registry, code: CloseCode) {
    let patience = registry.config().close_timeout;
    let said = timeout(patience, async {
        io.write_all(&[head, &close_frame(code)].concat()).await?;
        io.flush().await
    });
    let said = said.await;
    let mut reader = Reader::new(io, early);
    if !matches!(said, Ok(Ok(()))) || !timeout(patience, reader.part(false)).await.unwrap_or(false) {
        reader.io().reset();
    }
}
