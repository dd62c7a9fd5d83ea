//! One session, one task: what the client says comes here, and what its socket did not take at once is brought out.

pub mod socket; // the socket beneath it, and how one is turned away
mod window; // how many messages a client sends

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use protocol::close::CloseCode;
use protocol::id::{DeviceId, EventId, Product, Recipient};
use protocol::message::{
    ClientFault, ClientMessage, MessageError, MessageErrorCode, Said, Welcome, encode_go_away, encode_pong, encode_refreshed,
};
use tokio::io::AsyncRead;
use tokio::time::{Sleep, sleep, timeout};

use crate::delivery::Item;
use crate::metrics::{Closed, Code, Metrics, Resumed};
use crate::outbox::life::Due;
use crate::outbox::{Progress, Todo};
use crate::receipts::Who;
use crate::recipient::{Joined, Joining};
use crate::registry::{Registry, Seat};
use crate::ws::codec::{ECHOES, Fault, Message, binary_frame, close_answer, close_frame, ping_frame, pong_frame, text_frame};
use crate::ws::reader::Reader;

use self::socket::Socket;
use self::window::Window;

/// How long a session goes on after its token expired; with one that is older none is opened.
pub const TOKEN_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// Who opens a session, as the token and the request say it.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// This session's own id.
    pub session: EventId,
    /// Where the recipient's ring begins, if it has no place yet.
    pub fresh_cursor: EventId,
    /// Who it is.
    pub who: LoggedIn,
    /// The cursor that the client brought; `Some(None)` where that was no cursor at all.
    pub resume: Option<Option<EventId>>,
    /// When the token ends.
    pub token_expires: Timestamp,
}

/// Who has a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedIn {
    /// Who it is.
    pub recipient: Recipient,
    /// What they are logged in to.
    pub product: Product,
    /// The device, where it has a name: a later session of the same device replaces this one.
    pub device: Option<DeviceId>,
}

/// A socket that has been upgraded.
#[derive(Debug)]
pub struct Upgraded<S> {
    /// The socket.
    pub io: S,
    /// What the client sent behind its request.
    pub early: Bytes,
    /// What is yet to be sent before the first frame, and goes out with it.
    pub head: Option<Bytes>,
}

/// A session over a socket that has been upgraded.
#[derive(Debug)]
pub struct Session<S> {
    reader: Reader<S>,
    desk: Desk,
    joined: Option<Box<Joined>>,
    /// Goes out before everything else.
    head: Option<Box<Bytes>>,
    /// The slot at which this session is closed, once the node shuts down.
    slot: Option<Pin<Box<Sleep>>>,
}

/// What a session knows beside its socket.
#[derive(Debug)]
struct Desk {
    seat: Seat,
    product: Product,
    token_expires: Timestamp,
    window: Window,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// We close, with this code.
    Close(CloseCode),
    /// The client closed, with this code.
    Client(Option<u16>),
    /// The line broke, or a write stalled.
    Gone,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        if fault.code == CloseCode::Protocol {
            tracing::info!(fault = fault.what, "client broke the WebSocket protocol");
        }
        Self::Close(fault.code)
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl<S: Socket> Session<S> {
    /// Takes a place in the registry, so that no event from now on is missed.
    pub fn open(socket: Upgraded<S>, registry: &Registry, opening: Opening) -> Self {
        let Upgraded { io, early, head } = socket;
        let Opening { session, fresh_cursor: fresh, who: LoggedIn { recipient, product, device }, resume, token_expires } =
            opening;
        let who = Who { negotiator: recipient.negotiator, session, device: device.map(Arc::new) };
        let (seat, joined) = registry.join(recipient, who, Joining { product, at: registry.clock().now(), resume, fresh });
        let desk = Desk { seat, product, token_expires, window: Window::default() };
        let (reader, joined, head) = (Reader::new(io, &early), Some(Box::new(joined)), head.map(Box::new));
        Self { reader, desk, joined, head, slot: None }
    }

    fn who(&self) -> LoggedIn {
        let Desk { seat, product, .. } = &self.desk;
        LoggedIn { recipient: *seat.recipient(), product: *product, device: seat.outbox.who.device.as_deref().copied() }
    }

    /// Runs until the session ends, and says whose it was. Ends by itself soon after it was asked to close.
    ///
    /// In a box of its own: a future has room for what it was called with twice, and what is aligned to the lines of the processor's
    /// cache, as tasks are, comes from the allocator in ever larger steps. What is done once is boxed, so that it takes no room while
    /// the session is idle.
    pub async fn run(mut self: Box<Self>) -> Box<LoggedIn> {
        let end = match Box::pin(self.welcome()).await {
            Ok(()) => self.serve().await,
            Err(end) => end,
        };
        let code = match end {
            End::Close(code) => Code::Sent(code.on_the_wire().0),
            End::Client(_) => Code::Client,
            End::Gone => Code::Gone,
        };
        self.desk.metrics().closed.get_or_create(&Closed { code }).inc();
        tracing::info!(?code, "session ended");
        let who = Box::new(self.who());
        Box::pin(self.close(end)).await;
        who
    }

    /// Says the last word, and lets the socket go.
    async fn close(self: Box<Self>, end: End) {
        let Self { mut reader, desk: Desk { seat, .. }, .. } = *self;
        let (outbox, patience) = (seat.outbox.clone(), seat.context().config.close_timeout);
        // The place is given up first: nothing more is queued for a session that is on its way out.
        drop(seat);
        let last = match end {
            End::Close(code) => Some(close_frame(code)),
            End::Client(code) => Some(close_answer(code)),
            End::Gone => None,
        };
        let is_said = match last {
            Some(frame) => {
                outbox.end(frame);
                let out = async {
                    loop {
                        match poll_fn(|cx| outbox.poll_write(cx)).await {
                            Ok(Progress::Some) => {}
                            done => return matches!(done, Ok(Progress::All)),
                        }
                    }
                };
                timeout(patience, out).await.unwrap_or(false)
            }
            None => false,
        };
        outbox.shut();
        let is_over = is_said && timeout(patience, reader.part(matches!(end, End::Client(_)))).await.unwrap_or(false);
        if !is_over {
            reader.io().reset();
        }
    }

    /// Says where the session stands, then what was missed.
    async fn welcome(&mut self) -> Result<(), End> {
        let (desk, line) = (&self.desk, self.reader.io().way_out());
        let head = self.head.take().map(Item::Head);
        let Some(joined) = self.joined.take().filter(|_| !ECHOES) else {
            desk.seat.outbox.open(line, head);
            return desk.write().await;
        };
        tracing::info!(resume = ?joined.resume, missed = joined.missed.len(), "session opened");
        desk.metrics().resumed.get_or_create(&Resumed { resume: joined.resume.into() }).inc();
        let welcome = Item::sync(text_frame(&desk.encode_welcome(&joined)));
        let missed = joined.missed.into_iter().map(Item::Event);
        let own = head.into_iter().chain([welcome]).chain(missed).chain(joined.over.into_iter().map(Item::sync));
        desk.seat.outbox.open(line, own);
        desk.write().await?;
        // Who logs in while the telephone rings learns of the call here.
        let at = desk.seat.context().clock.now();
        joined.calls.iter().for_each(|delivery| desk.seat.context().sent(&desk.seat.outbox.who, delivery, at));
        desk.remind();
        Ok(())
    }

    async fn serve(&mut self) -> End {
        let Self { reader, desk, slot, .. } = self;
        let outbox = desk.seat.outbox.clone();
        loop {
            // Cancel safety: `Outbox::poll_next` takes nothing before it returns, `Reader::poll_read` loses nothing.
            let step = tokio::select! {
                biased;
                outgoing = poll_fn(|cx| outbox.poll_next(cx)) => match outgoing {
                    Todo::Write => Box::pin(desk.write()).await,
                    Todo::Close(code) => Err(End::Close(code)),
                    Todo::Check => desk.check(reader),
                    Todo::GoAway(after) => {
                        *slot = Some(Box::pin(sleep(after)));
                        desk.say(&encode_go_away(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)));
                        Ok(())
                    }
                },
                () = reached(slot) => Err(End::Close(CloseCode::Restarting)),
                heard = poll_fn(|cx| reader.poll_read(cx, |message| desk.hear(message))) => heard,
            };
            if let Err(end) = step {
                return end;
            }
            desk.remind();
        }
    }
}

impl Desk {
    fn metrics(&self) -> &Metrics {
        &self.seat.context().metrics
    }

    fn now(&self) -> Duration {
        self.seat.context().clock.running()
    }

    fn encode_welcome(&self, joined: &Joined) -> Vec<u8> {
        let context = self.seat.context();
        let welcome = Welcome {
            session_id: self.seat.outbox.who.session,
            cursor: joined.cursor,
            resume: joined.resume,
            calls: joined.calls.iter().map(|delivery| delivery.text()).collect(),
            ping_seconds: seconds(context.config.life.ping_interval),
            resume_seconds: seconds(context.config.ring.age_max),
            token_expires: self.token_expires,
            now: context.clock.now(),
        };
        welcome.encode()
    }

    /// Looks what is due: a ping, the end of a token, the end of a line.
    fn check<S: AsyncRead + Unpin>(&mut self, reader: &mut Reader<S>) -> Result<(), End> {
        let due = self.seat.outbox.due(self.now());
        if self.seat.context().clock.now() >= self.token_end() {
            return Err(End::Close(CloseCode::TokenExpired));
        }
        match due {
            Due::Nothing => Ok(()),
            Due::Ping => {
                self.seat.outbox.say(ping_frame());
                Ok(())
            }
            // The answer may have come while a write or a pause of this machine held us up.
            Due::Dead => {
                let heard = poll_fn(|cx| reader.poll_read(cx, |message| self.hear(message))).now_or_never();
                heard.unwrap_or(Err(End::Close(CloseCode::NoPong)))
            }
        }
    }

    fn token_end(&self) -> Timestamp {
        self.token_expires.checked_add(TOKEN_GRACE).unwrap_or(Timestamp::MAX)
    }

    /// Sees to it that the session looks again when something is due.
    fn remind(&self) {
        self.seat.outbox.remind(self.token_end());
    }

    /// Brings out what waits. A socket that takes nothing for too long means that nobody is there.
    async fn write(&self) -> Result<(), End> {
        let outbox = &self.seat.outbox;
        loop {
            match timeout(self.seat.context().config.write_timeout, poll_fn(|cx| outbox.poll_write(cx))).await {
                Ok(Ok(Progress::All)) => return Ok(()),
                Ok(Ok(Progress::Some)) => {}
                Ok(Ok(Progress::Abandoned(code))) => return Err(End::Close(code)),
                Ok(Err(_)) | Err(_) => return Err(End::Gone),
            }
        }
    }

    /// Puts a text before all that waits; it is brought out before anything more is read.
    fn say(&self, text: &[u8]) {
        self.seat.outbox.say(text_frame(text));
    }

    fn hear(&mut self, message: Message<'_>) -> Result<(), End> {
        let now = self.now();
        self.seat.outbox.heard(now);
        if !self.window.admits(now) && !ECHOES {
            return Err(End::Close(CloseCode::TooManyMessages));
        }
        match message {
            Message::Text(text) if ECHOES => self.say(text.as_bytes()),
            Message::Binary(bytes) if ECHOES => self.seat.outbox.say(binary_frame(bytes)),
            Message::Text(text) => self.obey(text)?,
            Message::Binary(_) => return Err(End::Close(CloseCode::Binary)),
            Message::Close(code) => return Err(End::Client(code)),
            Message::Ping(payload) => self.seat.outbox.say(pong_frame(payload)),
            Message::Pong => {}
        }
        Ok(())
    }

    fn obey(&mut self, text: &str) -> Result<(), End> {
        match ClientMessage::parse(text) {
            Ok(ClientMessage { said, reference }) => self.follow(said, reference),
            Err(ClientFault::Message(error)) => self.say(&error.encode()),
            Err(ClientFault::Unreadable) => return Err(End::Close(CloseCode::Unreadable)),
        }
        Ok(())
    }

    fn follow(&mut self, said: Said, reference: Option<String>) {
        match said {
            Said::Ping => self.say(&encode_pong(reference.as_deref())),
            Said::Ack(id) => self.seat.outbox.acknowledged(id),
            Said::Shown(call_id) if self.seat.shown(&call_id) => {
                self.metrics().shown.inc();
            }
            Said::Dismissed(call_id) if self.seat.dismissed(&call_id) => {
                self.metrics().dismissed.inc();
            }
            Said::Shown(_) | Said::Dismissed(_) => {
                self.refuse(MessageErrorCode::UnknownCall, "there is no such live call", reference);
            }
            Said::Refresh(token) => self.refresh(&token, reference),
        }
    }

    fn refresh(&mut self, token: &str, reference: Option<String>) {
        match self.seat.registry.renew(self.seat.recipient(), token) {
            Some(expires) => {
                self.token_expires = expires;
                self.say(&encode_refreshed(expires, reference.as_deref()));
            }
            None => {
                let message = "the token is not good, or belongs to somebody else";
                self.refuse(MessageErrorCode::TokenRefused, message, reference);
            }
        }
    }

    fn refuse(&self, code: MessageErrorCode, message: &str, reference: Option<String>) {
        self.say(&MessageError { code, message: message.to_owned(), reference }.encode());
    }
}

/// Waits for a time that may never come.
async fn reached(slot: &mut Option<Pin<Box<Sleep>>>) {
    match slot {
        Some(slot) => slot.await,
        None => std::future::pending().await,
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
