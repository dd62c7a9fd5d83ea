//! `bellwire missed`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use jiff::Timestamp;
use protocol::id::{CustomerId, NegotiatorId};
use serde_json::Value;

use super::id;
use super::ops::{CommandOutput, OpsError, Place, PlaceArgs, lines, text};

#[derive(Debug, Args)]
pub(super) struct MissedArgs {
    #[command(subcommand)]
    command: MissedCommand,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum MissedCommand {
    /// Lists whose lists there are, with how many calls wait and since when; of one negotiator, the calls.
    List {
        /// Only those of this customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: Option<CustomerId>,
        /// The calls of this negotiator.
        #[arg(long, requires = "customer", value_parser = id(NegotiatorId::parse))]
        negotiator: Option<NegotiatorId>,
    },
    /// Takes missed calls away, and nothing else of them: see also `bellwire purge`.
    Purge {
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
        /// Only those of this negotiator.
        #[arg(long, value_parser = id(NegotiatorId::parse))]
        negotiator: Option<NegotiatorId>,
        /// Only those that were taken before a moment, e.g. 2026-11-22T03:00:00Z.
        #[arg(long, value_name = "TIME")]
        before: Option<Timestamp>,
    },
}

pub(super) fn run(args: &MissedArgs) -> ExitCode {
    args.place.run(async |place| ask(&args.command, place).await)
}

async fn ask(command: &MissedCommand, place: &mut Place) -> Result<CommandOutput, OpsError> {
    match command {
        MissedCommand::List { customer, negotiator } => {
            let path = path(customer.as_ref(), negotiator.as_ref());
            let written = if negotiator.is_some() { call } else { list };
            Ok(CommandOutput::new(place.list(&format!("{path}?pageSize=1000")).await?, |all| lines(all, written)))
        }
        MissedCommand::Purge { customer, negotiator, before } => {
            let before = before.map(|before| format!("?before={before}")).unwrap_or_default();
            let path = path(Some(customer), negotiator.as_ref());
            let gone = place.send(Method::DELETE, &format!("{path}{before}"), None).await?;
            let count = |gone: &Value| gone.get("missedCalls").and_then(Value::as_u64).unwrap_or(0);
            Ok(CommandOutput::new(gone, |gone| format!("{} missed calls taken away\n", count(gone))))
        }
    }
}

fn path(customer: Option<&CustomerId>, negotiator: Option<&NegotiatorId>) -> String {
    let part = |id: Option<String>| id.map(|id| format!("/{id}")).unwrap_or_default();
    format!("/missed{}{}", part(customer.map(ToString::to_string)), part(negotiator.map(ToString::to_string)))
}

fn list(list: &Value) -> String {
    let of = |name| text(list, name);
    let calls = list.get("calls").and_then(Value::as_i64).unwrap_or(0);
    let (customer, negotiator) = (of("customerId"), of("negotiatorId"));
    format!("{customer:<10} {negotiator:<6} {calls:>6} calls  {} to {}", of("oldest"), of("newest"))
}

fn call(call: &Value) -> String {
    let payload = call.get("payload").unwrap_or(&Value::Null);
    let numbers = (text(payload, "callerId"), text(payload, "destinationId"));
    format!("{}  {}  {} called {}", text(call, "id"), text(call, "created"), numbers.0, numbers.1)
}
