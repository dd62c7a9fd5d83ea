//! A server that is measured: started as a process of its own, and spoken to in its own way.

pub(super) mod limit; // the least that the job allows
pub(super) mod bellwire; // what this is about
pub(super) mod nchan; // nginx with a module
pub(super) mod nats; // a message broker with a listener for WebSocket
pub(super) mod node; // the same contract in JavaScript
mod process; // a program that runs, with all that it started

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use self::process::Process;
use crate::line::State;

/// Connections from one of this machine's addresses. Those of closed connections stay taken for a minute; as soon as half of an
/// address's ports are, the kernel searches for each next one for as long as a hand-shake takes (measured: 2 ms).
const CONNECTIONS_PER_SOURCE: u32 = 4_000;
/// How every session asks for its WebSocket; the key is that of RFC 6455 §1.3.
const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Where the number of an event stands in its body.
pub(super) const MARK: &[u8] = b"\"01234 ";
/// The customer of all sessions.
const CUSTOMER: &str = "ABC";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A bare loop with epoll, without any check.
    Limit,
    /// This project.
    Bellwire,
    /// The same with one caller, who sends events without waiting for the answers to those before.
    BellwirePipelined,
    /// The same, its events read by the HTTP library instead of the reader of frequent requests.
    BellwireLibrary,
    /// Nchan, a module of nginx.
    Nchan,
    /// NATS with its WebSocket listener; one caller who is told nothing.
    Nats,
    /// The same with as many callers as the others have, each of whom is told that NATS has taken what they published.
    NatsVerbose,
    /// Node with ws, ajv and jsonwebtoken.
    Node,
}

/// What a server is told to send, and to whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) number: u64,
    pub(super) call: u64,
    pub(super) state: State,
    /// The first of the sessions; they are one group of so many.
    pub(super) first: usize,
    pub(super) count: usize,
}

/// What is said on the lines, once they are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP, and over WebSocket nothing but events.
    Events,
    /// HTTP, and over WebSocket messages, of which the first is a welcome.
    Messages,
    /// The same, and sessions acknowledge each event, as desktops do.
    Acknowledged,
    /// NATS's own, over TCP and in binary frames; `verbose` callers are answered.
    Nats { verbose: bool },
}

/// How a server is asked for a session, and told of an event.
pub(super) trait Speech {
    /// The request that opens a session, one of `group` that get the same events.
    fn hand_shake(&mut self, session: usize, group: usize) -> Result<Vec<u8>>;

    /// What a session says as soon as it has its WebSocket.
    fn greeting(&self, _session: usize, _group: usize) -> Vec<u8> {
        Vec::new()
    }

    /// Has each session bring another token than it brought before, where there are tokens.
    fn renew(&mut self) {}

    /// What a caller says to have an event sent.
    fn post(&self, event: &Event) -> Vec<u8>;
}

/// A server that runs.
pub(super) struct Server {
    pub(super) protocol: Protocol,
    pub(super) speech: Box<dyn Speech>,
    /// One caller posts everything, without waiting for answers, if there are any.
    pub(super) pipelines: bool,
    process: Process,
    sessions_at: SocketAddr,
    callers_at: SocketAddr,
    connections: u32,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Bellwire => "bellwire",
            Self::BellwirePipelined => "bellwire-pipelined",
            Self::BellwireLibrary => "bellwire-library",
            Self::Nchan => "nchan",
            Self::Nats => "nats",
            Self::NatsVerbose => "nats-verbose",
            Self::Node => "node",
        }
    }

    pub(super) async fn start(self) -> Result<Server> {
        match self {
            Self::Limit => limit::start().await,
            Self::Bellwire => bellwire::start(None, Reader::Own).await,
            Self::BellwirePipelined => Ok(Server { pipelines: true, ..bellwire::start(None, Reader::Own).await? }),
            Self::BellwireLibrary => bellwire::start(None, Reader::Hyper).await,
            Self::Nchan => nchan::start().await,
            Self::Nats => nats::start(false).await,
            Self::NatsVerbose => nats::start(true).await,
            Self::Node => node::start().await,
        }
    }

    /// How many of so many events are posted: a tenth to one that takes ten times as long or more.
    pub(super) fn share(self, events: u64) -> u64 {
        match self {
            Self::Node => (events / 10).max(1),
            Self::Limit | Self::Nchan | Self::Nats | Self::NatsVerbose => events,
            Self::Bellwire | Self::BellwirePipelined | Self::BellwireLibrary => events,
        }
    }
}

/// By which reader of bellwire events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Reader {
    /// That of frequent requests.
    Own,
    /// The HTTP library.
    Hyper,
}

impl Reader {
    /// The target of the request: the absolute form changes nothing but the reader (RFC 9112 §3.2.2).
    fn target(self) -> &'static str {
        match self {
            Self::Own => "/notifications",
            Self::Hyper => "http://x/notifications",
        }
    }
}

/// How a connection is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial {
    pub(super) from: Ipv4Addr,
    pub(super) to: SocketAddr,
    pub(super) protocol: Protocol,
}

impl Server {
    /// One that takes sessions and callers at the same address.
    fn new(protocol: Protocol, speech: Box<dyn Speech>, process: Process, address: SocketAddr) -> Self {
        Self { protocol, speech, pipelines: false, process, sessions_at: address, callers_at: address, connections: 0 }
    }

    /// How the next session connects.
    pub(super) fn dial(&mut self) -> Dial {
        Dial { from: self.source(), to: self.sessions_at, protocol: self.protocol }
    }

    /// How the next caller connects.
    pub(super) fn dial_for_caller(&mut self) -> Dial {
        Dial { to: self.callers_at, ..self.dial() }
    }

    /// From where the next connection comes: from addresses of its own for each server, as each has another port.
    fn source(&mut self) -> Ipv4Addr {
        let [high, low] = self.sessions_at.port().to_be_bytes();
        let block = u8::try_from(1 + self.connections / CONNECTIONS_PER_SOURCE).unwrap_or(u8::MAX - 1);
        self.connections += 1;
        Ipv4Addr::new(127, high, low, block)
    }

    /// The processor time that the server and all its processes have used.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        self.process.processor_time()
    }

    /// The memory of the server and all its processes in KiB.
    pub(super) fn memory(&self) -> Result<u64> {
        self.process.memory()
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

impl Event {
    /// The group that it is for.
    pub(super) fn group(&self) -> usize {
        self.first / self.count
    }

    /// What the sessions are to hear. The sessions stand beside it, where a server has another way to name them.
    fn notification(&self, targets: &str) -> String {
        let Self { number, call, state, .. } = self;
        format!(
            r#"{{"type":"telephony","subType":"{}","products":["AgencyCloud"],{targets}"payload":{{"id":"c{call}","created":"2023-11-01T10:28:00","callerId":"07123 456789","destinationId":"01234 {number}"}}}}"#,
            state.sub_type()
        )
    }

    /// A request of HTTP that posts it to those whom the path names.
    fn at_path(&self, path: &str) -> Vec<u8> {
        http_post(path, "", &self.notification(""))
    }

    /// A request in the contract that bellwire has.
    fn in_contract(&self, token: &str, reader: Reader) -> Vec<u8> {
        let negotiators: Vec<_> =
            (self.first..self.first + self.count).map(|session| format!("\"{}\"", negotiator(session))).collect();
        let body = self.notification(&format!(r#""targets":{{"negotiatorId":[{}]}},"#, negotiators.join(",")));
        http_post(reader.target(), &format!("authorization: Bearer {token}\r\nreapit-customer: {CUSTOMER}\r\n"), &body)
    }
}

/// A session is the only one of its negotiator.
fn negotiator(session: usize) -> String {
    format!("N{session}")
}

fn http_post(path: &str, head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn upgrade(path: &str, head: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n{head}{UPGRADE}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_notification_of_the_contract() {
        let event = Event { number: 42, call: 7, state: State::Incoming, first: 20, count: 2 };
        let request = String::from_utf8(event.in_contract("t", Reader::Own)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["targets"]["negotiatorId"], serde_json::json!(["N20", "N21"]));
        assert_eq!(body["payload"]["destinationId"], "01234 42");
        assert_eq!(event.group(), 10);
    }
}
