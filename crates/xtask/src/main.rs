//! `cargo xtask`: one command does what CI does.
//!
//! `test` runs every check of a change, fastest first; `conformance` the suites that others have written; `fuzz` what
//! strangers send, made up; `audit` those checks that need tools which take minutes to build; `bench` measures what events
//! and sessions cost, beside other servers. `dist` makes what is given away, `binary` the program of it alone.
#![expect(clippy::print_stderr, reason = "a command line says what it does")]

mod commands; // running other programs
mod conformance; // suites that others have written, against the real door
mod contract; // what is published of the API, against the program
mod fuzz; // what strangers send, made up
mod dist; // the program as it is given away
mod trained; // how it is built
mod tried; // the same, tried

use std::process::{Command, ExitCode};
use std::time::Instant;

/// A program that the checks call, with the Debian package that brings it.
const NEEDED: [(&str, &str); 6] = [
    ("cc", "gcc"),
    ("openssl", "openssl"),
    ("chromium", "chromium"),
    ("systemd-analyze", "systemd"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
];
/// The same, of `conformance`.
const SUITES: [(&str, &str); 2] = [("python3", "python3"), ("pip3", "python3-pip")];
/// The same, of `dist`.
const PACKAGERS: [(&str, &str); 4] =
    [("strip", "binutils"), ("dpkg-deb", "dpkg"), ("systemd-analyze", "systemd"), ("lintian", "lintian")];

/// The features of the program that is given away, and those with what is only for checks.
const GIVEN_AWAY: &str = "server/otlp";
const ALL: &str = "server/otlp,server/conformance";

/// Name, program, arguments and environment of a check.
type Step = (&'static str, &'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const TEST: [Step; 6] = [
    ("format", "cargo", &["fmt", "--all", "--check"], &[]),
    ("lint", "cargo", &["clippy", "--workspace", "--all-targets", "--features", ALL, "--locked", "--", "-D", "warnings"], &[]),
    // As `cargo run` builds it.
    (
        "lint without features",
        "cargo",
        &["clippy", "--package", "server", "--all-targets", "--locked", "--", "-D", "warnings"],
        &[],
    ),
    ("test", "cargo", &["test", "--workspace", "--features", GIVEN_AWAY, "--locked", "--no-fail-fast"], &[]),
    ("model check", "cargo", &["test", "--package", "sessions", "--features", "model", "--locked", "model::"], &[]),
    (
        "documentation",
        "cargo",
        &["doc", "--workspace", "--features", GIVEN_AWAY, "--no-deps", "--document-private-items", "--locked"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    ),
];

const AUDIT: [Step; 3] = [
    ("licences and sources", "cargo", &["deny", "check", "licenses", "bans", "sources"], &[]),
    // By its own name: as a command of cargo it takes what `cargo run` left in the environment for its own.
    ("unused dependencies", "cargo-machete", &[], &[]),
    ("spelling", "typos", &[], &[]),
];

const BENCH: [Step; 2] = [
    ("build", "cargo", &["build", "--release", "--locked", "--package", "server", "--package", "bellwire-loadtest"], &[]),
    (
        "measure",
        "cargo",
        &["run", "--release", "--locked", "--package", "bellwire-loadtest", "--", "compare", "--short", "--out", "target/bench"],
        &[],
    ),
];

fn main() -> ExitCode {
    // Paths are those of the workspace, wherever the command was given.
    if let Err(error) = std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")) {
        eprintln!("xtask: {error}");
        return ExitCode::FAILURE;
    }
    let command = std::env::args().nth(1);
    match command.as_deref() {
        Some("test") => install(&NEEDED).and_then(|()| run(&TEST)),
        Some("conformance") => install(&SUITES).and_then(|()| told(conformance::run(std::env::args().nth(2).as_deref()))),
        Some("binary") => told(dist::binary().map(|program| eprintln!("xtask: {}", program.display()))),
        Some("dist") => install(&PACKAGERS).and_then(|()| told(dist::run())),
        Some("fuzz") => told(fuzz::run(std::env::args().nth(2).as_deref())),
        Some("bench") => run(&BENCH),
        Some("audit") => run(&AUDIT),
        other => {
            eprintln!("xtask: unknown command {other:?}; there are: test, conformance, fuzz, dist, binary, bench, audit");
            Err(ExitCode::FAILURE)
        }
    }
    .err()
    .unwrap_or(ExitCode::SUCCESS)
}

fn told(outcome: Result<(), String>) -> Result<(), ExitCode> {
    outcome.map_err(|failure| {
        eprintln!("xtask: {failure}");
        ExitCode::FAILURE
    })
}

/// Brings what a fresh machine lacks.
fn install(needed: &[(&str, &str)]) -> Result<(), ExitCode> {
    for (program, package) in needed {
        let found = Command::new("sh").args(["-c", &format!("command -v {program} >/dev/null")]).status();
        if !found.is_ok_and(|status| status.success()) {
            execute(&("install", "apt-get", &["update", "-q"], &[]))?;
            eprintln!("xtask: installs {package}");
            let installed = Command::new("apt-get").args(["install", "-y", "-q", "--no-install-recommends", package]).status();
            if !installed.is_ok_and(|status| status.success()) {
                eprintln!("xtask: {program} is needed; install the package {package}");
                return Err(ExitCode::FAILURE);
            }
        }
    }
    Ok(())
}

fn run(steps: &[Step]) -> Result<(), ExitCode> {
    steps.iter().try_for_each(execute)
}

fn execute((name, program, arguments, environment): &Step) -> Result<(), ExitCode> {
    eprintln!("xtask: {name}: {program} {}", arguments.join(" "));
    let started = Instant::now();
    let status = Command::new(program).args(*arguments).envs(environment.iter().copied()).status();
    match status {
        Ok(status) if status.success() => {
            eprintln!("xtask: {name}: ok after {:.1} s", started.elapsed().as_secs_f64());
            Ok(())
        }
        Ok(status) => {
            eprintln!("xtask: {name}: {status}");
            Err(ExitCode::FAILURE)
        }
        Err(error) => {
            eprintln!("xtask: {name}: cannot run {program}: {error}");
            Err(ExitCode::FAILURE)
        }
    }
}
