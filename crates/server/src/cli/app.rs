//! `bellwire app`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::id::{ClientId, CustomerId};
use serde_json::{Value, json};

use super::id;
use super::ops::{CommandOutput, OpsError, Place, PlaceArgs, lines, text, words};

#[derive(Debug, Args)]
pub(super) struct AppArgs {
    #[command(subcommand)]
    command: AppCommand,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    /// Adds an application, or sets the scopes of one that is there.
    Add(Scoped),
    /// Grants an application more scopes.
    Grant(Scoped),
    /// Takes an application away, with its installations: its tokens are good for nothing.
    Remove {
        /// The `client_id` of its tokens.
        #[arg(value_parser = id(ClientId::parse))]
        client_id: ClientId,
    },
    /// Notes that a customer has installed an application.
    Install(Installation),
    /// Notes that a customer has installed an application no longer.
    Uninstall(Installation),
    /// Lists the applications.
    List,
}

#[derive(Debug, Args)]
struct Scoped {
    /// The `client_id` of its tokens.
    #[arg(value_parser = id(ClientId::parse))]
    client_id: ClientId,
    /// What it may; repeat it. With or without the prefix agencyCloud/.
    #[arg(long, required = true)]
    scope: Vec<String>,
}

#[derive(Debug, Args)]
struct Installation {
    /// The `client_id` of its tokens.
    #[arg(value_parser = id(ClientId::parse))]
    client_id: ClientId,
    /// The customer.
    #[arg(value_parser = id(CustomerId::parse))]
    customer: CustomerId,
}

pub(super) fn run(args: &AppArgs) -> ExitCode {
    args.place.run(async |place| ask(&args.command, place).await)
}

async fn ask(command: &AppCommand, place: &mut Place) -> Result<CommandOutput, OpsError> {
    let (method, path, body) = match command {
        AppCommand::List => return Ok(CommandOutput::new(place.list("/applications").await?, written)),
        AppCommand::Add(scoped) => (Method::PUT, path(&scoped.client_id), Some(scoped.body())),
        AppCommand::Grant(scoped) => (Method::POST, format!("{}/scopes", path(&scoped.client_id)), Some(scoped.body())),
        AppCommand::Remove { client_id } => (Method::DELETE, path(client_id), None),
        AppCommand::Install(installation) => (Method::PUT, installation.path(), None),
        AppCommand::Uninstall(installation) => (Method::DELETE, installation.path(), None),
    };
    place.send(method, &path, body).await?;
    Ok(CommandOutput::default())
}

/// An id as it can stand in a path.
fn path(client_id: &ClientId) -> String {
    format!("/applications/{}", utf8_percent_encode(client_id.as_str(), NON_ALPHANUMERIC))
}

impl Scoped {
    fn body(&self) -> Value {
        let scopes: Vec<_> = self.scope.iter().flat_map(|text| text.split_ascii_whitespace()).collect();
        json!({"scopes": scopes})
    }
}

impl Installation {
    fn path(&self) -> String {
        format!("{}/customers/{}", path(&self.client_id), self.customer)
    }
}

fn written(applications: &Value) -> String {
    lines(applications, |application| {
        let (scopes, customers) = (words(application, "scopes"), words(application, "customers"));
        format!("{}\n  scopes     {scopes}\n  installed  {customers}", text(application, "clientId"))
    })
}
