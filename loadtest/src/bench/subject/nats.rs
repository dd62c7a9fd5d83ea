//! NATS: a session subscribes to its group's subject, an event is published to that subject once, over TCP.

use std::process::Command;

use anyhow::Result;

use super::process::Process;
use super::{Event, Protocol, Server, Speech, upgrade};
use crate::bench::install;
use crate::broker::free_address;

const CONFIG: &str = include_str!("../../../peers/nats/nats.conf");
pub(in crate::bench) const PONG: &[u8] = b"PONG\r\n";

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Said<'b> {
    Message(&'b [u8]),
    Ping,
    Pong,
    /// What was said is taken.
    Taken,
    Refused(&'b [u8]),
    Other,
}

struct Nats;

pub(super) async fn start(verbose: bool) -> Result<Server> {
    let program = install::nats()?;
    let (folder, sessions, callers) = (tempfile::tempdir()?, free_address()?, free_address()?);
    let config = CONFIG.replace("LISTEN_SESSIONS", &sessions).replace("LISTEN_CALLERS", &callers);
    std::fs::write(folder.path().join("nats.conf"), config)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.path().join("nats.conf"));
    // Measured on 2 cores, an event to one of 1,000 sessions: 17 µs with one thread for its own code, 23 with two; answered 30, and 35.
    command.env("GOMAXPROCS", "1");
    let (sessions, callers) = (sessions.parse()?, callers.parse()?);
    let process = Process::start(command, folder, sessions).await?;
    let server = Server::new(Protocol::Nats { verbose }, Box::new(Nats), process, sessions);
    // Nothing is answered, and one connection is the cheapest: what is published on it is read together.
    Ok(Server { callers_at: callers, pipelines: !verbose, ..server })
}

impl Speech for Nats {
    fn hand_shake(&mut self, _session: usize, _group: usize) -> Result<Vec<u8>> {
        Ok(upgrade("/", ""))
    }

    /// The answer to the ping says that the subscription is there.
    fn greeting(&self, session: usize, group: usize) -> Vec<u8> {
        let connect = connect(false);
        format!("{connect}SUB to.{} 1\r\nPING\r\n", session / group).into_bytes()
    }

    fn post(&self, event: &Event) -> Vec<u8> {
        let body = event.notification("");
        format!("PUB to.{} {}\r\n{body}\r\n", event.group(), body.len()).into_bytes()
    }
}

/// The begin of every connection. A `verbose` one is answered whatever it says, this included.
pub(in crate::bench) fn connect(verbose: bool) -> String {
    format!("CONNECT {{\"verbose\":{verbose},\"pedantic\":false,\"lang\":\"rust\",\"version\":\"0\",\"protocol\":1}}\r\n")
}

/// What is said at the begin of `bytes`, and how many bytes it has; `None` where it is not whole yet.
pub(in crate::bench) fn first(bytes: &[u8]) -> Option<(Said<'_>, usize)> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    let line = bytes.get(..end)?;
    if line.starts_with(b"MSG ") {
        let size =
            line.rsplit(|byte| *byte == b' ').next().and_then(|size| std::str::from_utf8(size).ok()?.parse::<usize>().ok())?;
        let all = end + 2 + size + 2;
        return bytes.get(end + 2..end + 2 + size).filter(|_| bytes.len() >= all).map(|payload| (Said::Message(payload), all));
    }
    let said = match line {
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        b"+OK" => Said::Taken,
        line if line.starts_with(b"-ERR") => Said::Refused(line),
        _ => Said::Other,
    };
    Some((said, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_when_it_is_whole() {
        let bytes = b"INFO {}\r\nMSG to.1 1 4\r\na\r\nb\r\nPING\r\n+OK\r\n-ERR 'no'\r\nPON";
        let mut rest: &[u8] = bytes;
        let mut heard = Vec::new();
        while let Some((said, length)) = first(rest) {
            heard.push(said);
            rest = &rest[length..];
        }
        assert_eq!(heard, [Said::Other, Said::Message(b"a\r\nb"), Said::Ping, Said::Taken, Said::Refused(b"-ERR 'no'")]);
        assert_eq!(rest, b"PON");
        assert_eq!(first(b"MSG to.1 1 4\r\na\r\nb\r"), None);
        assert_eq!(first(b"MSG to.1 1 4\r\na\r"), None);
    }
}
