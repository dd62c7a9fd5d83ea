//! Nchan: a session subscribes to its group's channel, an event is published to that channel once.

use std::process::Command;

use anyhow::Result;

use super::process::Process;
use super::{Event, Protocol, Server, Speech, upgrade};
use crate::bench::install;
use crate::broker::free_address;

const CONFIG: &str = include_str!("../../../peers/nchan/nginx.conf");

struct Nchan;

pub(super) async fn start() -> Result<Server> {
    let (program, module) = install::nchan()?;
    let (folder, address) = (tempfile::tempdir()?, free_address()?);
    let config = CONFIG.replace("LISTEN", &address).replace("MODULE", &module.display().to_string());
    std::fs::write(folder.path().join("nginx.conf"), config)?;
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(folder.path());
    let address = address.parse()?;
    let process = Process::start(command, folder, address).await?;
    Ok(Server::new(Protocol::Events, Box::new(Nchan), process, address))
}

impl Speech for Nchan {
    fn hand_shake(&mut self, session: usize, group: usize) -> Result<Vec<u8>> {
        Ok(upgrade(&format!("/session/{}", session / group), ""))
    }

    fn post(&self, event: &Event) -> Vec<u8> {
        event.at_path(&format!("/to/{}", event.group()))
    }
}
