//! `bellwire connector`

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use connectors::action::Action;
use connectors::callback::Callback;
use connectors::people::People;
use connectors::state::ConnectorState;
use connectors::vendor::{SecretPlace, Vendor, read};
use hyper::Method;
use jiff::Timestamp;
use protocol::id::{ConnectorId, CustomerId, NegotiatorId, Product};
use serde_json::{Value, json};

use super::directory::{self, DirectoryError};
use super::ops::{CommandOutput, OpsError, Place, PlaceArgs, lines, text};
use super::{fail, id};

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
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{path} is not JSON")]
    Json { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Ops(#[from] OpsError),
}

fn vendor(name: &str) -> Result<Vendor, String> {
    Vendor::of(name).ok_or_else(|| format!("must be one of {}", Vendor::ALL.map(Vendor::name).join(", ")))
}

pub(super) fn run(args: &ConnectorArgs) -> ExitCode {
    if let ConnectorCommand::Try { vendor, directory, queues, negotiator, file } = &args.command {
        return match attempt(*vendor, [directory.as_deref(), queues.as_deref()], negotiator, file) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        };
    }
    args.place.run(async |place| ask(&args.command, place).await)
}

async fn ask(command: &ConnectorCommand, place: &mut Place) -> Result<CommandOutput, ConnectorError> {
    match command {
        ConnectorCommand::Add(new) => {
            place.send(Method::PUT, &format!("/connectors/{}", new.id), Some(new.body()?)).await?;
            Ok(new.entered())
        }
        ConnectorCommand::Remove { connector } => {
            place.send(Method::DELETE, &format!("/connectors/{connector}"), None).await?;
            Ok(CommandOutput::default())
        }
        ConnectorCommand::List | ConnectorCommand::Try { .. } => {
            let line = |connector: &Value| {
                format!("{:<24} {:<8} {}", text(connector, "id"), text(connector, "vendor"), text(connector, "customer"))
            };
            Ok(CommandOutput::new(place.list("/connectors").await?, |all| lines(all, line)))
        }
    }
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

    /// What is to be entered at the telephone system.
    fn entered(&self) -> CommandOutput {
        let url = format!("{}/connectors/{}", self.url.trim_end_matches('/'), self.id);
        let file = self.secret_file.display();
        match self.vendor.secret_place() {
            SecretPlace::Header(name) => CommandOutput {
                json: json!({"url": url, "header": name}),
                text: format!("URL     {url}\nheader  {name}: the secret in {file}\n"),
            },
            SecretPlace::Path => CommandOutput {
                json: json!({"url": format!("{url}/SECRET")}),
                text: format!("URL     {url}/SECRET   where SECRET is what {file} holds\n"),
            },
        }
    }
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
    let mut state = ConnectorState::default();
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
