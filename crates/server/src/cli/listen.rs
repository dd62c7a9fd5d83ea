//! `bellwire listen`

use std::io::{BufRead, IsTerminal, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use client::address::Address;
use client::desktop::{Desktop, News, fixed};
use protocol::id::{DeviceId, EventId};
use serde_json::{Value, json};

use super::{block_on, fail, id};

/// Listens as a desktop does, and prints what comes, a JSON line each; comes back by itself when the line breaks.
#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// The node's API.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    api: String,
    /// Certificates (PEM) to trust beside those of the web, where --api is https.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The device's name; a second session of the same device replaces the first.
    #[arg(long, value_parser = id(DeviceId::parse))]
    device: Option<DeviceId>,
    /// Where to go on: the id of the last event that was seen.
    #[arg(long, value_name = "ID", value_parser = id(EventId::parse))]
    resume: Option<EventId>,
    /// The token; read from standard input where it is left out, so that no list of processes shows it.
    token: Option<String>,
}

pub(super) fn run(args: &ListenArgs) -> ExitCode {
    let address = match Address::parse(&args.api, args.ca_file.as_deref()) {
        Ok(address) => address,
        Err(error) => return say(&format!("--api {error}")),
    };
    let token = match args.token.clone().map_or_else(read_token, Ok) {
        Ok(token) => token,
        Err(error) => return fail(&error),
    };
    let desktop = Desktop::new(address, args.device.map(|device| device.to_string()), fixed(token));
    let desktop = desktop.resuming(args.resume.map(|id| id.to_string()));
    block_on(listen(desktop))
}

fn read_token() -> std::io::Result<String> {
    if stdin().is_terminal() {
        eprintln!("bellwire: paste the token");
    }
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

async fn listen(mut desktop: Desktop) -> ExitCode {
    loop {
        let news = desktop.next().await;
        let line: Value = match &news {
            News::Welcome(message) | News::Event(message) | News::Expired(message) | News::Sync(message) => message.clone(),
            News::Away(code) => json!({"away": code}),
            News::Stopped(code) => json!({"stopped": code}),
        };
        // Who read the lines is gone, or nothing more will come.
        if writeln!(stdout(), "{line}").is_err() {
            return ExitCode::SUCCESS;
        }
        if let News::Stopped(code) = news {
            return say(&format!("the session ended for good with {code}"));
        }
    }
}

fn say(failure: &str) -> ExitCode {
    eprintln!("bellwire: {failure}");
    ExitCode::FAILURE
}
