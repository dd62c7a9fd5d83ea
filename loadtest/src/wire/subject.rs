//! A server that is measured: started as a process of its own, and spoken to in its own way.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::json;

use crate::broker::{Broker, free_address, memory_of, processor_time_of};
use crate::people::Signer;

const SECRET: &str = "bellwire-wire-secret";
const CUSTOMER: &str = "ABC";
/// The end of what a server answers to the key that all sessions send (RFC 6455 §1.3).
pub(super) const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const UPGRADE: &str =
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// Where the number of an event stands in its body.
pub(super) const MARK: &[u8] = b"\"01234 ";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Limit,
    Bellwire,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Bellwire => "bellwire",
        }
    }
}

/// A server that runs.
pub(super) struct Subject {
    kind: Kind,
    address: String,
    process: Process,
    signer: Signer,
    /// The caller's token.
    caller: String,
    /// Those of the sessions: who comes back brings the same.
    tokens: Vec<String>,
}

enum Process {
    Limit(Child),
    Bellwire(Box<Broker>),
}

impl Subject {
    pub(super) async fn start(kind: Kind) -> Result<Self> {
        let signer = Signer::new(SECRET);
        let caller = signer.application()?;
        let (address, process) = match kind {
            Kind::Bellwire => {
                let unlimited = ["REQUESTS", "POLLS", "SESSIONS", "NEW_TOKENS"];
                let unlimited = unlimited.map(|name| format!("BELLWIRE_LIMITS__{name}_PER_SECOND"));
                let unlimited: Vec<_> = unlimited.iter().map(|name| (name.as_str(), "0")).collect();
                let broker = Broker::start(None, SECRET, &unlimited).await?;
                (broker.api.clone(), Process::Bellwire(Box::new(broker)))
            }
            Kind::Limit => {
                let address = free_address()?;
                let mut command = Command::new(std::env::current_exe()?);
                let child = command.args(["limit", "--listen", &address]).stdin(Stdio::null()).spawn()?;
                while std::net::TcpStream::connect(&address).is_err() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                (address, Process::Limit(child))
            }
        };
        Ok(Self { kind, address, process, signer, caller, tokens: Vec::new() })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The request that opens a session.
    pub(super) fn hand_shake(&mut self, session: usize) -> Result<Vec<u8>> {
        let request = match self.kind {
            Kind::Limit => format!("GET /session/{session} HTTP/1.1\r\nhost: x\r\n{UPGRADE}\r\n"),
            Kind::Bellwire => {
                for next in self.tokens.len()..=session {
                    self.tokens.push(self.signer.person(CUSTOMER, &negotiator(next))?);
                }
                let token = self.tokens.get(session).context("a token")?;
                format!("GET /session HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{UPGRADE}\r\n")
            }
        };
        Ok(request.into_bytes())
    }

    /// The request that posts an event to `count` sessions from the first on.
    pub(super) fn post(&self, event: u64, first: usize, count: usize) -> Vec<u8> {
        let targets: Vec<_> = (first..first + count).map(negotiator).collect();
        let payload = json!({
            "id": format!("c{event}"), "created": "2023-11-01T10:28:00", "callerId": "07123 456789",
            "destinationId": format!("01234 {event}"),
        });
        let notification = json!({
            "type": "telephony", "subType": "incomingCall", "products": ["AgencyCloud"], "targets": {"negotiatorId": targets},
            "payload": payload,
        });
        let own = format!("authorization: Bearer {}\r\nreapit-customer: {CUSTOMER}\r\n", self.caller);
        let (head, body) = match self.kind {
            // Who is told stands in the path.
            Kind::Limit => (format!("POST /to/{first}-{} HTTP/1.1\r\nhost: x\r\n", first + count - 1), notification.to_string()),
            Kind::Bellwire => (format!("POST /notifications HTTP/1.1\r\nhost: x\r\n{own}"), notification.to_string()),
        };
        format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    pub(super) fn processor_time(&self) -> Result<Duration> {
        processor_time_of(&self.pid()?)
    }

    /// In KiB.
    pub(super) fn memory(&self) -> Result<u64> {
        memory_of(&self.pid()?)
    }

    fn pid(&self) -> Result<String> {
        match &self.process {
            Process::Limit(child) => Ok(child.id().to_string()),
            Process::Bellwire(broker) => broker.pid().context("the broker has ended"),
        }
    }

    pub(super) async fn stop(self) -> Result<()> {
        match self.process {
            Process::Limit(mut child) => {
                child.kill()?;
                child.wait()?;
            }
            Process::Bellwire(mut broker) => drop(broker.end(Signal::KILL).await?),
        }
        Ok(())
    }
}

fn negotiator(session: usize) -> String {
    format!("N{session}")
}
