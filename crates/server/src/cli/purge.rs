//! `bellwire purge`

use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use protocol::id::{CustomerId, NegotiatorId};
use serde_json::{Value, json};

use super::id;
use super::ops::{CommandOutput, OpsError, PlaceArgs};

/// What is said of each number of the answer.
const NAMES: [(&str, &str); 8] = [
    ("missedCalls", "missed calls"),
    ("webhookEvents", "events for webhooks"),
    ("webhookDeliveries", "their deliveries, queued or over"),
    ("idempotencyKeys", "answers to repeated calls"),
    ("resumableEvents", "events that sessions could come back for"),
    ("liveCalls", "live calls"),
    ("receipts", "events whose receipts went"),
    ("connectorCalls", "calls that connectors knew"),
];

#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// The customer.
    #[arg(long, value_parser = id(CustomerId::parse))]
    customer: CustomerId,
    /// Only what concerns this negotiator.
    #[arg(long, value_parser = id(NegotiatorId::parse))]
    negotiator: Option<NegotiatorId>,
    #[command(flatten)]
    place: PlaceArgs,
}

pub(super) fn run(args: &PurgeArgs) -> ExitCode {
    args.place.run(async |place| -> Result<CommandOutput, OpsError> {
        let asked = json!({"customerId": args.customer, "negotiatorId": args.negotiator});
        Ok(CommandOutput::new(place.send(Method::POST, "/purge", Some(asked)).await?, written))
    })
}

fn written(gone: &Value) -> String {
    let line = |(name, what): &(&str, &str)| format!("{:>8} {what}\n", gone.get(*name).and_then(Value::as_u64).unwrap_or(0));
    format!("gone:\n{}", NAMES.iter().map(line).collect::<String>())
}
