//! What stands in `deploy/`, held against the tools that will read it and against the program that it is for.
//!
//! A tool that is missing is brought (`tools.rs`); where that cannot be, the tests fail and say what is needed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod tools; // what others have written to read such files
mod metrics; // which metrics the program has
mod monitoring; // alerts and dashboard
mod kubernetes; // manifests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tools::{check, scratch};

/// A tenth of what `systemd-analyze security` says; 100 is a service that may do everything.
const EXPOSURE_MAX: &str = "11";

/// A file or folder in `deploy/`.
fn deployed(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(deployed(name)).unwrap()
}

/// The value of `key = "25s"`, in seconds.
fn seconds(key: &str) -> u64 {
    let text = read("bellwire.default.toml");
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix("s\"")).unwrap();
    value.parse().unwrap()
}

/// The unit, with a program that is there in place of ours: systemd wants to see it.
fn unit() -> PathBuf {
    let text = read("systemd/bellwire.service");
    assert!(text.contains("ExecStart=/usr/bin/bellwire serve "));
    let file = scratch("unit").join("bellwire.service");
    fs::write(&file, text.replace("=/usr/bin/bellwire ", "=/bin/true ")).unwrap();
    file
}

#[test]
fn systemd_has_nothing_against_the_unit() {
    let said = check(tools::systemd_analyze().args(["verify", "--man=no"]).arg(unit()));
    assert_eq!(said, "", "systemd warns");
}

#[test]
fn the_unit_leaves_little_open() {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    check(tools::systemd_analyze().args(["security", "--offline=true", "--no-pager", &threshold]).arg(unit()));
}

#[test]
fn systemd_waits_until_a_shutdown_has_ended() {
    let text = read("systemd/bellwire.service");
    let timeout = text.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(timeout.parse::<u64>().unwrap() > seconds("grace"));
}

#[test]
fn every_limit_of_the_kernel_is_written_as_sysctl_reads_it() {
    for line in read("systemd/bellwire.sysctl.conf").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.trim_start_matches('-').split_once(" = ").unwrap();
        assert!(key.starts_with("net."), "{line}");
        assert!(value.split(' ').all(|number| number.parse::<u32>().is_ok()), "{line}");
    }
}

#[test]
fn hadolint_has_nothing_against_the_container_file() {
    check(Command::new(tools::python_packages().join("bin/hadolint")).arg(deployed("Containerfile")));
}

#[test]
fn the_container_holds_the_program_alone_and_nobody_is_root_in_it() {
    let text = read("Containerfile");
    let last = text.rsplit_once("\nFROM ").unwrap().1;
    let has = |instruction: &str| last.lines().any(|line| line == instruction);
    for instruction in
        ["USER 65532:65532", "VOLUME /data", "EXPOSE 8080 9090", "STOPSIGNAL SIGTERM", "ENTRYPOINT [\"/bellwire\"]"]
    {
        assert!(has(instruction), "{instruction}");
    }
    assert!(last.starts_with("scratch\n"));
}
