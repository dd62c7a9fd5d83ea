//! The contract in JavaScript, on Node: the same requests as bellwire gets.

use std::process::Command;

use anyhow::Result;

use super::bellwire::Contract;
use super::process::Process;
use super::{Protocol, Server};
use crate::bench::install;
use crate::broker::free_address;

const SECRET: &str = "node-measurement-secret";

pub(super) async fn start() -> Result<Server> {
    let folder = install::node()?;
    let address = free_address()?;
    let mut command = Command::new("node");
    command.arg(folder.join("server.js")).args([&address, SECRET]).env("NODE_ENV", "production");
    let address = address.parse()?;
    let process = Process::start(command, tempfile::tempdir()?, address).await?;
    Ok(Server::new(Protocol::Messages, Box::new(Contract::new(SECRET)?), process, address))
}
