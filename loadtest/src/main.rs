//! Callers and sessions by the thousand, against the `bellwire` program over real sockets.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line prints, and owns its tasks"
)]

mod figures; // medians and ratios
mod people; // who works where, and their tokens
mod broker; // the program under test: started, stopped, killed
mod line; // what a process of desktops tells the soak
mod desktops; // a process of desktops that are cut off at random
mod provider; // calls, by HTTP
mod ledger; // what was posted against what was heard
mod soak; // sessions that lose nothing
mod stalled; // readers that read nothing, among others
mod webhooks; // what deliveries cost, and what becomes of them
mod instructions; // what they cost in instructions, beside another build
mod bench; // what events and sessions cost, beside the limit and other servers

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bellwire-loadtest", version, max_term_width = 100)]
struct Cli {
    /// The program under test; default: `bellwire` beside this one.
    #[arg(long, global = true)]
    program: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cuts thousands of sessions off at random, restarts and kills the broker, and counts what was missed.
    Soak(soak::SoakArgs),
    /// Measures what readers that read nothing cost the others, and the caller.
    Stalled(stalled::StalledArgs),
    /// Measures deliveries by webhook: cost, delay, endpoints that hang, a million queued, kill -9.
    Webhooks(webhooks::WebhooksArgs),
    /// Counts instructions by valgrind: of an event, a delivery, a missed call, a hand-shake; beside another build.
    Instructions(instructions::InstructionsArgs),
    #[command(flatten)]
    Measure(bench::Measurement),
    /// The least that the job allows, for the measurement.
    #[command(hide = true)]
    Limit(bench::LimitArgs),
    /// The plain client that webhooks are measured beside.
    #[command(hide = true)]
    PlainClient(webhooks::PlainArgs),
    /// A process of desktops, for the soak.
    #[command(hide = true)]
    Desktops(desktops::DesktopsArgs),
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let Cli { program, command } = Cli::parse();
    program.into_iter().for_each(broker::name_program);
    let done = match command {
        Command::Soak(args) => runtime.block_on(soak::run(args)),
        Command::Stalled(args) => runtime.block_on(stalled::run(args)),
        Command::Webhooks(args) => runtime.block_on(webhooks::run(args)),
        Command::Instructions(args) => runtime.block_on(instructions::run(args)),
        Command::Measure(measurement) => runtime.block_on(bench::run(measurement)),
        Command::Limit(args) => bench::run_limit(&args),
        Command::PlainClient(args) => runtime.block_on(webhooks::run_plain(args)),
        Command::Desktops(args) => runtime.block_on(desktops::run(args)).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("bellwire-loadtest: {error:#}");
    ExitCode::FAILURE
}
