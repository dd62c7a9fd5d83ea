//! `bellwire session`: on a running node only, since nobody is logged in to one that is stopped.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use protocol::id::{CustomerId, NegotiatorId};
use serde_json::Value;

use super::id;
use super::ops::{CommandOutput, NodeArgs, OpsError, Place, lines, text};

#[derive(Debug, Args)]
pub(super) struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Lists who is logged in, in the order in which they came.
    List {
        /// Only those of this customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: Option<CustomerId>,
        /// Only those of this negotiator.
        #[arg(long, value_parser = id(NegotiatorId::parse))]
        negotiator: Option<NegotiatorId>,
    },
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
    args.node.run(async |place| ask(&args.command, place).await)
}

async fn ask(command: &SessionCommand, place: &mut Place) -> Result<CommandOutput, OpsError> {
    match command {
        SessionCommand::List { customer, negotiator } => {
            let customer = customer.map(|customer| format!("customerId={customer}&")).unwrap_or_default();
            let negotiator = negotiator.map(|negotiator| format!("negotiatorId={negotiator}&")).unwrap_or_default();
            let all = place.list(&format!("/sessions?{customer}{negotiator}pageSize=1000")).await?;
            Ok(CommandOutput::new(all, |all| lines(all, written)))
        }
        SessionCommand::Close { customer, negotiator } => {
            let closed = place.send(Method::DELETE, &format!("/sessions/{customer}/{negotiator}"), None).await?;
            let count = |closed: &Value| closed.get("closed").and_then(Value::as_u64).unwrap_or(0);
            Ok(CommandOutput::new(closed, |closed| format!("{} sessions closed\n", count(closed))))
        }
    }
}

fn written(session: &Value) -> String {
    let of = |name| text(session, name);
    let device = if of("device").is_empty() { "-" } else { of("device") };
    let (customer, negotiator) = (of("customerId"), of("negotiatorId"));
    format!("{}  {}  {customer:<10} {negotiator:<6} {:<16} {device}", of("id"), of("opened"), of("product"))
}
