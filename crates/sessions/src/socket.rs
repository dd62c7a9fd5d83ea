//! The WebSocket beneath a session: how it is accepted, and how it is closed.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use protocol::close::CloseCode;
use protocol::message::CLIENT_MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::Config;
use crate::registry::Registry;

/// Whether sessions say everything back instead of what is theirs to say: what a conformance suite asks of a server.
pub(crate) const ECHOES: bool = cfg!(feature = "conformance");
/// How large a client's message can be; the suite's largest has 64 KiB.
const MESSAGE_BYTES_MAX: usize = if ECHOES { 128 * 1024 } else { CLIENT_MESSAGE_BYTES_MAX };

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key)
}

/// Completes an upgrade only to say why it is refused: scripts in a browser see no status.
pub async fn refuse<S>(io: S, early: Bytes, registry: &Registry, code: CloseCode, reset: fn(&S))
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut socket = accepted(io, &early, registry.config()).await;
    close(&mut socket, code, registry.config().close_timeout, reset).await;
}

pub(crate) async fn accepted<S: AsyncRead + AsyncWrite + Unpin>(io: S, early: &Bytes, config: &Config) -> WebSocketStream<S> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(config.read_buffer)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(2 * config.queue_bytes_max + 64 * 1024)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    WebSocketStream::from_partially_read(io, early.to_vec(), Role::Server, Some(limits)).await
}

/// Sends the close frame and hears the client out, each for at most `patience`. A client that does not take it is cut off.
pub(crate) async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    code: CloseCode,
    patience: Duration,
    reset: fn(&S),
) {
    let (number, reason) = code.on_the_wire();
    let frame = CloseFrame { code: WireCode::from(number), reason: Utf8Bytes::from_static(reason) };
    let said = timeout(patience, socket.send(Message::Close(Some(frame)))).await;
    if !matches!(said, Ok(Ok(()))) || !matches!(timeout(patience, part(socket)).await, Ok(Ok(_))) {
        reset(socket.get_ref());
    }
}

/// Hears the client out, then ends our side. What the client still sends is read to its end: a socket that is closed with unread
/// bytes resets the connection, and the reset can overtake the close frame.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> std::io::Result<u64> {
    hear_out(socket).await;
    let io = socket.get_mut();
    io.shutdown().await?;
    tokio::io::copy(io, &mut tokio::io::sink()).await
}

/// Reads on until the client has closed its side.
pub(crate) async fn hear_out<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    while let Some(Ok(_)) = socket.next().await {}
}

/// What a fault of the socket is to be closed with; `None` where the line broke.
pub(crate) fn close_code(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Capacity(_) => Some(CloseCode::TooLarge),
        Error::Utf8(_) => Some(CloseCode::Unreadable),
        Error::Protocol(protocol) if !is_broken_line(protocol) => {
            tracing::info!(%error, "client broke the WebSocket protocol");
            Some(CloseCode::Protocol)
        }
        _ => None,
    }
}

fn is_broken_line(error: &ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing | ProtocolError::ReceivedAfterClosing
    )
}
