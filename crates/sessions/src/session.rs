//! One session, one task: what the client says comes here, and what its socket did not take at once is written here.

pub mod socket; // the socket beneath it, and how one is turned away
mod desk; // what a session knows, and what is done about each message of the client
mod window; // how many messages a client sends

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use protocol::close::CloseCode;
use protocol::id::{DeviceId, EventId, Product, Recipient};
use protocol::message::encode_go_away;
use tokio::time::{Sleep, sleep, timeout};

use crate::delivery::Item;
use crate::metrics::{Closed, Code, Resumed};
use crate::outbox::{Progress, Request, Todo};
use crate::receipts::Who;
use crate::recipient::{Joined, Joining};
use crate::registry::Registry;
use crate::ws::codec::{ECHOES, Fault, close_answer, close_frame, text_frame};
use crate::ws::reader::Reader;

use self::desk::Desk;
use self::socket::Socket;
use self::window::Window;

/// How long a session goes on after its token expired; with one that is older none is opened.
pub const TOKEN_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// Who opens a session, as the token and the request say it.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// This session's own id.
    pub session: EventId,
    /// The cursor that the recipient's ring begins with, where it has none yet.
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
    /// What the client sent right after its request.
    pub early: Bytes,
    /// The answer to the upgrade, where it is yet to be sent; it goes out with the first frame.
    pub head: Option<Bytes>,
}

/// A session over a socket that has been upgraded.
#[derive(Debug)]
pub struct Session<S> {
    reader: Reader<S>,
    desk: Desk,
    joined: Option<Box<Joined>>,
    /// The answer to the upgrade, where it is yet to be sent.
    head: Option<Box<Bytes>>,
    /// The slot at which this session is closed, once the node shuts down.
    slot: Option<Pin<Box<Sleep>>>,
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
    /// Joins the registry, so that no event from now on is missed.
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

    /// Runs until the session ends, and returns whose it was. Ends by itself soon after it was asked to close.
    ///
    /// `self` is boxed, since a future keeps its arguments twice, and the allocator rounds a task up to cache lines. What is done
    /// once is boxed as well, so that it takes no room while the session is idle.
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

    /// Sends the close frame, and closes the socket.
    async fn close(self: Box<Self>, end: End) {
        let Self { mut reader, desk: Desk { seat, .. }, .. } = *self;
        let (outbox, patience) = (seat.outbox.clone(), seat.context().config.close_timeout);
        // The seat is given up first: no more events come for a session that ends.
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

    /// Sends the welcome, then what was missed.
    async fn welcome(&mut self) -> Result<(), End> {
        let (desk, line) = (&self.desk, self.reader.io().way_out());
        let head = self.head.take().map(Item::Head);
        let Some(joined) = self.joined.take().filter(|_| !ECHOES) else {
            desk.seat.outbox.open(line, head);
            return desk.write().await;
        };
        tracing::info!(resume = ?joined.resume, missed = joined.missed.len(), "session opened");
        desk.metrics().resumed.get_or_create(&Resumed { resume: joined.resume.into() }).inc();
        let welcome = Item::frame(text_frame(&desk.encode_welcome(&joined)));
        let missed = joined.missed.into_iter().map(Item::Event);
        let own = head.into_iter().chain([welcome]).chain(missed).chain(joined.over.into_iter().map(Item::frame));
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
                    Todo::Asked(Request::Close(code)) => Err(End::Close(code)),
                    Todo::Asked(Request::Check) => desk.check(reader),
                    Todo::Asked(Request::GoAway(after)) => {
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

/// Waits for the slot, where there is one; else for ever.
async fn reached(slot: &mut Option<Pin<Box<Sleep>>>) {
    match slot {
        Some(slot) => slot.await,
        None => std::future::pending().await,
    }
}
