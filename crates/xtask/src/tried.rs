//! What `cargo xtask dist` has made, tried: taken out of the package, held against the tools that will read it, and run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::commands::{said, succeed};

/// What lintian may say of the package: it is its authors', not Debian's, is handled by systemd alone, has Markdown for a changelog
/// and help in the program; its libraries are in it, so that it looks like one itself.
const LINTIAN_MAY_SAY: &str = "bogus-mail-host,embedded-library,maintainer-script-calls-systemctl,no-manual-page,\
    shared-library-lacks-prerequisites,syntax-error-in-debian-changelog";

/// Whether a program needs nothing but the kernel.
pub(crate) fn is_static(program: &Path) -> Result<(), String> {
    // ldd fails where there is nothing to link.
    let linked = Command::new("ldd").arg(program).output().map_err(|error| format!("cannot run ldd: {error}"))?;
    let text = String::from_utf8_lossy(&linked.stdout) + String::from_utf8_lossy(&linked.stderr);
    if text.contains("statically linked") || text.contains("not a dynamic executable") {
        return Ok(());
    }
    Err(format!("{} needs libraries:\n{text}", program.display()))
}

/// Tries a package: what it holds, its unit, and its program, which serves an event.
pub(crate) fn package(package: &Path) -> Result<(), String> {
    succeed(Command::new("dpkg-deb").arg("--info").arg(package))?;
    succeed(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    if said(Command::new("lintian").arg("--version")).is_ok() {
        let how = ["--fail-on", "error,warning", "--allow-root", "--suppress-tags", LINTIAN_MAY_SAY];
        succeed(Command::new("lintian").args(how).arg(package))?;
    }
    let root = package.with_file_name("root");
    let unpacked = succeed(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root));
    let outcome = unpacked.and_then(|()| installed(&root));
    let removed = fs::remove_dir_all(&root).map_err(|error| format!("cannot remove {}: {error}", root.display()));
    outcome.and(removed)
}

fn installed(root: &Path) -> Result<(), String> {
    let program = root.join("usr/bin/bellwire");
    is_static(&program)?;
    let unit = root.join("usr/lib/systemd/system/bellwire.service");
    unit_is_good(&program, &unit)?;
    // As it comes it trusts nobody, which is a fault of the configuration.
    let config = root.join("etc/bellwire/bellwire.toml");
    let checked = Command::new(&program).args(["config", "check", "--config"]).arg(&config).status();
    let code = checked.map_err(|error| format!("cannot run {}: {error}", program.display()))?.code();
    if code != Some(78) {
        return Err(format!("the configuration as it comes was to be a fault (78), got {code:?}"));
    }
    // An event from the provider to desktops and to a receiver.
    succeed(Command::new(&program).arg("demo").env_clear())
}

/// Checks the unit with the program that it names, as if it were installed.
fn unit_is_good(program: &Path, unit: &Path) -> Result<(), String> {
    let text = fs::read_to_string(unit).map_err(|error| format!("no {}: {error}", unit.display()))?;
    let program = fs::canonicalize(program).map_err(|error| format!("no {}: {error}", program.display()))?;
    let here = unit.with_file_name("bellwire-tried.service");
    fs::write(&here, text.replace("=/usr/bin/bellwire ", &format!("={} ", program.display())))
        .map_err(|error| format!("cannot write {}: {error}", here.display()))?;
    succeed(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&here))
}
