//! `bellwire app`: on a running node by its operators' listener, or on the folder of one that is stopped.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prometheus_client::registry::Registry;
use protocol::authorise::plain_scope;
use protocol::id::{ClientId, CustomerId};
use serde_json::{Value, json};
use store::Store;
use store::applications::Installed;
use store::metrics::Metrics;

use super::ops::{OpsError, PlaceArgs};
use super::{block_on, fail, id};

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
    Add {
        /// The `client_id` of its tokens.
        #[arg(value_parser = id(ClientId::parse))]
        client_id: ClientId,
        /// What it may; repeat it. With or without the prefix agencyCloud/.
        #[arg(long, required = true)]
        scope: Vec<String>,
    },
    /// Notes that a customer has installed an application.
    Install {
        /// The `client_id` of its tokens.
        #[arg(value_parser = id(ClientId::parse))]
        client_id: ClientId,
        /// The customer.
        #[arg(value_parser = id(CustomerId::parse))]
        customer: CustomerId,
    },
    /// Lists the applications.
    List,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("not done; for a stopped node give --data DIR")]
    Ops(#[source] OpsError),
    #[error("there is no application {0}; add it first")]
    NoApplication(String),
    #[error(transparent)]
    Open(#[from] store::error::OpenError),
    #[error(transparent)]
    Store(#[from] store::error::StoreError),
}

pub(super) fn run(args: &AppArgs) -> ExitCode {
    block_on(async {
        let done = match &args.place.data {
            Some(folder) => on_folder(&args.command, folder).await,
            None => on_node(args).await,
        };
        match done {
            Ok(None) => ExitCode::SUCCESS,
            Ok(Some(applications)) => {
                print(&applications, args.place.json);
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        }
    })
}

async fn on_folder(command: &AppCommand, folder: &Path) -> Result<Option<Value>, AppError> {
    let store = Store::open(folder, store::Config::default(), Metrics::register(&mut Registry::default()))?;
    match command {
        AppCommand::Add { client_id, scope } => store.put_application(*client_id, scopes(scope)).await?,
        AppCommand::Install { client_id, customer } => match store.install(*client_id, *customer).await? {
            Installed::Done => {}
            Installed::NoApplication => return Err(AppError::NoApplication(client_id.to_string())),
        },
        AppCommand::List => {
            let applications = store.applications();
            let shown = applications.iter().map(|application| {
                let customers: Vec<_> = application.customers.iter().map(CustomerId::as_str).collect();
                json!({"clientId": application.client_id, "scopes": application.scopes, "customers": customers})
            });
            return Ok(Some(shown.collect()));
        }
    }
    Ok(None)
}

/// Scopes are kept without prefix.
fn scopes(given: &[String]) -> BTreeSet<String> {
    let scopes = given.iter().flat_map(|text| text.split_ascii_whitespace());
    scopes.map(|scope| plain_scope(scope).to_owned()).collect()
}

/// An id as it can stand in a path.
fn escaped(client_id: &ClientId) -> String {
    utf8_percent_encode(client_id.as_str(), NON_ALPHANUMERIC).to_string()
}

async fn on_node(args: &AppArgs) -> Result<Option<Value>, AppError> {
    let (method, path, body) = match &args.command {
        AppCommand::Add { client_id, scope } => {
            (Method::PUT, format!("/applications/{}", escaped(client_id)), Some(json!({"scopes": scopes(scope)})))
        }
        AppCommand::Install { client_id, customer } => {
            (Method::PUT, format!("/applications/{}/customers/{customer}", escaped(client_id)), None)
        }
        AppCommand::List => (Method::GET, "/applications".to_owned(), None),
    };
    let sent = args.place.ops.send(method, &path, body).await;
    sent.map_err(|error| match (&args.command, error) {
        (AppCommand::Install { client_id, .. }, OpsError::Refused { status: 404, .. }) => {
            AppError::NoApplication(client_id.to_string())
        }
        (_, error) => AppError::Ops(error),
    })
}

fn print(applications: &Value, json: bool) {
    if json {
        println!("{applications}");
        return;
    }
    let list = |value: Option<&Value>| {
        let texts: Vec<_> = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if texts.is_empty() { "-".to_owned() } else { texts.join(" ") }
    };
    for application in applications.as_array().into_iter().flatten() {
        let client_id = application.get("clientId").and_then(Value::as_str).unwrap_or_default();
        println!(
            "{client_id}\n  scopes     {}\n  installed  {}",
            list(application.get("scopes")),
            list(application.get("customers"))
        );
    }
}
