//! One session, one task: what is queued goes to the socket, what the client says comes here.

use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use protocol::close::CloseCode;
use protocol::id::{DeviceId, EventId, Product, Recipient};
use protocol::message::{
    CLIENT_MESSAGES_PER_SECOND, ClientFault, ClientMessage, MessageError, MessageErrorCode, Said, Welcome, encode_go_away,
    encode_pong, encode_refreshed,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::life::{Due, Life};
use crate::metrics::{Closed, Code, Metrics, Resumed};
use crate::queue::{Item, Outgoing, written};
use crate::receipts::{Who, Word};
use crate::recipient::{Joined, Joining};
use crate::registry::{Registry, Seat};
use crate::socket::{ECHOES, accepted, close, close_code, hear_out};

/// How long a session goes on after its token expired; with one that is older none is opened.
pub const TOKEN_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// Who opens a session, as the token and the request say it.
#[derive(Debug, Clone)]
pub struct Opening {
    /// This session's own id.
    pub session: EventId,
    /// Where the recipient's ring begins, if it has no place yet.
    pub fresh_cursor: EventId,
    /// Who it is.
    pub recipient: Recipient,
    /// What they are logged in to.
    pub product: Product,
    /// The device, where it has a name: a later session of the same device replaces this one.
    pub device: Option<DeviceId>,
    /// The cursor that the client brought; `Some(None)` where that was no cursor at all.
    pub resume: Option<Option<EventId>>,
    /// When the token ends.
    pub token_expires: Timestamp,
}

/// A session over a socket that has been upgraded.
pub struct Session<S> {
    socket: WebSocketStream<S>,
    seat: Seat,
    joined: Option<Joined>,
    token_expires: Timestamp,
    reset: fn(&S),
    life: Life,
    window: Window,
    /// The next reminder that is under way.
    reminder: Duration,
    /// The slot at which this session is closed, once the node shuts down.
    slot: Option<Instant>,
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
        f.debug_struct("Session").field("seat", &self.seat).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Takes a place in the registry, so that no event from now on is missed. `early` is what the client sent behind its
    /// request; `reset` makes the socket end without lingering.
    pub async fn open(io: S, early: Bytes, registry: &Registry, opening: Opening, reset: fn(&S)) -> Self {
        let socket = accepted(io, &early, registry.config()).await;
        let Opening { session, fresh_cursor: fresh, recipient, product, device, resume, token_expires } = opening;
        let (who, at) = (Who { negotiator: recipient.negotiator, session, device }, registry.clock().now());
        let (seat, joined) = registry.join(recipient, |queue| Joining { who, product, at, resume, fresh, queue });
        let life = Life::new(registry.config(), session, registry.clock().running());
        let (window, reminder) = (Window::default(), Duration::MAX);
        Self { socket, seat, joined: Some(joined), token_expires, reset, life, window, reminder, slot: None }
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
        self.metrics().closed.get_or_create(&Closed { code }).inc();
        tracing::info!(?code, "session ended");
        let Self { mut socket, seat, reset, .. } = self;
        let patience = seat.registry.config().close_timeout;
        // The place is given up first: nothing more is queued for a session that is on its way out.
        drop(seat);
        match end {
            End::Close(code) => close(&mut socket, code, patience, reset).await,
            // The library has made the answer ready; it goes out while the rest is read.
            End::Client => drop(timeout(patience, hear_out(&mut socket)).await),
            End::Gone => reset(socket.get_ref()),
        }
    }

    fn metrics(&self) -> &Metrics {
        self.seat.registry.metrics()
    }

    fn now(&self) -> Duration {
        self.seat.registry.clock().running()
    }

    /// Says where the session stands, then what was missed.
    async fn welcome(&mut self) -> Result<(), End> {
        let Some(joined) = self.joined.take().filter(|_| !ECHOES) else { return Ok(()) };
        tracing::info!(resume = ?joined.resume, missed = joined.missed.len(), "session opened");
        self.metrics().resumed.get_or_create(&Resumed { resume: joined.resume.into() }).inc();
        let welcome = Welcome {
            session_id: self.seat.who.session,
            cursor: joined.cursor,
            resume: joined.resume,
            calls: joined.calls.iter().map(|delivery| delivery.text.as_str()).collect(),
            ping_seconds: seconds(self.seat.registry.config().life.ping_interval),
            resume_seconds: seconds(self.seat.registry.config().ring.age_max),
            token_expires: self.token_expires,
            now: self.seat.registry.clock().now(),
        };
        self.say(welcome.encode()).await?;
        // Who logs in while the telephone rings learns of the call here.
        joined.calls.iter().for_each(|delivery| self.seat.sent(delivery));
        let missed = joined.missed.into_iter().map(Item::Event);
        self.write(missed.chain(joined.over.into_iter().map(Item::Sync))).await?;
        self.remind();
        Ok(())
    }

    async fn serve(&mut self) -> End {
        loop {
            let slot = self.slot;
            // Cancel safety: `Queue::next` takes nothing before it returns; `WebSocketStream` keeps a half-read frame.
            let step = tokio::select! {
                biased;
                outgoing = self.seat.queue.next() => self.act(outgoing).await,
                () = reached(slot) => Err(End::Close(CloseCode::Restarting)),
                message = self.socket.next() => self.hear(message).await,
            };
            if let Err(end) = step {
                return end;
            }
            self.remind();
        }
    }

    async fn act(&mut self, outgoing: Outgoing) -> Result<(), End> {
        match outgoing {
            Outgoing::Items(items) => self.write(items.into_iter()).await,
            Outgoing::Close(code) => Err(End::Close(code)),
            Outgoing::Check => self.check().await,
            Outgoing::GoAway(slot) => {
                self.slot = Some(Instant::now() + slot);
                self.say(encode_go_away(u64::try_from(slot.as_millis()).unwrap_or(u64::MAX))).await
            }
        }
    }

    /// Looks what is due: a ping, the end of a token, the end of a line.
    async fn check(&mut self) -> Result<(), End> {
        if self.now() >= self.reminder {
            self.reminder = Duration::MAX;
        }
        if self.seat.registry.clock().now() >= self.token_end() {
            return Err(End::Close(CloseCode::TokenExpired));
        }
        match self.life.due(self.now()) {
            Due::Nothing => Ok(()),
            Due::Dead => self.last_look().await,
            Due::Ping => {
                self.put(Message::Ping(Bytes::new())).await?;
                self.flush().await
            }
        }
    }

    /// The answer may have come while a write or a pause of this machine held us up.
    async fn last_look(&mut self) -> Result<(), End> {
        match self.socket.next().now_or_never() {
            Some(message) => self.hear(message).await,
            None => Err(End::Close(CloseCode::NoPong)),
        }
    }

    fn token_end(&self) -> Timestamp {
        self.token_expires.checked_add(TOKEN_GRACE).unwrap_or(Timestamp::MAX)
    }

    /// Sees to it that the session looks again when something is due.
    fn remind(&mut self) {
        let left = self.token_end().duration_since(self.seat.registry.clock().now());
        let token = self.now() + Duration::try_from(left).unwrap_or_default();
        let due = self.life.next_due().min(token);
        if due < self.reminder {
            self.reminder = due;
            self.seat.remind(due);
        }
    }

    /// Writes all of these, then flushes once. A call that has stopped ringing meanwhile is left out.
    async fn write(&mut self, items: impl Iterator<Item = Item>) -> Result<(), End> {
        let Self { socket, seat, .. } = self;
        let (clock, mut written) = (seat.registry.clock(), Vec::new());
        let writing = async {
            for item in items {
                match item {
                    Item::Sync(text) => moving(seat, socket.feed(Message::Text(text))).await?,
                    Item::Event(delivery) if delivery.frame.expires.is_some_and(|expires| clock.now() > expires) => {
                        seat.registry.metrics().expired.inc();
                    }
                    Item::Event(delivery) => {
                        moving(seat, socket.feed(Message::Text(delivery.text.clone()))).await?;
                        seat.sent(&delivery);
                        written.push(delivery);
                    }
                }
            }
            moving(seat, socket.flush()).await
        };
        unless_given_up(seat, writing).await?;
        self.metrics().written.inc_by(written.len() as u64);
        let now = self.now();
        for delivery in written {
            self.metrics().taken_to_written.observe(delivery.taken.elapsed().as_secs_f64());
            self.life.sent(delivery, now);
        }
        Ok(())
    }

    async fn say(&mut self, text: Vec<u8>) -> Result<(), End> {
        self.put(Message::Text(written(text))).await?;
        self.flush().await
    }

    async fn put(&mut self, message: Message) -> Result<(), End> {
        unless_given_up(&self.seat, moving(&self.seat, self.socket.feed(message))).await
    }

    async fn flush(&mut self) -> Result<(), End> {
        unless_given_up(&self.seat, moving(&self.seat, self.socket.flush())).await
    }

    async fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), End> {
        let Some(message) = message else { return Err(End::Gone) };
        let now = self.now();
        self.life.heard(now);
        if !self.window.admits(now) && !ECHOES {
            return Err(End::Close(CloseCode::TooManyMessages));
        }
        match message.map_err(|error| fault(&error))? {
            message @ (Message::Text(_) | Message::Binary(_)) if ECHOES => {
                self.put(message).await?;
                self.flush().await
            }
            Message::Text(text) => self.obey(&text).await,
            Message::Binary(_) => Err(End::Close(CloseCode::Binary)),
            Message::Close(_) => Err(End::Client),
            // A ping was answered by the library; the answer goes out with the next read.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), End> {
        let message = match ClientMessage::parse(text) {
            Ok(message) => message,
            Err(ClientFault::Message(error)) => return self.say(error.encode()).await,
            Err(ClientFault::Unreadable) => return Err(End::Close(CloseCode::Unreadable)),
        };
        let ClientMessage { said, reference } = message;
        match said {
            Said::Ping => self.say(encode_pong(reference.as_deref())).await,
            Said::Ack(id) => {
                self.acknowledge(id);
                Ok(())
            }
            Said::Shown(call_id) if self.seat.shown(&call_id) => {
                self.metrics().shown.inc();
                Ok(())
            }
            Said::Dismissed(call_id) if self.seat.dismissed(&call_id) => {
                self.metrics().dismissed.inc();
                Ok(())
            }
            Said::Shown(_) | Said::Dismissed(_) => {
                self.refuse(MessageErrorCode::UnknownCall, "there is no such live call", reference).await
            }
            Said::Refresh(token) => self.refresh(&token, reference).await,
        }
    }

    fn acknowledge(&mut self, id: EventId) {
        let wall = self.seat.registry.clock().now();
        for delivery in self.life.acknowledged(id) {
            if let Some(trail) = &delivery.trail {
                trail.note(&self.seat.who, Word::Acknowledged, wall);
            }
            self.metrics().acknowledged.inc();
            self.metrics().taken_to_acknowledged.observe(delivery.taken.elapsed().as_secs_f64());
        }
    }

    async fn refresh(&mut self, token: &str, reference: Option<String>) -> Result<(), End> {
        match self.seat.registry.renew(&self.seat.recipient, token) {
            Some(expires) => {
                self.token_expires = expires;
                self.say(encode_refreshed(expires, reference.as_deref())).await
            }
            None => {
                let message = "the token is not good, or belongs to somebody else";
                self.refuse(MessageErrorCode::TokenRefused, message, reference).await
            }
        }
    }

    async fn refuse(&mut self, code: MessageErrorCode, message: &str, reference: Option<String>) -> Result<(), End> {
        self.say(MessageError { code, message: message.to_owned(), reference }.encode()).await
    }
}

/// Waits for a time that may never come.
async fn reached(slot: Option<Instant>) {
    match slot {
        Some(slot) => tokio::time::sleep_until(slot).await,
        None => std::future::pending().await,
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Waits for a write, unless the session's queue is given up meanwhile.
///
/// Cancel safety: a write that is given up leaves its bytes in the socket's buffer, before the close frame.
async fn unless_given_up(seat: &Seat, write: impl Future<Output = Result<(), End>>) -> Result<(), End> {
    tokio::select! {
        biased;
        written = write => written,
        code = seat.queue.abandoned() => Err(End::Close(code)),
    }
}

/// Waits for one step of a write; one that stalls means that nobody is there.
async fn moving(seat: &Seat, step: impl Future<Output = Result<(), Error>>) -> Result<(), End> {
    match timeout(seat.registry.config().write_timeout, step).await {
        Ok(done) => done.map_err(|error| fault(&error)),
        Err(_elapsed) => Err(End::Gone),
    }
}

/// What a fault of the socket means for the session.
fn fault(error: &Error) -> End {
    close_code(error).map_or(End::Gone, End::Close)
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
