//! The least that the job allows: one thread, epoll, no checks. It takes connections, answers the hand-shake with the one accept that
//! fits the key that the swarm sends, finds the sessions that an event is for in the request line, and writes it to them as a frame.
//! Not a product: it trusts every byte.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// What it answers to the key that all sessions send (RFC 6455 §1.3).
const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const LISTENER: u64 = 0;
const SCRATCH_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Where it listens.
    #[arg(long)]
    listen: String,
}

struct Limit {
    epoll: OwnedFd,
    connections: HashMap<u64, Connection>,
    /// The connection of each session, by its number.
    sessions: HashMap<usize, u64>,
    scratch: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    rest: Vec<u8>,
}

pub(crate) fn run(args: &LimitArgs) -> Result<ExitCode> {
    let listener = TcpListener::bind(&args.listen)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut limit = Limit { epoll, connections: HashMap::new(), sessions: HashMap::new(), scratch: vec![0; SCRATCH_BYTES] };
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        epoll::wait(&limit.epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => limit.accept(&listener)?,
                id => limit.read(id)?,
            }
        }
    }
}

impl Limit {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let id = u64::try_from(stream.as_raw_fd())?;
            epoll::add(&self.epoll, &stream, EventData::new_u64(id), EventFlags::IN)?;
            self.connections.insert(id, Connection { stream, rest: Vec::new() });
        }
        Ok(())
    }

    fn read(&mut self, id: u64) -> Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        match connection.stream.read(&mut self.scratch) {
            Ok(0) | Err(_) => drop(self.connections.remove(&id)),
            Ok(count) => {
                let read = self.scratch.get(..count).unwrap_or_default();
                // Almost always a whole request came at once.
                if connection.rest.is_empty()
                    && let Some(length) = length(read)
                    && length == count
                {
                    let request = read.to_vec();
                    return self.answer(id, &request);
                }
                connection.rest.extend_from_slice(read);
                while let Some(connection) = self.connections.get_mut(&id)
                    && let Some(length) = length(&connection.rest)
                {
                    let request: Vec<u8> = connection.rest.drain(..length).collect();
                    self.answer(id, &request)?;
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, id: u64, request: &[u8]) -> Result<()> {
        let (head, body) = request.split_at(head_end(request).unwrap_or(request.len()));
        let path = head.split(|byte| *byte == b' ').nth(1).and_then(|path| std::str::from_utf8(path).ok()).unwrap_or_default();
        let answer: &[u8] = if let Some(session) = path.strip_prefix("/session/") {
            self.sessions.insert(session.parse().context("a session's number")?, id);
            ACCEPTED
        } else {
            self.publish(path.strip_prefix("/to/").context("a path")?, body)?;
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.stream.write_all(answer)?;
        }
        Ok(())
    }

    /// To the sessions from the first to the last: `3-12`.
    fn publish(&mut self, sessions: &str, body: &[u8]) -> Result<()> {
        let (first, last) = sessions.split_once('-').context("first and last session")?;
        let frame = super::frames::text(body);
        for session in first.parse::<usize>()?..=last.parse()? {
            let connection = self.sessions.get(&session).and_then(|id| self.connections.get_mut(id));
            connection.context("no such session")?.stream.write_all(&frame)?;
        }
        Ok(())
    }
}

/// How long the head of a request is.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4)
}

/// How long the request at the begin of `bytes` is, if it is whole.
fn length(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let end = head_end(bytes)?;
    let head = bytes.get(..end)?;
    let declared = head.windows(NAME.len()).position(|window| window == NAME).and_then(|place| head.get(place + NAME.len()..));
    let digits = declared.map(|digits| digits.iter().take_while(|byte| byte.is_ascii_digit()));
    let body = digits.map_or(0, |digits| digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')));
    (bytes.len() >= end + body).then_some(end + body)
}
