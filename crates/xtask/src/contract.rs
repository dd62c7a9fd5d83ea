//! `cargo xtask conformance`, the API: Schemathesis makes requests of `/openapi.json` and judges the answers of the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::GIVEN_AWAY;
use crate::commands::{said, succeed};

const SUITE: &str = "schemathesis==4.32.5";
/// How long the node has to be ready.
const START: Duration = Duration::from_secs(30);
/// Who asks, and all that they may.
const SCOPES: &str = "notifications.telephony.write notifications.telephony.read negotiators.read contacts.read applicants.read \
    events.reapit.write events.bellwire.read events.apirtc.read events.apirtc.write events.avaya.read events.avaya.write \
    events.enreach.read events.enreach.write";
const PEOPLE: &str =
    "negotiatorId,name,email,extension,number,active,vendorUser\nADV,Ann Dove,ann@example.com,101,01234 567890,true,\n";

/// Runs the suite; says what failed.
pub(crate) fn run(folder: &Path) -> Result<(), String> {
    let packages = install(folder)?;
    let node = Node::start(&folder.join("node"))?;
    node.fill()?;
    let token = node.bellwire(&["token", "--customer", "SBOX", "--client-id", "contract", "--scope", SCOPES])?;
    let mut suite = Command::new("python3");
    // Set for this command only: it would stand before the packages of any other.
    suite.env("PYTHONPATH", &packages).env("BELLWIRE_TOKEN", token).arg(packages.join("bin/schemathesis"));
    suite.args(["--config-file", "crates/xtask/schemathesis.toml", "run"]).arg(format!("http://{}/openapi.json", node.api));
    // The command itself is not told, as the token is in it.
    succeed(&mut suite)
        .map_err(|_told| format!("{SUITE} has findings, above; the log of the node is {}/log", node.folder.display()))
}

fn install(folder: &Path) -> Result<PathBuf, String> {
    let packages = folder.join("schemathesis");
    let complete = packages.join("complete");
    if fs::read_to_string(&complete).ok().as_deref() != Some(SUITE) {
        let mut pip = Command::new("python3");
        succeed(pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]).arg(&packages).arg(SUITE))?;
        fs::write(&complete, SUITE).map_err(|error| format!("cannot write {}: {error}", complete.display()))?;
    }
    Ok(packages)
}

/// A node on a new folder, without limits of rate; ended when dropped.
struct Node {
    process: Child,
    folder: PathBuf,
    api: String,
    ops: String,
}

impl Node {
    fn start(folder: &Path) -> Result<Self, String> {
        succeed(Command::new("cargo").args([
            "build",
            "--package",
            "server",
            "--features",
            GIVEN_AWAY,
            "--locked",
            "--target-dir",
            "target",
        ]))?;
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
        }
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let (api, ops) = (free_address()?, free_address()?);
        let mut command = Command::new(PROGRAM);
        for limit in ["REQUESTS", "POLLS", "STRANGERS", "CALLBACKS"] {
            command.env(format!("BELLWIRE_LIMITS__{limit}_PER_SECOND"), "0");
        }
        command.args(["serve", "--dev", "--listen", &api, "--ops-listen", &ops, "--data"]).arg(folder.join("data"));
        let log = fs::File::create(folder.join("log")).map_err(|error| format!("cannot write the log: {error}"))?;
        let process = command.stderr(log).stdout(Stdio::null()).spawn();
        let process = process.map_err(|error| format!("cannot run the node: {error}"))?;
        let node = Self { process, folder: folder.to_owned(), api, ops };
        node.wait()?;
        Ok(node)
    }

    fn wait(&self) -> Result<(), String> {
        let started = Instant::now();
        while self.bellwire(&["status", "--ops", &format!("http://{}", self.ops)]).is_err() {
            if started.elapsed() > START {
                return Err(format!("the node does not start; see {}/log", self.folder.display()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What the document takes for granted: an application with its scopes at a customer, people, an account, a connector.
    fn fill(&self) -> Result<(), String> {
        let file = |name: &str, text: &str| {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            Ok::<_, String>(path.display().to_string())
        };
        let (people, secret) = (file("people.csv", PEOPLE)?, file("secret", "0123456789abcdef")?);
        let operate = |arguments: &[&str]| {
            let ops = format!("http://{}", self.ops);
            self.bellwire(&[arguments, &["--ops", &ops]].concat()).map(drop)
        };
        let scopes: Vec<_> = SCOPES.split_whitespace().flat_map(|scope| ["--scope", scope]).collect();
        operate(&[&["app", "add", "contract"], &scopes[..]].concat())?;
        operate(&["app", "install", "contract", "SBOX"])?;
        operate(&["directory", "import", "--customer", "SBOX", &people])?;
        operate(&["avaya", "account", "add", "--customer", "SBOX", "ABCDEF"])?;
        let connector = ["connector", "add", "--id", "enreach", "--vendor", "enreach", "--customer", "SBOX"];
        operate(&[&connector[..], &["--secret-file", &secret]].concat())
    }

    fn bellwire(&self, arguments: &[&str]) -> Result<String, String> {
        said(Command::new(PROGRAM).args(arguments))
    }
}

const PROGRAM: &str = "target/debug/bellwire";

impl Drop for Node {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _status = self.process.wait();
    }
}

/// An address that nobody listens at just now.
fn free_address() -> Result<String, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.to_string()).map_err(|error| format!("no free port: {error}"))
}
