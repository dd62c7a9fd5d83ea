//! bellwire: as it is, but for limits that a measurement reaches: those on rates, and that on connections.

use std::path::Path;

use anyhow::{Context, Result};

use super::process::Process;
use super::{CUSTOMER, Event, Protocol, Reader, Server, Speech, negotiator, upgrade};
use crate::broker::Broker;
use crate::people::Signer;

const SECRET: &str = "bellwire-measurement-secret";

/// Of which nine tenths may be sessions: 18,000 and their callers, where the system allows 20,000 descriptors.
const CONNECTIONS: &str = "20500";

/// The contract of `POST /notifications` and `GET /session`, with tokens.
pub(super) struct Contract {
    signer: Signer,
    /// The caller's token.
    caller: String,
    reader: Reader,
    /// Those of the sessions: who comes back brings the same.
    tokens: Vec<String>,
}

/// Starts it with its data below `data`; without, below the folder for temporary files.
pub(in crate::bench) async fn start(data: Option<&Path>, reader: Reader) -> Result<Server> {
    let unlimited = ["REQUESTS", "POLLS", "SESSIONS", "NEW_TOKENS"].map(|name| format!("BELLWIRE_LIMITS__{name}_PER_SECOND"));
    let rates = unlimited.iter().map(|name| (name.as_str(), "0"));
    let environment: Vec<_> = rates.chain([("BELLWIRE_LIMITS__CONNECTIONS", CONNECTIONS)]).collect();
    let broker = Broker::start_in(data, SECRET, &environment).await?;
    let address = broker.api.parse()?;
    let speech = Contract { reader, ..Contract::new(SECRET)? };
    Ok(Server::new(Protocol::Messages, Box::new(speech), Process::Broker(Box::new(broker)), address))
}

impl Contract {
    pub(super) fn new(secret: &str) -> Result<Self> {
        let signer = Signer::new(secret);
        Ok(Self { caller: signer.application()?, reader: Reader::Own, signer, tokens: Vec::new() })
    }
}

impl Speech for Contract {
    fn hand_shake(&mut self, session: usize, _group: usize) -> Result<Vec<u8>> {
        for next in self.tokens.len()..=session {
            self.tokens.push(self.signer.person(CUSTOMER, &negotiator(next))?);
        }
        let token = self.tokens.get(session).context("a token")?;
        Ok(upgrade("/session", &format!("authorization: Bearer {token}\r\n")))
    }

    /// Those that are signed in another second differ in when they end.
    fn renew(&mut self) {
        self.tokens.clear();
    }

    fn post(&self, event: &Event) -> Vec<u8> {
        event.in_contract(&self.caller, self.reader)
    }
}
