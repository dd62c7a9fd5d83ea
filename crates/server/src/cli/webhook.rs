//! `bellwire webhook`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::ops::{OpsArgs, OpsError};
use super::{block_on, fail};

#[derive(Debug, Args)]
pub(super) struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
    #[command(flatten)]
    ops: OpsArgs,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
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
    block_on(async {
        match ask(args).await {
            Ok(answer) if args.json => println!("{answer}"),
            Ok(answer) => print(&args.command, &answer),
            Err(error) => return fail(&error),
        }
        ExitCode::SUCCESS
    })
}

async fn ask(args: &WebhookArgs) -> Result<Value, OpsError> {
    let answer = match &args.command {
        WebhookCommand::List => args.ops.send(Method::GET, "/webhooks", None).await,
        WebhookCommand::Show { subscription } => args.ops.send(Method::GET, &format!("/webhooks/{subscription}"), None).await,
        WebhookCommand::Ping { subscription, topic } => {
            let path = format!("/webhooks/{subscription}/ping");
            args.ops.send(Method::POST, &path, Some(json!({"topicId": topic}))).await
        }
        WebhookCommand::Replay { subscription, since, until, status } => {
            let path = format!("/webhooks/{subscription}/replay");
            args.ops.send(Method::POST, &path, Some(json!({"since": since, "until": until, "status": status}))).await
        }
    };
    Ok(answer?.unwrap_or_default())
}

fn print(command: &WebhookCommand, answer: &Value) {
    match command {
        WebhookCommand::List => {
            for subscription in answer.as_array().into_iter().flatten() {
                print_line(subscription);
            }
        }
        WebhookCommand::Show { .. } => {
            let subscription = answer.get("subscription").unwrap_or(&Value::Null);
            print_line(subscription);
            println!("  topics     {}", words(subscription, "topicIds"));
            println!("  customers  {}", words(subscription, "customerIds"));
            println!("  health     {}", subscription.get("health").unwrap_or(&Value::Null));
            println!("  policy     {}", subscription.get("effectivePolicy").unwrap_or(&Value::Null));
            for attempt in answer.get("attempts").and_then(Value::as_array).into_iter().flatten() {
                print_attempt(attempt);
            }
        }
        WebhookCommand::Ping { .. } => {
            let taken = if answer.get("success") == Some(&Value::Bool(true)) { "taken" } else { "not taken" };
            println!("{taken}: {}", text(answer, "detail").or_else(|| text(answer, "why")).unwrap_or_default());
            print_attempt(answer);
        }
        WebhookCommand::Replay { .. } => println!("{}", text(answer, "id").unwrap_or_default()),
    }
}

fn print_line(subscription: &Value) {
    let state = match (subscription.get("active"), subscription.pointer("/health/state").and_then(Value::as_str)) {
        (Some(Value::Bool(false)), _) => "inactive",
        (_, state) => state.unwrap_or_default(),
    };
    let of = |name| text(subscription, name).unwrap_or_default();
    let queued = subscription.get("queued").and_then(Value::as_i64).unwrap_or(0);
    println!("{} {:<10} {:<10} {queued:>7} queued  {}  {}", of("id"), of("profile"), state, of("applicationId"), of("url"));
}

fn print_attempt(attempt: &Value) {
    let of = |name| text(attempt, name).unwrap_or_default();
    let phases = attempt.get("phases").unwrap_or(&Value::Null);
    println!("  {} {:<8} {:<28} {}  {phases} ms", of("at"), of("outcome"), of("topicId"), of("why"));
}

fn text<'v>(of: &'v Value, name: &str) -> Option<&'v str> {
    of.get(name).and_then(Value::as_str)
}

fn words(of: &Value, name: &str) -> String {
    let words = of.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let words = words.collect::<Vec<_>>().join(", ");
    if words.is_empty() { "all".to_owned() } else { words }
}
