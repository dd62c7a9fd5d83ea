//! `bellwire config`

mod files; // what is wrong with the files that a configuration names

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use server::config::origin::ConfigFault;
use server::config::show::{ShownSetting, written};
use server::config::{Config, ConfigError};

use super::{EX_CONFIG, ServeArgs, put, refuse};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Says all that is wrong with a configuration, with line and key; exits with 0 or 78.
    Check(ConfigFlags),
    /// Prints the configuration that holds, secrets masked, and where each value came from: default, file and line, variable, flag.
    Show(ConfigFlags),
}

/// The same flags as `bellwire serve` takes.
#[derive(Debug, Args)]
struct ConfigFlags {
    #[command(flatten)]
    serve: ServeArgs,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: ConfigArgs) -> ExitCode {
    match args.command {
        ConfigCommand::Check(ConfigFlags { serve, json }) => check(serve, json),
        ConfigCommand::Show(ConfigFlags { serve, json }) => match Config::explained(&serve.into()) {
            Ok((_, settings)) if json => {
                put(format!("{}\n", Value::from_iter(settings.iter().map(ShownSetting::json))));
                ExitCode::SUCCESS
            }
            Ok((_, settings)) => {
                put(written(&settings));
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&error),
        },
    }
}

fn check(serve: ServeArgs, json: bool) -> ExitCode {
    let faults = match Config::explained(&serve.into()) {
        Ok((config, settings)) => files::faults(&config, &settings),
        Err(ConfigError(faults)) => faults,
    };
    if json {
        println!("{}", json!({"faults": faults.iter().map(ConfigFault::json).collect::<Value>()}));
        return if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EX_CONFIG) };
    }
    if faults.is_empty() {
        println!("the configuration has no faults");
        return ExitCode::SUCCESS;
    }
    refuse(&ConfigError(faults))
}
