//! `bellwire status`

use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::ops::{CommandOutput, OpsError, PlaceArgs, text};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

pub(super) fn run(args: &StatusArgs) -> ExitCode {
    args.place.run(async |place| -> Result<CommandOutput, OpsError> {
        Ok(CommandOutput::new(place.send(Method::GET, "/status", None).await?, written))
    })
}

fn written(status: &Value) -> String {
    let number = |path: &str| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let store = status.get("store").unwrap_or(&Value::Null);
    let uptime = status.get("uptimeSeconds").and_then(Value::as_u64).map(std::time::Duration::from_secs);
    let since = uptime.map(|uptime| format!(", for {}", humantime::format_duration(uptime))).unwrap_or_default();
    let dev = if status.get("dev") == Some(&Value::Bool(true)) { ", for development" } else { "" };
    format!(
        "state         {}{since}{dev}\nversion       {}\nsessions      {}\nconnections   {}\n\
         store         {} in {}, {} missed calls\napplications  {}\ndirectories   {}\nconnectors    {}\n\
         webhooks      {} subscriptions, {} deliveries queued, {} on their way\n",
        text(status, "state"),
        text(status, "version"),
        number("/sessions"),
        number("/connections"),
        ByteSize(number("/store/bytes")),
        text(store, "folder"),
        number("/store/missedCalls"),
        number("/applications"),
        number("/directories"),
        number("/connectors"),
        number("/webhooks/subscriptions"),
        number("/webhooks/queued"),
        number("/webhooks/inFlight"),
    )
}
