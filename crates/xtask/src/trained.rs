//! The program as it is given away is built for the work that it has: a first build counts which ways through the program the load
//! tester's work takes, and the last one lays it out for them (profile-guided optimisation, as the book on rustc describes it).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::GIVEN_AWAY;
use crate::commands::{said, succeed};

const FOLDER: &str = "target/trained";
/// The C library is a part of the program.
const STATIC: &str = "-C target-feature=+crt-static";
/// What the load tester does: each kind of work, for some seconds. Desktops say what they heard.
const WORK: [&str; 7] = [
    "unicast --server bellwire --sessions 10000 --deliveries 100000 --acks",
    "unicast --server bellwire,bellwire-pipelined --deliveries 50000",
    "fanout --server bellwire --deliveries 200000",
    "connect --server bellwire --sessions 3000",
    "idle --server bellwire --sessions 3000 --seconds 30",
    "steady --server bellwire --sessions 3000 --seconds 15 --acks",
    "missed --posts 20000",
];

/// Builds the program for `target`, and returns its place.
pub(crate) fn build(target: &str) -> Result<PathBuf, String> {
    let folder = std::env::current_dir().map_err(|error| format!("no folder: {error}"))?.join(FOLDER);
    let (counts, profile) = (folder.join("counts"), folder.join("profile"));
    if counts.exists() {
        fs::remove_dir_all(&counts).map_err(|error| format!("cannot remove {}: {error}", counts.display()))?;
    }
    let counting = format!("{STATIC} -C profile-generate={}", counts.display());
    cargo(target, &folder, &counting)?;
    work(&folder.join(target).join("release/bellwire"))?;
    succeed(Command::new(merger()?).arg("merge").arg("-o").arg(&profile).arg(&counts))?;
    cargo(target, Path::new("target"), &format!("{STATIC} -C profile-use={}", profile.display()))?;
    Ok(Path::new("target").join(target).join("release/bellwire"))
}

fn cargo(target: &str, folder: &Path, flags: &str) -> Result<(), String> {
    let mut build = Command::new("cargo");
    build.args(["build", "--locked", "--package", "server", "--bin", "bellwire", "--release", "--features", GIVEN_AWAY]);
    // The target is named, since without it build scripts and macros would be linked that way too, which macros cannot be.
    succeed(build.args(["--target", target, "--target-dir"]).arg(folder).env("RUSTFLAGS", flags))
}

fn work(program: &Path) -> Result<(), String> {
    WORK.iter().try_for_each(|work| {
        let mut tester = Command::new("cargo");
        tester.args(["run", "--release", "--locked", "--package", "bellwire-loadtest", "--"]).args(work.split(' '));
        succeed(tester.args(["--rounds", "1", "--program"]).arg(program))
    })
}

/// What comes with the compiler to read what was counted.
fn merger() -> Result<PathBuf, String> {
    let libraries = said(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let merger = Path::new(&libraries).with_file_name("bin").join("llvm-profdata");
    if !merger.exists() {
        succeed(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    }
    Ok(merger)
}
