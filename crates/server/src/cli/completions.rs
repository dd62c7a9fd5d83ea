//! `bellwire completions`

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, put};

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell: `bellwire completions bash > /usr/share/bash-completion/completions/bellwire`.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "bellwire", &mut script);
    put(&script);
    ExitCode::SUCCESS
}
