//! `bellwire enreach`

use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, Subcommand};
use hyper::Method;
use protocol::id::CustomerId;
use serde_json::Value;

use super::id;
use super::ops::{CommandOutput, OpsError, Place, PlaceArgs};

#[derive(Debug, Args)]
pub(super) struct EnreachArgs {
    #[command(subcommand)]
    command: EnreachCommand,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum EnreachCommand {
    /// Makes a file the whole configuration of a customer's webhooks: one document of Enreach's, or a list of them.
    Load {
        /// The file (JSON).
        file: PathBuf,
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
    },
    /// Prints the configuration of a customer's webhooks, without its secrets.
    Show {
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
    },
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
enum EnreachError {
    #[error("{path}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is no JSON")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Ops(#[from] OpsError),
}

pub(super) fn run(args: &EnreachArgs) -> ExitCode {
    args.place.run(async |place| ask(&args.command, place).await)
}

async fn ask(command: &EnreachCommand, place: &mut Place) -> Result<CommandOutput, EnreachError> {
    let path = |customer: &CustomerId| format!("/enreach/webhooks?customerId={customer}");
    let answer = match command {
        EnreachCommand::Load { file, customer } => {
            let text = fs::read(file).map_err(|source| EnreachError::File { path: file.clone(), source })?;
            let configuration: Value =
                serde_json::from_slice(&text).map_err(|source| EnreachError::Json { path: file.clone(), source })?;
            place.send(Method::PUT, &path(customer), Some(configuration)).await?
        }
        EnreachCommand::Show { customer } => place.send(Method::GET, &path(customer), None).await?,
    };
    Ok(CommandOutput::new(answer, |answer| format!("{answer:#}\n")))
}
