//! Usual requests, answered without the HTTP library: an event of which head and body came at one time, and a desktop's hand-shake.
//!
//! Nearly all that a provider sends is `POST /notifications`, over a connection that stays, and nearly all other connections become
//! sessions. The library's way (a task's worth of states, a map of headers, a channel for the body, another for the socket) had a sixth
//! of the instructions of an event; and it sends the answer to a hand-shake by itself, which here goes out with the session's first word.
//! So a connection begins here. What is not usual, in whatever way, is not judged here: the connection is left to the library for
//! good, with the bytes that were read. Heads are taken apart by the parser that the library has, too; an answer is that of
//! [`routes`], and the same both ways.
//!
//! Who sends several events without waiting for the answers (RFC 9112 §9.3.2) has those that came together answered together, up to 32
//! of them, and up to the first that has to wait for the disk: what a call of the kernel costs is most of what an event costs, and so
//! it is shared.

mod again; // the head of the request before
mod answers; // what is yet to be sent

use std::cell::RefCell;
use std::future::{self, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use clock::{Clock, Moment};
use futures::FutureExt;
use httparse::{EMPTY_HEADER, Header, Status};
use hyper::header::HeaderName;
use sessions::session::Upgraded;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout_at};

pub(crate) use self::again::Said;

use self::again::Remembered;
use self::answers::{Answers, put_answer};
use crate::api::routes;
use crate::api::session::{self, TOKEN_SUBPROTOCOL};
use crate::net::connection::Connection;
use crate::net::headers::Headers;
use crate::net::stream::{Phase, Stream};

/// How an event begins.
const POST: &[u8] = b"POST /notifications HTTP/1.1\r\n";
/// How a hand-shake begins, and how its first line ends.
const GET: &[u8] = b"GET /session";
const VERSION: &[u8] = b" HTTP/1.1\r\n";
/// A request that needs more room is not usual.
const BUFFER_BYTES: usize = 16 * 1024;
/// How many buffers a thread keeps for the next requests.
const BUFFERS_KEPT: usize = 8;
const HEADERS_MAX: usize = 24;
/// Headers of requests that are not usual: more of them is to come, or a browser sends them.
const UNUSUAL: [&str; 3] = ["transfer-encoding", "expect", "origin"];
/// How long the rest of a request is waited for: many clients send the body in a packet of its own.
const REST_PATIENCE: Duration = Duration::from_secs(1);
/// In how many pieces a request can come; each has it looked at from its beginning.
const PIECES_MAX: u32 = 8;

thread_local! {
    static BUFFERS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// An event.
#[derive(Debug)]
pub(crate) struct Usual<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) body: &'a [u8],
    /// When it was looked at, whole: behind those that came before it on the connection.
    pub(crate) taken: Moment,
}

/// The head of an event.
#[derive(Debug)]
pub(crate) enum Head<'a> {
    New(Lines<'a>),
    /// It is the one that said this, but for the length of the body.
    Again(&'a Said),
}

/// A request for a session.
#[derive(Debug)]
pub(crate) struct HandShake<'a> {
    pub(crate) headers: Lines<'a>,
    pub(crate) query: Option<&'a str>,
    pub(crate) taken: Moment,
}

/// Headers as they stand in the request.
#[derive(Debug)]
pub(crate) struct Lines<'a>(&'a [Header<'a>]);

impl Headers for Lines<'_> {
    fn all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        // Once, and not for each line.
        let name = name.as_str();
        self.0
            .iter()
            .filter(move |line| line.name.len() == name.len() && line.name.eq_ignore_ascii_case(name))
            .map(|line| line.value)
    }
}

/// What bytes begin with.
enum Begun<'a> {
    /// An event, of so many bytes.
    Event(Usual<'a>, usize),
    /// A hand-shake, of so many bytes.
    HandShake(HandShake<'a>, usize),
    /// Perhaps one, of which something is missing.
    Part,
    Other,
}

impl<'a> Begun<'a> {
    fn read(bytes: &'a [u8], lines: &'a mut [Header<'a>], remembered: Option<&'a Remembered>, clock: &Clock) -> Self {
        if let Some(rest) = bytes.strip_prefix(GET) {
            return Self::read_hand_shake(bytes, rest, lines, clock);
        }
        let Some(rest) = bytes.strip_prefix(POST) else {
            return if POST.starts_with(bytes) || GET.starts_with(bytes) { Self::Part } else { Self::Other };
        };
        let taken = clock.moment();
        let again = remembered.and_then(|remembered| Some((remembered.find(rest)?, remembered.said_still(taken.wall)?)));
        let (head, begin, length) = match again {
            Some(((begin, length), said)) => (Head::Again(said), begin, length),
            None => match httparse::parse_headers(rest, lines) {
                Ok(Status::Complete((begin, lines))) => match body_bytes(lines) {
                    Some(length) => (Head::New(Lines(lines)), begin, length),
                    None => return Self::Other,
                },
                Ok(Status::Partial) => return Self::Part,
                Err(_) => return Self::Other,
            },
        };
        let end = begin + length;
        match rest.get(begin..end) {
            Some(body) => Self::Event(Usual { head, body, taken }, POST.len() + end),
            None if POST.len() + end > BUFFER_BYTES => Self::Other,
            None => Self::Part,
        }
    }

    fn read_hand_shake(bytes: &'a [u8], rest: &'a [u8], lines: &'a mut [Header<'a>], clock: &Clock) -> Self {
        let Some(length) = rest.windows(VERSION.len()).position(|window| window == VERSION) else {
            return if rest.contains(&b'\n') { Self::Other } else { Self::Part };
        };
        let (target, rest) = rest.split_at(length);
        let query = match target {
            [] => None,
            [b'?', query @ ..] if query.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') => {
                std::str::from_utf8(query).ok()
            }
            _ => return Self::Other,
        };
        let rest = rest.get(VERSION.len()..).unwrap_or_default();
        match httparse::parse_headers(rest, lines) {
            Ok(Status::Complete((end, lines))) if is_hand_shake(lines) => {
                let begin = bytes.len() - rest.len();
                Self::HandShake(HandShake { headers: Lines(lines), query, taken: clock.moment() }, begin + end)
            }
            Ok(Status::Partial) => Self::Part,
            Ok(Status::Complete(_)) | Err(_) => Self::Other,
        }
    }
}

/// Whether nothing in the head says that there is more to it than a hand-shake: no body, no browser, nothing else for the connection.
fn is_hand_shake(lines: &[Header<'_>]) -> bool {
    lines.iter().all(|line| {
        let is = |name: &str| line.name.eq_ignore_ascii_case(name);
        let offers_token = || line.value.windows(TOKEN_SUBPROTOCOL.len()).any(|window| window == TOKEN_SUBPROTOCOL.as_bytes());
        if is("connection") {
            line.value.eq_ignore_ascii_case(b"upgrade")
        } else if is("sec-websocket-protocol") {
            !offers_token()
        } else {
            !is("content-length") && !UNUSUAL.into_iter().any(is)
        }
    })
}

/// How long the body is, where nothing in the head says that there is more to it.
fn body_bytes(lines: &[Header<'_>]) -> Option<usize> {
    let mut bytes = None;
    for line in lines {
        let is = |name: &str| line.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let is_number = bytes.is_none() && line.value.iter().all(u8::is_ascii_digit);
            bytes = Some(std::str::from_utf8(line.value).ok().filter(|_| is_number)?.parse().ok()?);
        } else if is("connection") {
            line.value.eq_ignore_ascii_case(b"keep-alive").then_some(())?;
        } else if is("upgrade") || UNUSUAL.into_iter().any(is) {
            return None;
        }
    }
    bytes.filter(|bytes| *bytes <= BUFFER_BYTES)
}

/// What was read and is not answered yet.
struct Buffer {
    bytes: Box<[u8]>,
    answered: usize,
    filled: usize,
    /// In how many pieces what is not answered has come, and until when the rest of it is waited for.
    pieces: u32,
    until: Option<Instant>,
}

impl Buffer {
    fn new() -> Self {
        let kept = BUFFERS.with_borrow_mut(Vec::pop);
        Self { bytes: kept.unwrap_or_else(|| vec![0; BUFFER_BYTES].into()), answered: 0, filled: 0, pieces: 1, until: None }
    }

    fn unanswered(&self) -> &[u8] {
        self.bytes.get(self.answered..self.filled).unwrap_or_default()
    }

    /// Reads what comes; gives how much. 0: nothing more will come, or there is no room for it.
    fn poll_fill(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.bytes.get_mut(self.filled..).unwrap_or_default());
        if room.remaining() == 0 {
            return Poll::Ready(Ok(0));
        }
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.filled += count;
        Poll::Ready(Ok(count))
    }

    /// So much was answered.
    fn answer(&mut self, bytes: usize) {
        self.answered += bytes;
        (self.pieces, self.until) = (1, None);
    }

    /// What is not answered yet, if there is anything; else the room serves others.
    fn rest(self) -> Option<Self> {
        Some(self).filter(|buffer| !buffer.unanswered().is_empty())
    }

    /// Waits a moment for more; gives whether it came.
    async fn more_came(&mut self, stream: &mut Stream) -> bool {
        self.bytes.copy_within(self.answered..self.filled, 0);
        (self.answered, self.filled) = (0, self.filled - self.answered);
        self.pieces += 1;
        let until = *self.until.get_or_insert_with(|| Instant::now() + REST_PATIENCE);
        let is_usual = self.pieces <= PIECES_MAX;
        is_usual && matches!(timeout_at(until, poll_fn(|cx| self.poll_fill(stream, cx))).await, Ok(Ok(1..)))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        BUFFERS.with_borrow_mut(|kept| {
            if kept.len() < BUFFERS_KEPT {
                kept.push(std::mem::take(&mut self.bytes));
            }
        });
    }
}

impl Connection {
    /// Answers requests as long as they are usual. Gives what was read of another; nothing where the connection is to end.
    pub(super) async fn answer_usual(&self) -> Option<Vec<u8>> {
        let mut stream = self.stream.clone();
        let mut buffer = self.first_bytes(&mut stream).await?;
        let mut remembered: Option<Box<Remembered>> = None;
        let mut answers = Answers::default();
        loop {
            let mut lines = [EMPTY_HEADER; HEADERS_MAX];
            let begun = Begun::read(buffer.unanswered(), &mut lines, remembered.as_deref(), &self.node.clock);
            if !matches!(begun, Begun::Event(..)) {
                answers.send(&mut stream).await?;
            }
            match begun {
                Begun::Event(request, bytes) => {
                    stream.enter(Phase::Busy);
                    if let Some(said) = self.take(&request, &mut answers).await {
                        let head = POST.len()..bytes - request.body.len();
                        remember(&mut remembered, buffer.unanswered().get(head).unwrap_or_default(), said);
                    }
                    buffer.answer(bytes);
                }
                Begun::HandShake(request, bytes) => {
                    stream.enter(Phase::Busy);
                    let (opened, id) = routes::open_usual(&self.node, self.peer.ip(), &request).await;
                    let taken = request.taken;
                    buffer.answer(bytes);
                    match opened {
                        Ok((response, admitted)) => {
                            stream.enter(Phase::Upgraded);
                            let mut head = Vec::new();
                            put_answer(&mut head, response, &id, taken, false);
                            let early = Bytes::copy_from_slice(buffer.unanswered());
                            let socket = Upgraded { io: stream, early, head: Some(head.into()) };
                            session::begin(&self.node, admitted, future::ready(Some(socket)));
                            return None;
                        }
                        Err(response) => answers.put(response, &id, taken, self.is_stopping()),
                    }
                }
                Begun::Part => {
                    if !buffer.more_came(&mut stream).await {
                        return Some(buffer.unanswered().to_vec());
                    }
                    continue;
                }
                Begun::Other => return Some(buffer.unanswered().to_vec()),
            }
            let rest = buffer.rest();
            if rest.is_none() || answers.are_due() {
                answers.send(&mut stream).await?;
            }
            buffer = match rest {
                Some(rest) => rest,
                None => self.first_bytes(&mut stream).await?,
            };
        }
    }

    /// Takes an event, and puts its answer to the others. Gives what its head said, where it can be said again.
    ///
    /// An event that has begun is finished before anything is sent: that nobody hears the answers before it must not end it half way.
    async fn take(&self, request: &Usual<'_>, answers: &mut Answers) -> Option<Said> {
        let mut answering = pin!(routes::answer_usual(&self.node, self.peer.ip(), request));
        let (response, id, said) = match answering.as_mut().now_or_never() {
            Some(answer) => answer,
            None => {
                // Those before have waited with it for the disk: not for another one.
                answers.have_waited();
                answering.await
            }
        };
        answers.put(response, &id, request.taken, self.is_stopping());
        said
    }

    /// Waits for a request, or for the node's shutdown. An idle connection holds no buffer, but for the head that it remembers.
    async fn first_bytes(&self, stream: &mut Stream) -> Option<Buffer> {
        poll_fn(|cx| {
            let mut buffer = Buffer::new();
            match buffer.poll_fill(stream, cx) {
                Poll::Ready(Ok(1..)) => Poll::Ready(Some(buffer)),
                Poll::Pending if !self.is_stopping() => Poll::Pending,
                Poll::Ready(_) | Poll::Pending => Poll::Ready(None),
            }
        })
        .await
    }
}

/// Remembers a head, to know it again. One a token is enough: heads that are others each time are not remembered each time.
fn remember(remembered: &mut Option<Box<Remembered>>, head: &[u8], said: Said) {
    if remembered.as_deref().is_none_or(|known| !known.is_of(&said.verified)) {
        *remembered = Remembered::new(head, said).map(Box::new);
    }
}

#[cfg(test)]
mod tests;
