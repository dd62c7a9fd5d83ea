//! What a session knows beside its socket: whose it is, until when its token holds, and what is done about each message of the
//! client.

use std::future::poll_fn;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use protocol::close::CloseCode;
use protocol::id::Product;
use protocol::message::{
    ClientFault, ClientMessage, ClientMessageKind, MessageError, MessageErrorCode, Welcome, encode_pong, encode_refreshed,
};
use tokio::io::AsyncRead;
use tokio::time::timeout;

use super::window::Window;
use super::{End, TOKEN_GRACE};
use crate::metrics::Metrics;
use crate::outbox::Progress;
use crate::outbox::life::Due;
use crate::recipient::Joined;
use crate::registry::Seat;
use crate::ws::codec::{ECHOES, Message, binary_frame, ping_frame, pong_frame, text_frame};
use crate::ws::reader::Reader;

/// What a session knows beside its socket.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) seat: Seat,
    pub(super) product: Product,
    pub(super) token_expires: Timestamp,
    pub(super) window: Window,
}

impl Desk {
    pub(super) fn metrics(&self) -> &Metrics {
        &self.seat.context().metrics
    }

    fn now(&self) -> Duration {
        self.seat.context().clock.running()
    }

    pub(super) fn encode_welcome(&self, joined: &Joined) -> Vec<u8> {
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

    /// Does what is due: a ping, the end of the token, the end of a dead connection.
    pub(super) fn check<S: AsyncRead + Unpin>(&mut self, reader: &mut Reader<S>) -> Result<(), End> {
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
            // The answer may have come while a write, or a pause of this machine, held us up.
            Due::Dead => {
                let heard = poll_fn(|cx| reader.poll_read(cx, |message| self.hear(message))).now_or_never();
                heard.unwrap_or(Err(End::Close(CloseCode::NoPong)))
            }
        }
    }

    fn token_end(&self) -> Timestamp {
        self.token_expires.checked_add(TOKEN_GRACE).unwrap_or(Timestamp::MAX)
    }

    /// Has the session reminded when something is due.
    pub(super) fn remind(&self) {
        self.seat.outbox.remind(self.token_end());
    }

    /// Writes what waits. A socket that takes nothing for too long means that nobody is there.
    pub(super) async fn write(&self) -> Result<(), End> {
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

    /// Puts a text before all that waits. It is written before anything more is read.
    pub(super) fn say(&self, text: &[u8]) {
        self.seat.outbox.say(text_frame(text));
    }

    pub(super) fn hear(&mut self, message: Message<'_>) -> Result<(), End> {
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
            Ok(ClientMessage { kind, reference }) => self.follow(kind, reference),
            Err(ClientFault::Message(error)) => self.say(&error.encode()),
            Err(ClientFault::Unreadable) => return Err(End::Close(CloseCode::Unreadable)),
        }
        Ok(())
    }

    fn follow(&mut self, kind: ClientMessageKind, reference: Option<String>) {
        match kind {
            ClientMessageKind::Ping => self.say(&encode_pong(reference.as_deref())),
            ClientMessageKind::Ack(id) => self.seat.outbox.acknowledged(id),
            ClientMessageKind::Shown(call_id) if self.seat.shown(&call_id) => {
                self.metrics().shown.inc();
            }
            ClientMessageKind::Dismissed(call_id) if self.seat.dismissed(&call_id) => {
                self.metrics().dismissed.inc();
            }
            ClientMessageKind::Shown(_) | ClientMessageKind::Dismissed(_) => {
                self.refuse(MessageErrorCode::UnknownCall, "there is no such live call", reference);
            }
            ClientMessageKind::Refresh(token) => self.refresh(&token, reference),
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

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
