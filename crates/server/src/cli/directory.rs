//! `bellwire directory`

mod table; // the CSV files

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use protocol::directory::{Directory, Queue};
use protocol::fault::Faults;
use protocol::id::CustomerId;
use serde_json::Value;
use server::directories::Directories;
use store::Store;
use store::metrics::Metrics;

use super::ops::{OpsError, PlaceArgs};
use super::{block_on, fail, id};

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
    #[error("there is no directory of {0}")]
    Missing(CustomerId),
    #[error("not done; for a stopped node give --data DIR")]
    Ops(#[source] OpsError),
    #[error(transparent)]
    Open(#[from] store::error::OpenError),
    #[error(transparent)]
    Store(#[from] store::error::StoreError),
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
    block_on(async {
        let done = match &args.place.data {
            Some(folder) => on_folder(&args.command, folder).await,
            None => on_node(args).await,
        };
        match done {
            Ok(shown) => print(&args.command, shown.as_ref(), args.place.json),
            Err(error) => fail(&error),
        }
    })
}

async fn on_folder(command: &DirectoryCommand, folder: &Path) -> Result<Option<Value>, DirectoryError> {
    let store = Store::open(folder, store::Config::default(), Metrics::register(&mut Registry::default()))?;
    let directories = Directories::load(&store).await?;
    match command {
        DirectoryCommand::Import { customer, file, queues } => {
            let known = directories.of(customer).map(|known| known.queues.clone()).unwrap_or_default();
            directories.put(&store, *customer, read(file, queues.as_deref(), known)?, Timestamp::now()).await?;
            Ok(None)
        }
        DirectoryCommand::Export { customer } => {
            let directory = directories.of(customer).ok_or(DirectoryError::Missing(*customer))?;
            Ok(Some(serde_json::to_value(&*directory)?))
        }
        DirectoryCommand::Remove { customer } => match directories.remove(&store, customer).await? {
            true => Ok(None),
            false => Err(DirectoryError::Missing(*customer)),
        },
        DirectoryCommand::List => {
            let listed = directories.all().into_iter().map(|(customer, directory)| {
                serde_json::json!({"customer": customer, "people": directory.people.len(), "queues": directory.queues.len()})
            });
            Ok(Some(listed.collect()))
        }
    }
}

async fn on_node(args: &DirectoryArgs) -> Result<Option<Value>, DirectoryError> {
    let (method, customer, body) = match &args.command {
        DirectoryCommand::Import { customer, file, queues } => {
            let known = if queues.is_none() { known_queues(args, customer).await? } else { Vec::new() };
            (Method::PUT, Some(customer), Some(serde_json::to_value(read(file, queues.as_deref(), known)?)?))
        }
        DirectoryCommand::Export { customer } => (Method::GET, Some(customer), None),
        DirectoryCommand::Remove { customer } => (Method::DELETE, Some(customer), None),
        DirectoryCommand::List => (Method::GET, None, None),
    };
    let path = customer.map_or_else(|| "/directories".to_owned(), |customer| format!("/directories/{customer}"));
    args.place.ops.send(method, &path, body).await.map_err(|error| match (customer, error) {
        (Some(customer), OpsError::Refused { status: 404, .. }) => DirectoryError::Missing(*customer),
        (_, error) => DirectoryError::Ops(error),
    })
}

async fn known_queues(args: &DirectoryArgs, customer: &CustomerId) -> Result<Vec<Queue>, DirectoryError> {
    match args.place.ops.send(Method::GET, &format!("/directories/{customer}"), None).await {
        Ok(directory) => Ok(serde_json::from_value::<Directory>(directory.unwrap_or_default())?.queues),
        Err(OpsError::Refused { status: 404, .. }) => Ok(Vec::new()),
        Err(error) => Err(DirectoryError::Ops(error)),
    }
}

fn print(command: &DirectoryCommand, shown: Option<&Value>, json: bool) -> ExitCode {
    match (command, shown) {
        (_, None) => {}
        (_, Some(shown)) if json => println!("{shown}"),
        (DirectoryCommand::Export { .. }, Some(shown)) => match serde_json::from_value::<Directory>(shown.clone()) {
            Ok(directory) => print!("{}", table::written(&directory.people)),
            Err(error) => return fail(&error),
        },
        (_, Some(shown)) => {
            for entry in shown.as_array().into_iter().flatten() {
                let text = |name| entry.get(name).map(|value| value.to_string().replace('"', "")).unwrap_or_default();
                println!("{:<34} {:>5} people {:>5} queues", text("customer"), text("people"), text("queues"));
            }
        }
    }
    ExitCode::SUCCESS
}
