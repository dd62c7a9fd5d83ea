//! All sessions and all callers in one thread, level-triggered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::frames::{self, CLOSE, PING, TEXT};
use super::subject::{MARK, Subject};

const SCRATCH_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
/// Hand-shakes at once.
const OPENING_MAX: usize = 64;
/// How long nothing may happen at all.
const SILENCE_MAX: Duration = Duration::from_secs(20);
const PONG: u8 = 10;

pub(super) struct Swarm {
    epoll: OwnedFd,
    /// Sessions first, callers behind them.
    lines: Vec<Line>,
    sessions: usize,
    open: usize,
    scratch: Vec<u8>,
    /// How many have yet to hear each event.
    missing: Vec<usize>,
    idle: Vec<usize>,
    done: u64,
}

struct Line {
    stream: TcpStream,
    rest: Vec<u8>,
    /// Of a session: whether the hand-shake is over.
    is_open: bool,
}

/// Events that are posted one after another, so many at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flood {
    pub(super) events: u64,
    pub(super) outstanding: usize,
    /// Sessions that each event is for.
    pub(super) targets: usize,
    /// Whether sessions acknowledge what they hear.
    pub(super) acks: bool,
}

impl Swarm {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            lines: Vec::new(),
            sessions: 0,
            open: 0,
            scratch: vec![0; SCRATCH_BYTES],
            missing: Vec::new(),
            idle: Vec::new(),
            done: 0,
        })
    }

    /// Opens so many sessions.
    pub(super) fn open(&mut self, subject: &mut Subject, sessions: usize) -> Result<()> {
        ensure!(self.sessions == self.lines.len(), "sessions come before callers");
        for session in self.sessions..self.sessions + sessions {
            let request = subject.hand_shake(session)?;
            self.connect(subject, &request)?;
            self.sessions += 1;
            while self.sessions - self.open >= OPENING_MAX {
                self.turn(false)?;
            }
        }
        while self.open < self.sessions {
            self.turn(false)?;
        }
        Ok(())
    }

    fn connect(&mut self, subject: &Subject, request: &[u8]) -> Result<()> {
        let mut stream = TcpStream::connect(subject.address())?;
        stream.set_nodelay(true)?;
        stream.write_all(request)?;
        stream.set_nonblocking(true)?;
        let id = u64::try_from(self.lines.len())?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(id), EventFlags::IN)?;
        self.lines.push(Line { stream, rest: Vec::new(), is_open: false });
        Ok(())
    }

    /// Posts events, each to other sessions, until all have heard theirs.
    pub(super) fn flood(&mut self, subject: &Subject, flood: Flood) -> Result<()> {
        for _ in self.lines.len()..self.sessions + flood.outstanding {
            self.connect(subject, b"")?;
        }
        let first = self.missing.len();
        self.missing.resize(first + usize::try_from(flood.events)?, flood.targets);
        self.idle = (self.sessions..self.sessions + flood.outstanding).collect();
        let end = u64::try_from(self.missing.len())?;
        let (mut next, all) = (u64::try_from(first)?, self.done + flood.events);
        let places = self.sessions - flood.targets + 1;
        while self.done < all {
            while next < end
                && next - self.done < u64::try_from(flood.outstanding)?
                && let Some(caller) = self.idle.pop()
            {
                // A prime step, so that neighbours in time are none in the table.
                let target = usize::try_from(next * 7919)? % places;
                let request = subject.post(next, target, flood.targets);
                let line = self.lines.get_mut(caller).context("a caller")?;
                line.stream.write_all(&request)?;
                next += 1;
            }
            self.turn(flood.acks)?;
        }
        Ok(())
    }

    /// Lets time pass; pings are answered.
    pub(super) fn rest(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.wait(left, false)?;
        }
        Ok(())
    }

    fn turn(&mut self, acks: bool) -> Result<()> {
        let happened = self.wait(SILENCE_MAX, acks)?;
        ensure!(happened, "nothing has come for {} s: {} of {} sessions open", SILENCE_MAX.as_secs(), self.open, self.sessions);
        Ok(())
    }

    /// Takes what has come; gives whether anything has.
    fn wait(&mut self, time: Duration, acks: bool) -> Result<bool> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let timeout = Timespec { tv_sec: i64::try_from(time.as_secs())?, tv_nsec: i64::from(time.subsec_nanos()) };
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
        for event in &events {
            let place = usize::try_from(event.data.u64())?;
            if place < self.sessions { self.hear(place, acks)? } else { self.answered(place)? }
        }
        Ok(!events.is_empty())
    }

    /// What has come to a session.
    fn hear(&mut self, place: usize, acks: bool) -> Result<()> {
        let Self { lines, scratch, missing, open, done, .. } = self;
        let line = lines.get_mut(place).context("a session")?;
        let count = line.stream.read(scratch)?;
        ensure!(count > 0, "the server has ended session {place}");
        let read = scratch.get(..count).unwrap_or_default();
        let joined;
        let mut bytes = if line.rest.is_empty() {
            read
        } else {
            joined = [line.rest.as_slice(), read].concat();
            &joined
        };
        if !line.is_open {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                line.rest = bytes.to_vec();
                return Ok(());
            };
            let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
            ensure!(head.starts_with("HTTP/1.1 101"), "session {place} was refused: {head}");
            (line.is_open, *open) = (true, *open + 1);
            bytes = bytes.get(end + 4..).unwrap_or_default();
        }
        let mut answer = Vec::new();
        while let Some((frame, length)) = frames::first(bytes) {
            match frame.opcode {
                TEXT => {
                    if let Some(event) = number(frame.payload) {
                        let missing = missing.get_mut(usize::try_from(event)?).context("an event that was posted")?;
                        *missing = missing.checked_sub(1).context("an event came twice")?;
                        *done += u64::from(*missing == 0);
                        if acks && let Some(id) = id(frame.payload) {
                            answer.extend(frames::masked(TEXT, &[br#"{"type":"ack","id":""#, id, br#""}"#].concat()));
                        }
                    }
                }
                PING => answer.extend(frames::masked(PONG, frame.payload)),
                CLOSE => bail!("the server closes session {place}: {}", String::from_utf8_lossy(frame.payload)),
                _ => {}
            }
            bytes = bytes.get(length..).unwrap_or_default();
        }
        line.rest = bytes.to_vec();
        if !answer.is_empty() {
            line.stream.write_all(&answer)?;
        }
        Ok(())
    }

    /// What has come to a caller: an answer to its one request.
    fn answered(&mut self, place: usize) -> Result<()> {
        let line = self.lines.get_mut(place).context("a caller")?;
        let count = line.stream.read(&mut self.scratch)?;
        ensure!(count > 0, "the server has ended a caller's connection");
        line.rest.extend(self.scratch.get(..count).unwrap_or_default());
        let Some(end) = line.rest.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(()) };
        let head = String::from_utf8_lossy(line.rest.get(..end).unwrap_or_default()).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map(|length| length.trim().parse()).transpose()?.unwrap_or(0);
        if line.rest.len() < end + 4 + length {
            return Ok(());
        }
        ensure!(head.starts_with("http/1.1 20"), "an event was refused: {}", String::from_utf8_lossy(&line.rest));
        line.rest.clear();
        self.idle.push(place);
        Ok(())
    }
}

/// The number of the event that a message carries.
fn number(payload: &[u8]) -> Option<u64> {
    let place = payload.windows(MARK.len()).position(|window| window == MARK)?;
    let digits = payload.get(place + MARK.len()..)?.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// The id of a message, the first of the members with this name.
fn id(payload: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"id\":\"";
    let place = payload.windows(NAME.len()).position(|window| window == NAME)?;
    payload.get(place + NAME.len()..)?.split(|byte| *byte == b'"').next()
}
