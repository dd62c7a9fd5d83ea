//! `bellwire directory`

mod table; // the CSV files

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use protocol::directory::{Directory, Queue};
use protocol::fault::Faults;
use protocol::id::CustomerId;
use serde_json::Value;

use super::id;
use super::ops::{CommandOutput, OpsError, Place, PlaceArgs, lines};

#[derive(Debug, Args)]
pub(super) struct DirectoryArgs {
    #[command(subcommand)]
    command: DirectoryCommand,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum DirectoryCommand {
    /// Sets a customer's directory from CSV, in place of an earlier one.
    Import {
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
        /// People: negotiatorId,name,email,extension,number,active,vendorUser; repeated rows add names.
        file: PathBuf,
        /// Queues: queue,negotiatorId,alias; a row for each member, aliases are what telephone systems call the queue as well.
        /// Without it the queues stay as they are.
        #[arg(long, value_name = "FILE")]
        queues: Option<PathBuf>,
    },
    /// Prints a customer's people as CSV, as import takes it; with --json the whole directory.
    Export {
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
    },
    /// Takes a customer's directory away: anything well-formed is a negotiator again.
    Remove {
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
    },
    /// Lists whose directories there are.
    List,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum DirectoryError {
    #[error("{path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} in {path}:{}", counted(.faults), super::listed(.faults))]
    Faulty { path: PathBuf, faults: Faults },
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error("the node's answer is unreadable")]
    Answer(#[from] serde_json::Error),
}

fn counted(faults: &Faults) -> String {
    match faults.as_slice().len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    }
}

/// Reads a directory from CSV files; without one of queues those that are known stay.
pub(super) fn read(people: &Path, queues: Option<&Path>, known: Vec<Queue>) -> Result<Directory, DirectoryError> {
    let text = |path: &Path| fs::read_to_string(path).map_err(|source| DirectoryError::Read { path: path.to_owned(), source });
    let faulty = |path: &Path| {
        let path = path.to_owned();
        move |faults| DirectoryError::Faulty { path, faults }
    };
    let mut directory = Directory { people: table::people(&text(people)?).map_err(faulty(people))?, queues: known };
    if let Some(path) = queues {
        directory.queues = table::queues(&text(path)?).map_err(faulty(path))?;
    }
    let faults = directory.check();
    if faults.is_empty() { Ok(directory) } else { Err(faulty(people)(faults)) }
}

pub(super) fn run(args: &DirectoryArgs) -> ExitCode {
    args.place.run(async |place| ask(&args.command, place).await)
}

async fn ask(command: &DirectoryCommand, place: &mut Place) -> Result<CommandOutput, DirectoryError> {
    let path = |customer: &CustomerId| format!("/directories/{customer}");
    match command {
        DirectoryCommand::Import { customer, file, queues } => {
            let known = if queues.is_none() { known_queues(place, &path(customer)).await? } else { Vec::new() };
            let directory = serde_json::to_value(read(file, queues.as_deref(), known)?)?;
            place.send(Method::PUT, &path(customer), Some(directory)).await?;
            Ok(CommandOutput::default())
        }
        DirectoryCommand::Export { customer } => {
            let json = place.send(Method::GET, &path(customer), None).await?;
            let directory: Directory = serde_json::from_value(json.clone())?;
            Ok(CommandOutput { json, text: table::written(&directory.people) })
        }
        DirectoryCommand::Remove { customer } => {
            place.send(Method::DELETE, &path(customer), None).await?;
            Ok(CommandOutput::default())
        }
        DirectoryCommand::List => Ok(CommandOutput::new(place.list("/directories").await?, |all| lines(all, line))),
    }
}

async fn known_queues(place: &mut Place, path: &str) -> Result<Vec<Queue>, DirectoryError> {
    match place.send(Method::GET, path, None).await {
        Ok(directory) => Ok(serde_json::from_value::<Directory>(directory)?.queues),
        Err(OpsError::Missing(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn line(entry: &Value) -> String {
    let text = |name| entry.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
    format!("{:<34} {:>5} people {:>5} queues", text("customer"), text("people"), text("queues"))
}
