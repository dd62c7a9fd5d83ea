//! `cargo xtask fuzz`: what strangers send, made up by libFuzzer, against what must hold of it. Each target is a file in
//! `crates/fuzz/targets`.
//!
//! The sanitizers of memory are left out: all of this workspace is safe Rust, and without them ten times as much is tried.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::commands::{said, succeed};

/// Unless told, for how long each target is tried.
const SECONDS: u64 = 600;
/// What a target may take; a body of 64 KiB and all that is made of it is far below.
const MEMORY_MEGABYTES_MAX: u32 = 1024;
/// How long one input may take.
const INPUT_SECONDS_MAX: u32 = 10;
/// cargo-fuzz and its version.
const TOOL: [&str; 3] = ["cargo-fuzz", "--version", "0.13.2"];

/// A target, the longest input, where its seeds are, and its words.
struct Target {
    name: &'static str,
    bytes_max: usize,
    seeds: &'static str,
    words: &'static str,
}

const TARGETS: [Target; 4] = [
    Target { name: "envelope", bytes_max: 8 * 1024, seeds: "protocol/examples/valid", words: "envelope" },
    Target { name: "token", bytes_max: 4 * 1024, seeds: "crates/fuzz/seeds/token", words: "token" },
    Target { name: "client_message", bytes_max: 1024, seeds: "crates/fuzz/seeds/client_message", words: "client_message" },
    Target { name: "codec", bytes_max: 2 * 1024, seeds: "crates/fuzz/seeds/codec", words: "codec" },
];

/// Tries each target for so many seconds; ends with the first finding.
pub(crate) fn run(seconds: Option<&str>) -> Result<(), String> {
    let seconds = match seconds {
        Some(text) => text.parse().map_err(|_not_a_number| format!("{text} is no number of seconds"))?,
        None => SECONDS,
    };
    let host = said(Command::new("rustc").args(["--print", "host-tuple"]))?;
    build(&host)?;
    TARGETS.iter().try_for_each(|target| search(target, &host, seconds))
}

fn build(host: &str) -> Result<(), String> {
    if said(Command::new("cargo").args(["+nightly", "fuzz", "--version"])).is_err() {
        succeed(Command::new("cargo").args(["install", "--locked"]).args(TOOL))?;
    }
    // The libraries are those of the program.
    fs::copy("Cargo.lock", "crates/fuzz/Cargo.lock").map_err(|error| format!("cannot copy Cargo.lock: {error}"))?;
    let how = ["--fuzz-dir", "crates/fuzz", "--target-dir", "target/fuzz", "--sanitizer", "none", "--target", host];
    succeed(Command::new("cargo").args(["+nightly", "fuzz", "build"]).args(how))
}

fn search(target: &Target, host: &str, seconds: u64) -> Result<(), String> {
    let Target { name, bytes_max, seeds, words } = target;
    let folder = Path::new("target/fuzz");
    // What is found on the way is kept for the next time.
    let corpus = folder.join("corpus").join(name);
    fs::create_dir_all(&corpus).map_err(|error| format!("cannot make {}: {error}", corpus.display()))?;
    eprintln!("xtask: {name}: {seconds} s");
    let mut command = Command::new(folder.join(host).join("release").join(name));
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={bytes_max}"),
        format!("-rss_limit_mb={MEMORY_MEGABYTES_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-dict=crates/fuzz/words/{words}"),
        format!("-artifact_prefix=target/fuzz/found-{name}-"),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
    ]);
    succeed(command.arg(corpus).arg(seeds))
        .map_err(|failure| format!("{name}: {failure}; the input is target/fuzz/found-{name}-*"))
}
