//! `bellwire avaya`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::id::CustomerId;
use serde_json::json;

use super::id;
use super::ops::{CommandOutput, OpsError, Place, PlaceArgs, lines, text};

#[derive(Debug, Args)]
pub(super) struct AvayaArgs {
    #[command(subcommand)]
    command: AvayaCommand,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
enum AvayaCommand {
    /// Accounts of Avaya Experience Platform: whose they are.
    #[command(subcommand)]
    Account(AccountCommand),
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Says whose an account is: applications that the customer has installed can then subscribe for it.
    Add {
        /// The account's id: six letters.
        account: String,
        /// The customer.
        #[arg(long, value_parser = id(CustomerId::parse))]
        customer: CustomerId,
    },
    /// Lists the accounts.
    List,
    /// Takes an account away. Its subscriptions go on until they are deleted.
    Remove {
        /// The account's id.
        account: String,
    },
}

pub(super) fn run(args: &AvayaArgs) -> ExitCode {
    let AvayaCommand::Account(command) = &args.command;
    args.place.run(async |place| ask(command, place).await)
}

async fn ask(command: &AccountCommand, place: &mut Place) -> Result<CommandOutput, OpsError> {
    let path = |account: &str| format!("/avaya/accounts/{}", utf8_percent_encode(account, NON_ALPHANUMERIC));
    match command {
        AccountCommand::Add { account, customer } => {
            place.send(Method::PUT, &path(account), Some(json!({"customerId": customer}))).await?;
            Ok(CommandOutput::sentence(format!("account {account} is that of {customer}")))
        }
        AccountCommand::List => {
            let written = |account: &_| format!("{}  {}", text(account, "accountId"), text(account, "customerId"));
            Ok(CommandOutput::new(place.list("/avaya/accounts").await?, |all| lines(all, written)))
        }
        AccountCommand::Remove { account } => {
            place.send(Method::DELETE, &path(account), None).await?;
            let text = format!("account {account} removed; subscriptions that were made for it go on until they are deleted");
            Ok(CommandOutput::sentence(text))
        }
    }
}
