//! A session over a WebSocket: `welcome` first, then events as they happen.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use outbound::stream::Stream;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::address::Address;

/// An open session.
pub struct Session {
    socket: WebSocketStream<Stream>,
    heard: Instant,
    silence: Duration,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("heard", &self.heard).field("silence", &self.silence).finish_non_exhaustive()
    }
}

/// How long a node can be silent before it has said how often it pings.
const SILENCE: Duration = Duration::from_secs(45);

/// What came over a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// A message, with its `type`.
    Message(Value),
    /// The session ended; 1006 where the line broke without a close.
    Closed {
        /// The close code.
        code: u16,
        /// The reason beside it.
        reason: String,
    },
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The node refused.
    #[error("refused with {status}: {body}")]
    Refused {
        /// The status code.
        status: u16,
        /// The answer's body.
        body: String,
    },
    /// The node cannot be reached, or does not speak the protocol.
    #[error("cannot open a session")]
    Failed(#[source] Box<Error>),
}

impl Session {
    /// Opens a session at `address`; `query` is what stands behind `/session`, e.g. `?device=laptop`.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn open(address: impl Into<Address>, token: &str, query: &str) -> Result<Self, SessionError> {
        let (address, failed) = (address.into(), |error| SessionError::Failed(Box::new(error)));
        let mut request = format!("ws://{}/session{query}", address.authority()).into_client_request().map_err(failed)?;
        let bearer = format!("Bearer {token}").parse().map_err(|_invalid| failed(Error::Utf8("token".to_owned())))?;
        request.headers_mut().insert("authorization", bearer);
        let stream = address.connect().await.map_err(|error| failed(Error::Io(error.into())))?;
        let config = WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(0);
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Self { socket, heard: Instant::now(), silence: SILENCE }),
            Err(Error::Http(response)) => Err(SessionError::Refused {
                status: response.status().as_u16(),
                body: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned(),
            }),
            Err(error) => Err(failed(error)),
        }
    }

    /// When the node was last heard, its pings included.
    #[must_use]
    pub fn heard_at(&self) -> Instant {
        self.heard
    }

    /// Says after how much silence the line is taken for broken. Default 45 s.
    pub fn give_up_after(&mut self, silence: Duration) {
        self.silence = silence;
    }

    /// Waits for the next message, or the end; a node that is silent for too long counts as gone.
    ///
    /// # Cancel safety
    /// A message that has begun to come in is kept.
    pub async fn next(&mut self) -> Heard {
        let broken = |reason: &str| Heard::Closed { code: 1006, reason: reason.to_owned() };
        loop {
            let Ok(message) = timeout_at(self.heard + self.silence, self.socket.next()).await else {
                return broken("silence");
            };
            self.heard = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => return Heard::Message(serde_json::from_str(&text).unwrap_or_default()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Heard::Closed { code: frame.code.into(), reason: frame.reason.to_string() };
                }
                Some(Ok(Message::Close(None))) => return Heard::Closed { code: 1005, reason: String::new() },
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return broken(""),
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// What the socket says.
    pub async fn send(&mut self, message: &Value) -> Result<(), Box<Error>> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// Logs out, and hears the node out.
    pub async fn close(mut self) {
        if self.socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }
}
