//! The command line: what a person or a unit file says to bellwire.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a command line prints, and a second signal exits at once"
)]

mod serve; // runs a node
mod config; // what a node would run with
mod demo; // shows one call end to end
mod token; // prints a development token
mod listen; // prints what a desktop would receive
mod ops; // where a command is done: on a running node, or on the folder of a stopped one
mod status; // how the node is
mod app; // applications and who has installed them
mod session; // who is logged in
mod missed; // missed calls
mod purge; // personal data goes
mod backup; // copies of the store
mod directory; // who the negotiators of a customer are
mod connector; // whose callbacks are taken
mod webhook; // who is told of events, and how that goes
mod avaya; // whose accounts are
mod enreach; // the configuration of a customer's webhooks
mod completions; // what shells offer

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use protocol::id::IdError;
use server::causes::with_causes;
use server::config::{Config, ConfigError, Flags};

/// sysexits(3): something in the configuration is wrong.
const EX_CONFIG: u8 = 78;

/// Brings call events from telephony providers to the screens of the people they concern.
#[derive(Debug, Parser)]
#[command(name = "bellwire", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node until SIGTERM or SIGINT; a second signal ends it at once.
    Serve(ServeArgs),
    /// The configuration: what is wrong with it, what holds and where it came from.
    Config(config::ConfigArgs),
    /// Shows one call end to end: a node, three desktops and a provider in one process.
    Demo,
    /// Prints a token for a node that runs with --dev.
    Token(token::TokenArgs),
    /// Listens as a desktop does, and prints what comes, a JSON line each; comes back by itself when the line breaks.
    Listen(listen::ListenArgs),
    /// Applications: which there are, what they may do, who has installed them.
    App(app::AppArgs),
    /// Sessions: who is logged in, and logging them out.
    Session(session::SessionArgs),
    /// Missed calls: whose lists there are, what is in one, taking them away.
    Missed(missed::MissedArgs),
    /// Directories: who the negotiators of a customer are, and what telephone systems call them.
    Directory(directory::DirectoryArgs),
    /// Connectors: telephone systems whose own webhooks are taken.
    Connector(connector::ConnectorArgs),
    /// Webhooks: who is told of events, and how that goes.
    Webhook(webhook::WebhookArgs),
    /// Avaya: whose the accounts are that webhooks are subscribed for.
    Avaya(avaya::AvayaArgs),
    /// Enreach: the configuration of a customer's webhooks.
    Enreach(enreach::EnreachArgs),
    /// Says how the node is.
    Status(status::StatusArgs),
    /// Copies the store into a file, also of a running node; without the key of webhooks' secrets.
    Backup(backup::BackupArgs),
    /// Puts a backup into the folder of a stopped node.
    Restore(backup::RestoreArgs),
    /// Takes away what is kept of a customer's calls, or of one negotiator's: telephone numbers are personal data.
    Purge(purge::PurgeArgs),
    /// Prints what a shell needs to complete these commands.
    Completions(completions::CompletionsArgs),
}

/// What can be said on the command line goes over the environment and the file.
#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration file (TOML); see deploy/bellwire.default.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For trying things out: tokens of the issuer "dev", signed with the secret in `BELLWIRE_DEV_SECRET` (default
    /// "bellwire-development-secret"), every application installed everywhere; loopback only.
    #[arg(long)]
    dev: bool,
    /// Where providers and products come in.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where operators come in.
    #[arg(long, value_name = "ADDRESS:PORT")]
    ops_listen: Option<String>,
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => match Config::load(&args.into()) {
            Ok(config) => serve::run(config),
            Err(error) => refuse(&error),
        },
        Command::Config(args) => config::run(args),
        Command::Demo => demo::run(),
        Command::Token(args) => token::run(&args),
        Command::Listen(args) => listen::run(&args),
        Command::App(args) => app::run(&args),
        Command::Session(args) => session::run(&args),
        Command::Missed(args) => missed::run(&args),
        Command::Directory(args) => directory::run(&args),
        Command::Connector(args) => connector::run(&args),
        Command::Webhook(args) => webhook::run(&args),
        Command::Avaya(args) => avaya::run(&args),
        Command::Enreach(args) => enreach::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::put_back(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Completions(args) => completions::run(&args),
    }
}

impl From<ServeArgs> for Flags {
    fn from(ServeArgs { config, dev, listen, ops_listen, data }: ServeArgs) -> Self {
        Self { config, dev, listen, ops_listen, data }
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    eprintln!("bellwire: {error}");
    ExitCode::from(EX_CONFIG)
}

/// Says why a command failed, with all its causes.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("bellwire: {}", with_causes(error));
    ExitCode::FAILURE
}

/// Prints what can be long: who reads it may have seen enough.
fn put(text: impl AsRef<[u8]>) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_ref()).and_then(|()| out.flush()));
}

/// Faults, a line each.
fn listed(faults: &protocol::fault::Faults) -> String {
    faults.as_slice().iter().map(|fault| format!("\n  {}: {}", fault.field, fault.message)).collect()
}

/// The runtime of a command that is not a node.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => fail(&error),
    }
}

/// Reads an identifier from the command line.
fn id<T: Clone + Send + Sync + 'static>(
    parse: fn(&str) -> Result<T, IdError>,
) -> impl Fn(&str) -> Result<T, IdError> + Clone + Send + Sync + 'static {
    parse
}
