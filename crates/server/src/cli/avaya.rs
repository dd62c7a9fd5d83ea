//! `bellwire avaya`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::id::CustomerId;
use serde_json::{Value, json};

use super::ops::{OpsArgs, OpsError};
use super::{block_on, fail, id};

#[derive(Debug, Args)]
pub(super) struct AvayaArgs {
    #[command(subcommand)]
    command: AvayaCommand,
    #[command(flatten)]
    ops: OpsArgs,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
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
    block_on(async {
        match ask(args).await {
            Ok(Some(accounts)) if args.json => println!("{accounts}"),
            Ok(Some(accounts)) => print(&accounts),
            Ok(None) => {}
            Err(error) => return fail(&error),
        }
        ExitCode::SUCCESS
    })
}

async fn ask(args: &AvayaArgs) -> Result<Option<Value>, OpsError> {
    let AvayaCommand::Account(command) = &args.command;
    let path = |account: &str| format!("/avaya/accounts/{}", utf8_percent_encode(account, NON_ALPHANUMERIC));
    match command {
        AccountCommand::Add { account, customer } => {
            args.ops.send(Method::PUT, &path(account), Some(json!({"customerId": customer}))).await?;
            println!("account {account} is that of {customer}");
            Ok(None)
        }
        AccountCommand::List => args.ops.send(Method::GET, "/avaya/accounts", None).await,
        AccountCommand::Remove { account } => {
            args.ops.send(Method::DELETE, &path(account), None).await?;
            println!("account {account} removed; subscriptions that were made for it go on until they are deleted");
            Ok(None)
        }
    }
}

fn print(accounts: &Value) {
    for account in accounts.as_array().into_iter().flatten() {
        let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
        println!("{}  {}", text("accountId"), text("customerId"));
    }
}
