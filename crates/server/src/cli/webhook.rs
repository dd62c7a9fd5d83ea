//! `bellwire webhook`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::ops::{CommandOutput, OpsError, Place, PlaceArgs, lines, text, words};

#[derive(Debug, Args)]
pub(super) struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// Lists the subscriptions of all applications, with how they are.
    List,
    /// Shows a subscription, how it is treated, and its latest attempts.
    Show {
        /// Its id.
        subscription: String,
    },
    /// Sends the example of a topic to a subscription's URL, once, and says what came of it.
    Ping {
        /// Its id.
        subscription: String,
        /// One of its topics; the first where none is given.
        #[arg(long)]
        topic: Option<String>,
    },
    /// Sends events once more that were taken within a range of time.
    Replay {
        /// Its id.
        subscription: String,
        /// From when, e.g. 2026-11-22T03:00:00Z.
        #[arg(long)]
        since: String,
        /// Until when; until now where nothing is given.
        #[arg(long)]
        until: Option<String>,
        /// failed: what was given up, cancelled or suppressed; missing: what it would have been told, had it been there; or all.
        #[arg(long, default_value = "failed", value_parser = ["failed", "missing", "all"])]
        status: String,
    },
}

pub(super) fn run(args: &WebhookArgs) -> ExitCode {
    args.place.run(async |place| ask(&args.command, place).await)
}

async fn ask(command: &WebhookCommand, place: &mut Place) -> Result<CommandOutput, OpsError> {
    match command {
        WebhookCommand::List => Ok(CommandOutput::new(place.list("/webhooks").await?, |all| lines(all, line))),
        WebhookCommand::Show { subscription } => {
            Ok(CommandOutput::new(place.send(Method::GET, &format!("/webhooks/{subscription}"), None).await?, shown))
        }
        WebhookCommand::Ping { subscription, topic } => {
            let path = format!("/webhooks/{subscription}/ping");
            Ok(CommandOutput::new(place.send(Method::POST, &path, Some(json!({"topicId": topic}))).await?, pinged))
        }
        WebhookCommand::Replay { subscription, since, until, status } => {
            let path = format!("/webhooks/{subscription}/replay");
            let asked = json!({"since": since, "until": until, "status": status});
            Ok(CommandOutput::new(place.send(Method::POST, &path, Some(asked)).await?, |begun| {
                format!("{}\n", text(begun, "id"))
            }))
        }
    }
}

fn shown(answer: &Value) -> String {
    let subscription = answer.get("subscription").unwrap_or(&Value::Null);
    let list = |name| Some(words(subscription, name)).filter(|words| words != "-").unwrap_or_else(|| "all".to_owned());
    let member = |name| subscription.get(name).unwrap_or(&Value::Null);
    format!(
        "{}\n  topics     {}\n  customers  {}\n  health     {}\n  policy     {}\n{}",
        line(subscription),
        list("topicIds"),
        list("customerIds"),
        member("health"),
        member("effectivePolicy"),
        lines(answer.get("attempts").unwrap_or(&Value::Null), attempt)
    )
}

fn pinged(answer: &Value) -> String {
    let taken = if answer.get("success") == Some(&Value::Bool(true)) { "taken" } else { "not taken" };
    let why = Some(text(answer, "detail")).filter(|detail| !detail.is_empty()).unwrap_or_else(|| text(answer, "why"));
    format!("{taken}: {why}\n{}\n", attempt(answer))
}

fn line(subscription: &Value) -> String {
    let state = match (subscription.get("active"), subscription.pointer("/health/state").and_then(Value::as_str)) {
        (Some(Value::Bool(false)), _) => "inactive",
        (_, state) => state.unwrap_or_default(),
    };
    let of = |name| text(subscription, name);
    let queued = subscription.get("queued").and_then(Value::as_i64).unwrap_or(0);
    format!("{} {:<10} {state:<10} {queued:>7} queued  {}  {}", of("id"), of("profile"), of("applicationId"), of("url"))
}

fn attempt(attempt: &Value) -> String {
    let of = |name| text(attempt, name);
    let phases = attempt.get("phases").unwrap_or(&Value::Null);
    format!("  {} {:<8} {:<28} {}  {phases} ms", of("at"), of("outcome"), of("topicId"), of("why"))
}
