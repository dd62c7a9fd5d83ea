//! `bellwire connector`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use connectors::action::Action;
use connectors::callback::{Callback, read};
use connectors::people::People;
use connectors::state::State;
use connectors::vendor::{SecretPlace, Vendor};
use hyper::Method;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use protocol::fault::Faults;
use protocol::id::{ConnectorId, CustomerId, NegotiatorId, Product};
use serde_json::{Value, json};
use server::connectors::{Connectors, NewConnector};
use store::Store;
use store::metrics::Metrics;

use super::directory::{self, DirectoryError};
use super::ops::{OpsArgs, OpsError, PlaceArgs};
use super::{block_on, fail, id};

/// The products of a node that is not configured otherwise.
const PRODUCTS: [&str; 2] = ["AgencyCloud", "PropertyCloud"];

#[derive(Debug, Args)]
pub(super) struct ConnectorArgs {
    #[command(subcommand)]
    command: ConnectorCommand,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum ConnectorCommand {
    /// Adds a connector, or replaces one, and prints what to enter at the telephone system.
    Add(NewArgs),
    /// Lists the connectors.
    List,
    /// Takes a connector away.
    Remove {
        /// Its name.
        #[arg(value_parser = id(ConnectorId::parse))]
        connector: ConnectorId,
    },
    /// Prints the envelopes that a callback would become, or why nothing, without sending anything.
    Try {
        /// The system that calls back: enreach, avaya or apirtc.
        #[arg(long, value_parser = vendor)]
        vendor: Vendor,
        /// The customer's people (CSV); without them users stand by the vendor's name.
        #[arg(long, value_name = "FILE")]
        directory: Option<PathBuf>,
        /// The customer's queues (CSV), beside the people.
        #[arg(long, value_name = "FILE", requires = "directory")]
        queues: Option<PathBuf>,
        /// For whom calls ring, where the system names nobody; repeat it.
        #[arg(long, value_parser = id(NegotiatorId::parse))]
        negotiator: Vec<NegotiatorId>,
        /// The callback's body; or several, in order, as a JSON array.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct NewArgs {
    /// Its name, which is part of the URL.
    #[arg(long, value_parser = id(ConnectorId::parse))]
    id: ConnectorId,
    /// The system that calls back: enreach, avaya or apirtc.
    #[arg(long, value_parser = vendor)]
    vendor: Vendor,
    /// Whose telephones they are.
    #[arg(long, value_parser = id(CustomerId::parse))]
    customer: CustomerId,
    /// A product that is told; repeat it. Default: all.
    #[arg(long, value_parser = id(Product::parse))]
    product: Vec<Product>,
    /// For whom calls ring, where the system names nobody (apirtc); repeat it.
    #[arg(long, value_parser = id(NegotiatorId::parse))]
    negotiator: Vec<NegotiatorId>,
    /// A file with the secret that the system must show: 16 to 128 characters.
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// Where the node's API is reached from outside.
    #[arg(long, value_name = "URL", default_value = "https://YOUR-BELLWIRE")]
    url: String,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
enum ConnectorError {
    #[error("{path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the connector is not as it should be:{}", super::listed(.0))]
    Faulty(Faults),
    #[error("there is no connector {0}")]
    Missing(ConnectorId),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{path} is not JSON")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("not done; for a stopped node give --data DIR")]
    Ops(#[source] OpsError),
    #[error(transparent)]
    Open(#[from] store::error::OpenError),
    #[error(transparent)]
    Store(#[from] store::error::StoreError),
}

fn vendor(name: &str) -> Result<Vendor, String> {
    Vendor::of(name).ok_or_else(|| format!("must be one of {}", Vendor::ALL.map(Vendor::name).join(", ")))
}

pub(super) fn run(args: &ConnectorArgs) -> ExitCode {
    block_on(async {
        let done = match &args.command {
            ConnectorCommand::Try { vendor, directory, queues, negotiator, file } => {
                attempt(*vendor, [directory.as_deref(), queues.as_deref()], negotiator, file).map(|()| None)
            }
            command => match &args.place.data {
                Some(folder) => on_folder(command, folder).await,
                None => on_node(command, &args.place.ops).await,
            },
        };
        match done {
            Ok(shown) => {
                print(&args.command, shown.as_ref(), args.place.json);
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        }
    })
}

impl NewArgs {
    fn secret(&self) -> Result<String, ConnectorError> {
        let path = &self.secret_file;
        let secret = fs::read_to_string(path).map_err(|source| ConnectorError::Read { path: path.clone(), source })?;
        Ok(secret.trim_end().to_owned())
    }

    fn body(&self) -> Result<Value, ConnectorError> {
        Ok(json!({
            "vendor": self.vendor, "customer": self.customer, "products": self.product, "negotiators": self.negotiator,
            "secret": self.secret()?,
        }))
    }
}

async fn on_folder(command: &ConnectorCommand, folder: &Path) -> Result<Option<Value>, ConnectorError> {
    let store = Store::open(folder, store::Config::default(), Metrics::register(&mut Registry::default()))?;
    let connectors = Connectors::load(&store).await?;
    match command {
        ConnectorCommand::Add(new) => {
            let usual = PRODUCTS.iter().filter_map(|name| Product::parse(name).ok()).collect();
            let known = if new.product.is_empty() { usual } else { new.product.clone() };
            let NewArgs { vendor, customer, ref product, ref negotiator, .. } = *new;
            let (products, negotiators) = (product.clone(), negotiator.clone());
            let setting = NewConnector { vendor, customer, products, negotiators, secret: new.secret()? }.checked(&known);
            connectors.put(&store, new.id, setting.map_err(ConnectorError::Faulty)?).await?;
            Ok(None)
        }
        ConnectorCommand::Remove { connector } => match connectors.remove(&store, connector).await? {
            true => Ok(None),
            false => Err(ConnectorError::Missing(*connector)),
        },
        ConnectorCommand::List | ConnectorCommand::Try { .. } => {
            let shown = connectors.all().into_iter().map(|connector| connector.shown());
            Ok(Some(shown.collect()))
        }
    }
}

async fn on_node(command: &ConnectorCommand, ops: &OpsArgs) -> Result<Option<Value>, ConnectorError> {
    let (method, id, body) = match command {
        ConnectorCommand::Add(new) => (Method::PUT, Some(new.id), Some(new.body()?)),
        ConnectorCommand::Remove { connector } => (Method::DELETE, Some(*connector), None),
        ConnectorCommand::List | ConnectorCommand::Try { .. } => (Method::GET, None, None),
    };
    let path = id.map_or_else(|| "/connectors".to_owned(), |id| format!("/connectors/{id}"));
    ops.send(method, &path, body).await.map_err(|error| match (id, error) {
        (Some(id), OpsError::Refused { status: 404, .. }) => ConnectorError::Missing(id),
        (_, error) => ConnectorError::Ops(error),
    })
}

/// Prints what each callback would become.
fn attempt(
    vendor: Vendor,
    [people, queues]: [Option<&Path>; 2],
    rings_for: &[NegotiatorId],
    file: &Path,
) -> Result<(), ConnectorError> {
    let text = fs::read_to_string(file).map_err(|source| ConnectorError::Read { path: file.to_owned(), source })?;
    let parsed = serde_json::from_str(&text).map_err(|source| ConnectorError::Json { path: file.to_owned(), source });
    let callbacks = match parsed? {
        Value::Array(callbacks) => callbacks,
        callback => vec![callback],
    };
    let directory = people.map(|people| directory::read(people, queues, Vec::new())).transpose()?;
    let of = directory.as_ref().map_or(People::Names, People::Directory);
    let rings_for: Vec<_> = rings_for.iter().map(ToString::to_string).collect();
    let mut state = State::default();
    for (place, callback) in callbacks.iter().enumerate() {
        let body = callback.to_string();
        let callback = Callback { event: None, body: body.as_bytes(), received: Timestamp::now() };
        match read(vendor, callback, of, &rings_for) {
            Err(error) => println!("callback {}: refused: {error}", place + 1),
            Ok(reading) => {
                let mut notes = reading.notes.clone();
                let Some(plan) = state.plan(reading, of, std::time::Duration::ZERO) else {
                    println!("callback {}: nothing: said before", place + 1);
                    continue;
                };
                notes.extend(&plan.notes);
                let why: Vec<_> = notes.iter().map(|note| note.name()).collect();
                let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
                let count = plan.actions.len();
                println!(
                    "callback {}: {}{why}",
                    place + 1,
                    if count == 0 { "nothing".to_owned() } else { format!("{count} done") }
                );
                plan.actions.iter().for_each(|action| println!("{:#}", written(action)));
                state.keep(plan, std::time::Duration::ZERO);
            }
        }
    }
    Ok(())
}

fn written(action: &Action) -> Value {
    match action {
        Action::Post(post) => post.envelope(&PRODUCTS),
        Action::Retract { negotiator, call } => json!({"notMissed": {"negotiatorId": negotiator, "call": call}}),
    }
}

fn print(command: &ConnectorCommand, shown: Option<&Value>, json: bool) {
    match (command, shown) {
        (ConnectorCommand::Add(new), _) => {
            let base = format!("{}/connectors/{}", new.url.trim_end_matches('/'), new.id);
            match new.vendor.secret_place() {
                SecretPlace::Header(name) => {
                    println!("URL     {base}\nheader  {name}: the secret in {}", new.secret_file.display())
                }
                SecretPlace::Path => println!("URL     {base}/SECRET   where SECRET is what {} holds", new.secret_file.display()),
            }
        }
        (_, Some(shown)) if json => println!("{shown}"),
        (_, Some(shown)) => {
            for connector in shown.as_array().into_iter().flatten() {
                let text = |name| connector.get(name).and_then(Value::as_str).unwrap_or_default();
                println!("{:<24} {:<8} {}", text("id"), text("vendor"), text("customer"));
            }
        }
        (_, None) => {}
    }
}
