//! A connection of a session or a caller: opened without waiting, heard, answered.

use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::bench::frames::{self, BINARY, CLOSE, PING, PONG, TEXT};
use crate::bench::subject::nats::{self, Said};
use crate::bench::subject::{Dial, Protocol};

const HEAD_END: &[u8] = b"\r\n\r\n";
const WELCOME: &[u8] = b"\"welcome\"";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Session(usize),
    Caller,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard<'b> {
    /// The session gets events from now on.
    Opened,
    Event(&'b [u8]),
    /// The caller's request is answered.
    Answered,
}

#[derive(Debug)]
enum Stage {
    /// Says this as soon as it is connected, and that as soon as it has its WebSocket.
    Connecting {
        request: Vec<u8>,
        greeting: Vec<u8>,
    },
    HandShake {
        greeting: Vec<u8>,
    },
    /// The server has yet to say that the session is there.
    Greeted,
    Open,
}

pub(super) struct SwarmConnection {
    stream: TcpStream,
    role: Role,
    stage: Stage,
    protocol: Protocol,
    /// What is not whole yet: of the stream, and of NATS's messages in the frames.
    rest: Vec<u8>,
    inner: Vec<u8>,
}

impl SwarmConnection {
    pub(super) fn session(session: usize, dial: Dial, request: Vec<u8>, greeting: Vec<u8>) -> Result<Self> {
        Self::open(dial, Role::Session(session), Stage::Connecting { request, greeting })
    }

    pub(super) fn caller(dial: Dial) -> Result<Self> {
        let request = match dial.protocol {
            Protocol::Nats { verbose } => nats::connect(verbose).into_bytes(),
            Protocol::Events | Protocol::Messages | Protocol::Acknowledged => Vec::new(),
        };
        Self::open(dial, Role::Caller, Stage::Connecting { request, greeting: Vec::new() })
    }

    fn open(dial: Dial, role: Role, stage: Stage) -> Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddrV4::new(dial.from, 0)).context("no port is free")?;
        match connect(&socket, &dial.to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context("cannot connect"),
        }
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(Self { stream, role, stage, protocol: dial.protocol, rest: Vec::new(), inner: Vec::new() })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting { .. })
    }

    /// Whether it is a caller's that may post as soon as it is connected: verbose NATS answers the begin, too.
    pub(super) fn may_post(&self) -> bool {
        self.role == Role::Caller && self.protocol != Protocol::Nats { verbose: true }
    }

    /// The connection is there, or has failed.
    pub(super) fn connected(&mut self) -> Result<()> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error).context("cannot connect");
        }
        let Stage::Connecting { request, greeting } = std::mem::replace(&mut self.stage, Stage::Open) else { return Ok(()) };
        if matches!(self.role, Role::Session(_)) {
            self.stage = Stage::HandShake { greeting };
        }
        self.say(&request)
    }

    /// Requests are small: a socket that has no room for one is not read any more.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).with_context(|| format!("{:?} cannot write", self.role))
    }

    /// What was left, and what has come.
    pub(super) fn read<'s>(&mut self, scratch: &'s mut [u8]) -> Result<Cow<'s, [u8]>> {
        let count = match self.stream.read(scratch) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Cow::Owned(std::mem::take(&mut self.rest))),
            Err(error) => return Err(error).with_context(|| format!("{:?}", self.role)),
        };
        ensure!(count > 0, "the server has ended the connection of {:?}: {}", self.role, String::from_utf8_lossy(&self.rest));
        let read = scratch.get(..count).unwrap_or_default();
        if self.rest.is_empty() {
            return Ok(Cow::Borrowed(read));
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(read);
        Ok(Cow::Owned(all))
    }

    /// Says what came, answers what asks for an answer, and keeps what is not whole.
    pub(super) fn hear(&mut self, bytes: &[u8], each: &mut impl FnMut(Heard<'_>) -> Result<()>) -> Result<()> {
        let mut answer = Vec::new();
        let taken = match (self.role, self.protocol) {
            (Role::Caller, Protocol::Nats { .. }) => spoken(bytes, &mut answer, each)?,
            (Role::Caller, Protocol::Events | Protocol::Messages | Protocol::Acknowledged) => answered(bytes, each)?,
            (Role::Session(_), _) => self.framed(bytes, &mut answer, each)?,
        };
        self.rest.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        if answer.is_empty() { Ok(()) } else { self.say(&answer) }
    }

    /// A session's bytes: the end of the hand-shake, then frames. Returns how many were taken.
    fn framed(&mut self, bytes: &[u8], answer: &mut Vec<u8>, each: &mut impl FnMut(Heard<'_>) -> Result<()>) -> Result<usize> {
        let mut taken = 0;
        if let Stage::HandShake { greeting } = &mut self.stage {
            let Some(end) = head_end(bytes) else { return Ok(0) };
            let head = bytes.get(..end).unwrap_or_default();
            ensure!(head.starts_with(b"HTTP/1.1 101"), "{:?} was refused: {}", self.role, String::from_utf8_lossy(bytes));
            if !greeting.is_empty() {
                answer.extend(frames::masked(BINARY, greeting));
            }
            self.stage = Stage::Greeted;
            if self.protocol == Protocol::Events {
                self.opened(each)?;
            }
            taken = end;
        }
        while let Some((frame, length)) = frames::first(bytes.get(taken..).unwrap_or_default()) {
            match frame.opcode {
                TEXT => self.text(frame.payload, answer, each)?,
                BINARY => self.binary(frame.payload, answer, each)?,
                PING => answer.extend(frames::masked(PONG, frame.payload)),
                CLOSE => bail!("the server closes {:?}: {}", self.role, String::from_utf8_lossy(frame.payload)),
                _ => {}
            }
            taken += length;
        }
        Ok(taken)
    }

    fn text(&mut self, payload: &[u8], answer: &mut Vec<u8>, each: &mut impl FnMut(Heard<'_>) -> Result<()>) -> Result<()> {
        if matches!(self.stage, Stage::Greeted) && payload.windows(WELCOME.len()).any(|window| window == WELCOME) {
            return self.opened(each);
        }
        if self.protocol == Protocol::Acknowledged
            && let Some(id) = id(payload)
        {
            answer.extend(frames::masked(TEXT, &[br#"{"type":"ack","id":""#, id, br#""}"#].concat()));
        }
        each(Heard::Event(payload))
    }

    /// A frame may hold a part of a message, or several.
    fn binary(&mut self, payload: &[u8], answer: &mut Vec<u8>, each: &mut impl FnMut(Heard<'_>) -> Result<()>) -> Result<()> {
        let all;
        let bytes = if self.inner.is_empty() {
            payload
        } else {
            all = [std::mem::take(&mut self.inner).as_slice(), payload].concat();
            &all
        };
        let (mut said, mut pong) = (Vec::new(), false);
        let taken = spoken(bytes, &mut said, &mut |heard| {
            pong |= heard == Heard::Opened;
            if heard == Heard::Opened { Ok(()) } else { each(heard) }
        })?;
        if !said.is_empty() {
            answer.extend(frames::masked(BINARY, &said));
        }
        self.inner.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        if pong && matches!(self.stage, Stage::Greeted) { self.opened(each) } else { Ok(()) }
    }

    fn opened(&mut self, each: &mut impl FnMut(Heard<'_>) -> Result<()>) -> Result<()> {
        self.stage = Stage::Open;
        each(Heard::Opened)
    }
}

/// What NATS says; its pong means that all before was done. Returns how many bytes were taken.
fn spoken(bytes: &[u8], answer: &mut Vec<u8>, each: &mut impl FnMut(Heard<'_>) -> Result<()>) -> Result<usize> {
    let mut taken = 0;
    while let Some((said, length)) = nats::first(bytes.get(taken..).unwrap_or_default()) {
        match said {
            Said::Message(payload) => each(Heard::Event(payload))?,
            Said::Ping => answer.extend_from_slice(nats::PONG),
            Said::Pong => each(Heard::Opened)?,
            Said::Taken => each(Heard::Answered)?,
            Said::Refused(text) => bail!("NATS refuses: {}", String::from_utf8_lossy(text)),
            Said::Other => {}
        }
        taken += length;
    }
    Ok(taken)
}

/// The answers to requests of a caller. Returns how many bytes were taken.
fn answered(bytes: &[u8], each: &mut impl FnMut(Heard<'_>) -> Result<()>) -> Result<usize> {
    let mut taken = 0;
    while let Some(length) = answer(bytes.get(taken..).unwrap_or_default())? {
        each(Heard::Answered)?;
        taken += length;
    }
    Ok(taken)
}

/// How long the first answer is, if it is whole.
fn answer(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = head_end(bytes) else { return Ok(None) };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map(|length| length.trim().parse()).transpose()?.unwrap_or(0);
    if bytes.len() < end + length {
        return Ok(None);
    }
    ensure!(
        head.starts_with("http/1.1 20"),
        "an event was refused: {}",
        String::from_utf8_lossy(bytes.get(..end + length).unwrap_or_default())
    );
    Ok(Some(end + length))
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END).map(|place| place + HEAD_END.len())
}

/// The id of a message, the first of the members with this name.
fn id(payload: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"id\":\"";
    let place = payload.windows(NAME.len()).position(|window| window == NAME)?;
    payload.get(place + NAME.len()..)?.split(|byte| *byte == b'"').next()
}
