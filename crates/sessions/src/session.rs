//! One session, one task: what is queued goes to the socket, what the client says comes here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use protocol::close::CloseCode;
use protocol::id::{EventId, Product, Recipient};
use protocol::message::{
    CLIENT_MESSAGE_BYTES_MAX, CLIENT_MESSAGES_PER_SECOND, ClientFault, ClientMessage, Resume, Welcome, encode_pong,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use crate::Config;
use crate::clock::Clock;
use crate::metrics::{Closed, Code};
use crate::queue::{Delivery, Outgoing};
use crate::registry::{Registry, Seat};

/// After how many seconds of silence a client that sees no WebSocket pings asks.
const PING_SECONDS: u32 = 25;
/// For how long a cursor is kept, as clients are told.
const RESUME_SECONDS: u32 = 180;

/// Who opens a session, as the token and the request say it.
#[derive(Debug, Clone)]
pub struct Opening {
    /// This session's own id.
    pub session: EventId,
    /// Where the session begins.
    pub cursor: EventId,
    /// Who it is.
    pub recipient: Recipient,
    /// What they are logged in to.
    pub product: Product,
    /// Whether a cursor was brought along.
    pub resume: Resume,
    /// When the token ends.
    pub token_expires: Timestamp,
}

/// A session over a socket that has been upgraded.
pub struct Session<S> {
    socket: WebSocketStream<S>,
    seat: Seat,
    opening: Opening,
    clock: Clock,
    reset: fn(&S),
    window: Window,
}

/// Why a session ended.
enum End {
    /// We close, with this code.
    Close(CloseCode),
    /// The client closed; its close was answered.
    Client,
    /// The line broke, or a write stalled.
    Gone,
}

impl<S> std::fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("opening", &self.opening).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Takes a place in the registry, so that no event from now on is missed. `early` is what the client sent behind its
    /// request; `reset` makes the socket end without lingering.
    pub async fn open(io: S, early: Bytes, registry: &Registry, opening: Opening, reset: fn(&S)) -> Self {
        let socket = accepted(io, &early, registry.config()).await;
        let seat = registry.join(opening.recipient, opening.session, opening.product);
        Self { socket, seat, opening, clock: registry.clock().clone(), reset, window: Window::default() }
    }

    /// Runs until the session ends. Ends by itself soon after it was asked to close.
    pub async fn run(mut self) {
        let end = match self.welcome().await {
            Ok(()) => self.serve().await,
            Err(end) => end,
        };
        let code = match &end {
            End::Close(code) => Code::Sent(code.on_the_wire().0),
            End::Client => Code::Client,
            End::Gone => Code::Gone,
        };
        self.registry().metrics().closed.get_or_create(&Closed { code }).inc();
        tracing::info!(?code, "session ended");
        match end {
            End::Close(code) => close(&mut self.socket, code, self.seat.registry().config().close_timeout, self.reset).await,
            End::Client => drop(timeout(self.registry().config().close_timeout, self.socket.close(None)).await),
            End::Gone => (self.reset)(self.socket.get_ref()),
        }
    }

    fn registry(&self) -> &Registry {
        self.seat.registry()
    }

    async fn welcome(&mut self) -> Result<(), End> {
        tracing::info!("session opened");
        let welcome = Welcome {
            session_id: self.opening.session,
            cursor: self.opening.cursor,
            resume: self.opening.resume,
            ping_seconds: PING_SECONDS,
            resume_seconds: RESUME_SECONDS,
            token_expires: self.opening.token_expires,
            now: self.clock.now(),
        };
        self.say(welcome.encode()).await
    }

    async fn serve(&mut self) -> End {
        loop {
            // Cancel safety: `Queue::next` takes nothing before it returns; `WebSocketStream` keeps a half-read frame.
            let step = tokio::select! {
                biased;
                outgoing = self.seat.queue.next() => match outgoing {
                    Outgoing::Deliveries(deliveries) => self.write(deliveries).await,
                    Outgoing::Close(code) => Err(End::Close(code)),
                },
                message = self.socket.next() => self.hear(message).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Writes all that was queued, then flushes once.
    async fn write(&mut self, deliveries: VecDeque<Arc<Delivery>>) -> Result<(), End> {
        let now = self.clock.now();
        let (due, expired): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| delivery.frame.expires.is_none_or(|expires| now <= expires));
        self.registry().metrics().expired.inc_by(expired.len() as u64);
        for delivery in &due {
            self.put(Message::Text(delivery.text.clone())).await?;
        }
        self.flush().await?;
        let metrics = self.registry().metrics();
        metrics.written.inc_by(due.len() as u64);
        for delivery in &due {
            metrics.taken_to_written.observe(delivery.taken.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn say(&mut self, text: Vec<u8>) -> Result<(), End> {
        // The text was written by `protocol`, which writes UTF-8.
        self.put(Message::Text(Utf8Bytes::try_from(text).unwrap_or_default())).await?;
        self.flush().await
    }

    async fn put(&mut self, message: Message) -> Result<(), End> {
        unless_slow(&self.seat, self.socket.feed(message)).await
    }

    async fn flush(&mut self) -> Result<(), End> {
        unless_slow(&self.seat, self.socket.flush()).await
    }

    async fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        let Some(message) = message else { return Err(End::Gone) };
        if !self.window.admits(self.clock.running()) {
            return Err(End::Close(CloseCode::TooManyMessages));
        }
        match message.map_err(|error| fault(&error))? {
            Message::Text(text) => self.obey(&text).await,
            Message::Binary(_) => Err(End::Close(CloseCode::Binary)),
            Message::Close(_) => Err(End::Client),
            // A ping was answered by the library; the answer goes out with the next read.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), End> {
        match ClientMessage::parse(text) {
            Ok(ClientMessage::Ack { id }) => {
                tracing::debug!(%id, "acknowledged");
                self.registry().metrics().acknowledged.inc();
                Ok(())
            }
            Ok(ClientMessage::Ping { reference }) => self.say(encode_pong(reference.as_deref())).await,
            Err(ClientFault::Message(error)) => self.say(error.encode()).await,
            Err(ClientFault::Unreadable) => Err(End::Close(CloseCode::Unreadable)),
        }
    }
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key)
}

/// Completes an upgrade only to say why it is refused: scripts in a browser see no status.
pub async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(io: S, early: Bytes, code: CloseCode, reset: fn(&S)) {
    let config = Config::default();
    let mut socket = accepted(io, &early, &config).await;
    close(&mut socket, code, config.close_timeout, reset).await;
}

async fn accepted<S: AsyncRead + AsyncWrite + Unpin>(io: S, early: &Bytes, config: &Config) -> WebSocketStream<S> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(config.read_buffer)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(2 * config.queue_bytes_max + 64 * 1024)
        .max_message_size(Some(CLIENT_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(CLIENT_MESSAGE_BYTES_MAX));
    WebSocketStream::from_partially_read(io, early.to_vec(), Role::Server, Some(limits)).await
}

/// Sends the close frame and hears the client out, each for at most `patience`. A client that does not take it is cut off.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    code: CloseCode,
    patience: Duration,
    reset: fn(&S),
) {
    let (number, reason) = code.on_the_wire();
    let frame = CloseFrame { code: WireCode::from(number), reason: Utf8Bytes::from_static(reason) };
    let said = timeout(patience, socket.send(Message::Close(Some(frame)))).await;
    let heard_out = async { while let Some(Ok(_)) = socket.next().await {} };
    let answered = matches!(said, Ok(Ok(()))) && timeout(patience, heard_out).await.is_ok();
    if !answered {
        reset(socket.get_ref());
    }
}

/// Waits for a write, unless the session's queue overflows meanwhile or the write stalls.
///
/// Cancel safety: a write that is given up leaves its bytes in the socket's buffer, before the close frame.
async fn unless_slow(seat: &Seat, write: impl Future<Output = Result<(), Error>>) -> Result<(), End> {
    tokio::select! {
        biased;
        written = write => written.map_err(|error| fault(&error)),
        () = seat.queue.overflow() => Err(End::Close(CloseCode::Slow)),
        () = tokio::time::sleep(seat.registry().config().write_timeout) => Err(End::Gone),
    }
}

/// What a fault of the socket means for the session.
fn fault(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::Close(CloseCode::TooLarge),
        Error::Utf8(_) => End::Close(CloseCode::Unreadable),
        Error::Protocol(protocol) if !is_broken_line(protocol) => {
            tracing::info!(%error, "client broke the WebSocket protocol");
            End::Close(CloseCode::Protocol)
        }
        _ => End::Gone,
    }
}

fn is_broken_line(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    matches!(
        error,
        ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing | ProtocolError::ReceivedAfterClosing
    )
}

/// Counts a client's messages, second by second.
#[derive(Debug, Default)]
struct Window {
    second: u64,
    messages: u32,
}

impl Window {
    fn admits(&mut self, running: Duration) -> bool {
        if self.second != running.as_secs() {
            *self = Self { second: running.as_secs(), messages: 0 };
        }
        self.messages += 1;
        self.messages <= CLIENT_MESSAGES_PER_SECOND
    }
}
