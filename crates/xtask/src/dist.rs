//! `cargo xtask dist`: the program as it is given away, in `target/dist`: a package for Debian, an archive for other systems, and their
//! check sums; each tried after it was made.
//!
//! The same commit makes the same program, but for how it is laid out: that comes from a run that is never twice the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::commands::{said, succeed};
use crate::{GIVEN_AWAY, trained, tried};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const FOLDER: &str = "target/dist";

/// What is given away beside the program: from, to, and whether it is compressed.
const FILES: [(&str, &str, bool); 8] = [
    ("deploy/debian/bellwire.toml", "etc/bellwire/bellwire.toml", false),
    ("deploy/systemd/bellwire.service", "usr/lib/systemd/system/bellwire.service", false),
    ("deploy/systemd/bellwire.sysctl.conf", "usr/lib/sysctl.d/50-bellwire.conf", false),
    ("deploy/bellwire.default.toml", "usr/share/doc/bellwire/bellwire.default.toml", false),
    ("deploy/prometheus/alerts.yaml", "usr/share/doc/bellwire/alerts.yaml", false),
    ("deploy/README.md", "usr/share/doc/bellwire/README.md", false),
    ("deploy/debian/copyright", "usr/share/doc/bellwire/copyright", false),
    ("CHANGELOG.md", "usr/share/doc/bellwire/changelog.gz", true),
];
/// A shell, and where it looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/bellwire"),
    ("zsh", "usr/share/zsh/vendor-completions/_bellwire"),
    ("fish", "usr/share/fish/vendor_completions.d/bellwire.fish"),
];
/// Files of the package itself, with the rights that they have.
const CONTROL: [(&str, &str); 4] = [("conffiles", "644"), ("postinst", "755"), ("prerm", "755"), ("postrm", "755")];

/// Makes and tries everything.
pub(crate) fn run() -> Result<(), String> {
    let folder = Path::new(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {FOLDER}: {error}"))?;
    }
    let epoch = said(Command::new("git").args(["log", "-1", "--format=%ct"]))?;
    let program = binary()?;
    let tree = folder.join("tree");
    stage(&program, &tree)?;
    let archive = archive(&tree, &epoch)?;
    let package = package(&tree, &epoch)?;
    fs::remove_dir_all(&tree).map_err(|error| format!("cannot remove {}: {error}", tree.display()))?;
    shell(folder, "sha256sum bellwire* > SHA256SUMS && cat SHA256SUMS")?;
    eprintln!("xtask: {archive}, {package}");
    tried::package(&folder.join(package))
}

/// Builds the program with all its libraries in it, and returns its place in `target/dist`.
pub(crate) fn binary() -> Result<PathBuf, String> {
    let built = trained::build(&said(Command::new("rustc").args(["--print", "host-tuple"]))?)?;
    fs::create_dir_all(FOLDER).map_err(|error| format!("cannot make {FOLDER}: {error}"))?;
    let program = Path::new(FOLDER).join("bellwire");
    succeed(Command::new("strip").arg("-o").arg(&program).arg(built))?;
    tried::is_static(&program)?;
    Ok(program)
}

/// Lays out what is given away as it will be installed.
fn stage(program: &Path, tree: &Path) -> Result<(), String> {
    install(program, &tree.join("usr/bin/bellwire"), "755")?;
    for (from, to, compressed) in FILES {
        let to = tree.join(to);
        install(Path::new(from), &to, "644")?;
        if compressed {
            succeed(Command::new("sh").args(["-c", "gzip -9nc \"$1\" > \"$0\""]).arg(&to).arg(from))?;
        }
    }
    for (shell, to) in COMPLETIONS {
        let text = said(Command::new(program).args(["completions", shell]))?;
        write(&tree.join(to), &(text + "\n"))?;
    }
    write(&tree.join("usr/share/doc/bellwire/libraries.txt"), &(libraries()? + "\n"))
}

/// The libraries in the program, a line each: name, version, licence.
fn libraries() -> Result<String, String> {
    let tree = ["tree", "--locked", "--package", "server", "--edges", "normal", "--prefix", "none", "--format", "{p} {l}"];
    let text = said(Command::new("cargo").args(tree).args(["--no-dedupe", "--features", GIVEN_AWAY]))?;
    // Those of this workspace are named with their folders.
    let mut lines: Vec<_> = text.lines().filter(|line| !line.contains("(/") && !line.is_empty()).collect();
    lines.sort_unstable();
    lines.dedup();
    Ok(lines.join("\n"))
}

/// Makes an archive of the tree and returns its name.
fn archive(tree: &Path, epoch: &str) -> Result<String, String> {
    let name = format!("bellwire-{VERSION}-{}-linux.tar.gz", std::env::consts::ARCH);
    let how = "tar --sort=name --mtime=@\"$1\" --owner=0 --group=0 --numeric-owner -c etc usr | gzip -9n > \"../$0\"";
    succeed(Command::new("sh").args(["-c", how, &name, epoch]).current_dir(tree))?;
    Ok(name)
}

/// Makes a package for Debian and returns its name.
fn package(tree: &Path, epoch: &str) -> Result<String, String> {
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    let control = tree.join("DEBIAN");
    let size = said(Command::new("du").args(["-sk", "--apparent-size"]).arg(tree))?;
    for (name, rights) in CONTROL {
        install(&Path::new("deploy/debian").join(name), &control.join(name), rights)?;
    }
    let text = fs::read_to_string("deploy/debian/control").map_err(|error| format!("no deploy/debian/control: {error}"))?;
    let size = size.split_whitespace().next().unwrap_or("0");
    let text = text.replace("VERSION", VERSION).replace("ARCHITECTURE", &architecture).replace("SIZE", size);
    write(&control.join("control"), &text)?;
    shell(tree, "find etc usr -type f | LC_ALL=C sort | xargs md5sum > DEBIAN/md5sums && chmod 644 DEBIAN/md5sums")?;
    let name = format!("bellwire_{VERSION}_{architecture}.deb");
    let mut build = Command::new("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", epoch).args(["--root-owner-group", "-Zxz", "--build"]);
    succeed(build.arg(tree).arg(Path::new(FOLDER).join(&name)))?;
    Ok(name)
}

fn install(from: &Path, to: &Path, rights: &str) -> Result<(), String> {
    succeed(Command::new("install").args(["-D", "-m", rights]).arg(from).arg(to))
}

fn write(to: &Path, text: &str) -> Result<(), String> {
    install(Path::new("/dev/null"), to, "644")?;
    fs::write(to, text).map_err(|error| format!("cannot write {}: {error}", to.display()))
}

fn shell(folder: &Path, script: &str) -> Result<(), String> {
    succeed(Command::new("sh").args(["-ec", script]).current_dir(folder))
}
