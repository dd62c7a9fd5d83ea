//! The least that the job allows: this program again.

use std::process::Command;

use anyhow::Result;

use super::process::Process;
use super::{Event, Protocol, Server, Speech, upgrade};
use crate::broker::free_address;

struct Limit;

pub(super) async fn start() -> Result<Server> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["limit", "--listen", &address]);
    let address = address.parse()?;
    let process = Process::start(command, tempfile::tempdir()?, address).await?;
    Ok(Server::new(Protocol::Events, Box::new(Limit), process, address))
}

impl Speech for Limit {
    fn hand_shake(&mut self, session: usize, _group: usize) -> Result<Vec<u8>> {
        Ok(upgrade(&format!("/session/{session}"), ""))
    }

    fn post(&self, event: &Event) -> Vec<u8> {
        event.at_path(&format!("/to/{}-{}", event.first, event.first + event.count - 1))
    }
}
