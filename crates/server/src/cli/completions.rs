//! `bellwire completions`

use std::io::stdout;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell: `bellwire completions bash > /usr/share/bash-completion/completions/bellwire`.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> ExitCode {
    generate(args.shell, &mut Cli::command(), "bellwire", &mut stdout());
    ExitCode::SUCCESS
}
