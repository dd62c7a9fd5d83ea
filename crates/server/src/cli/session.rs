//! `bellwire session`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use protocol::id::{CustomerId, NegotiatorId};
use serde_json::Value;

use super::ops::OpsArgs;
use super::{block_on, fail, id};

#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
    #[command(flatten)]
    ops: OpsArgs,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Logs a negotiator out everywhere (4006); their products stay away until somebody logs in again.
    Close {
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
        /// The negotiator.
        #[arg(long, value_parser = id(NegotiatorId::parse))]
        negotiator: NegotiatorId,
    },
}

pub(super) fn run(args: &SessionArgs) -> ExitCode {
    let SessionCommand::Close { customer, negotiator } = &args.command;
    block_on(async {
        match args.ops.send(Method::DELETE, &format!("/sessions/{customer}/{negotiator}"), None).await {
            Ok(answer) => {
                let closed = answer.and_then(|answer| answer.get("closed").and_then(Value::as_u64)).unwrap_or(0);
                println!("{closed} sessions closed");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        }
    })
}
