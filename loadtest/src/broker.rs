//! The program under test, as a process on ports of its own that stay the same over restarts.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use client::api::Api;
use http_body_util::Full;
use hyper::Request;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a start or a stop can take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sockets of the largest measurement, with room; only root may raise the limit that the system sets.
const DESCRIPTORS: u64 = 65_536;

/// The program, where it was named; it is the same for all that is measured.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the program under test, once.
pub(crate) fn name_program(program: PathBuf) {
    PROGRAM.get_or_init(|| program);
}

pub(crate) struct Broker {
    pub(crate) api: String,
    setting: Setting,
    child: Child,
}

/// What stays over restarts.
struct Setting {
    /// What it runs under, with its arguments; none: itself.
    under: Vec<String>,
    program: PathBuf,
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    api: String,
    ops: String,
}

impl Broker {
    /// Starts the program with an empty data folder; its log goes there too.
    pub(crate) async fn start(secret: &str, environment: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(None, secret, environment).await
    }

    /// The same, with the folder below `parent`, or below the folder for temporary files.
    pub(crate) async fn start_in(parent: Option<&Path>, secret: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let program = program_under_test()?;
        Self::start_as(Setting::new(program, parent, secret, environment)?).await
    }

    /// The same, of a build of its own and under another program.
    pub(crate) async fn start_under(
        program: Option<PathBuf>,
        under: &[&str],
        secret: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let program = program.map_or_else(program_under_test, Ok)?;
        let under = under.iter().map(|part| (*part).to_owned()).collect();
        Self::start_as(Setting { under, ..Setting::new(program, None, secret, environment)? }).await
    }

    async fn start_as(setting: Setting) -> Result<Self> {
        let mut broker = Self { api: setting.api.clone(), child: setting.spawn()?, setting };
        broker.ready().await?;
        Ok(broker)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.setting.folder.path().join("log"))?)
    }

    /// Starts it again on the same folder, after it ended.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        self.child = self.setting.spawn()?;
        self.ready().await
    }

    /// Sends a signal and waits for the end.
    pub(crate) async fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("the broker has ended")?;
        kill_process(pid, signal)?;
        Ok(timeout(PATIENCE, self.child.wait()).await.context("the broker does not stop")??)
    }

    /// The processor time that the process has used.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let pid = self.child.id().context("the broker has ended")?;
        processor_time_of(&pid.to_string())
    }

    /// The memory of the process in MiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        Ok(memory_of(&self.pid().context("the broker has ended")?)? / 1024)
    }

    /// The process, while it runs.
    pub(crate) fn pid(&self) -> Option<String> {
        self.child.id().map(|pid| pid.to_string())
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let answer = Api::new(&self.setting.ops).send(Request::get("/metrics").body(Full::<Bytes>::default())?).await?;
        Ok(String::from_utf8(answer.body.to_vec())?)
    }

    async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            let answer = Api::new(&self.setting.ops).send(Request::get("/readyz").body(Full::<Bytes>::default())?).await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.setting.folder.path().join("log")).unwrap_or_default();
                anyhow::bail!("the broker ended with {status}: {log}");
            }
            ensure!(started.elapsed() < PATIENCE, "the broker does not become ready");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn program_under_test() -> Result<PathBuf> {
    match PROGRAM.get() {
        Some(program) => Ok(program.clone()),
        None => Ok(std::env::current_exe()?.with_file_name("bellwire")),
    }
}

impl Setting {
    fn new(program: PathBuf, parent: Option<&Path>, secret: &str, environment: &[(&str, &str)]) -> Result<Self> {
        ensure!(program.exists(), "{} is missing: cargo build --release --bin bellwire", program.display());
        let folder = parent.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
        let own = [("BELLWIRE_DEV_SECRET", secret), ("BELLWIRE_LOG__FILTER", "warn")];
        let environment = own.iter().chain(environment).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Self { under: Vec::new(), program, folder, environment, api: free_address()?, ops: free_address()? })
    }

    fn spawn(&self) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut words = self.under.iter().map(PathBuf::from).chain([self.program.clone()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(["serve", "--dev", "--listen", &self.api, "--ops-listen", &self.ops, "--data"]);
        command.arg(self.folder.path().join("data")).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stderr(log).kill_on_drop(true);
        command.spawn().with_context(|| format!("cannot run {}", self.program.display()))
    }
}

/// The processor time that a process (`self`: this one) has used.
///
/// That of its threads is exact, but lacks those that have ended; that of the whole has steps of 10 ms, and is never too much.
pub(crate) fn processor_time_of(pid: &str) -> Result<Duration> {
    Ok(time_of_threads(pid)?.max(time_of_all(pid)?))
}

/// Of the threads that run (schedstats of the kernel's documentation: nanoseconds on a processor come first).
fn time_of_threads(pid: &str) -> Result<Duration> {
    let mut all = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let times = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        all += times.split(' ').next().and_then(|time| time.parse().ok()).map_or(Duration::ZERO, Duration::from_nanos);
    }
    Ok(all)
}

/// Of all threads there ever were (proc(5), `stat`, fields 14 and 15).
fn time_of_all(pid: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace()).context("a stat line")?;
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs_f64(f64::from(u32::try_from(ticks)?) / f64::from(u32::try_from(clock_ticks_per_second())?)))
}

/// The memory of a process in KiB, shared pages by share (proc(5), `smaps_rollup`).
pub(crate) fn memory_of(pid: &str) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("a Pss line")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// An address on this machine that nobody listens on.
pub(crate) fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Thousands of sockets in a process, and in those that it starts: as many as are needed, or as the system lets it have.
pub(crate) fn raise_descriptor_limit() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let wanted = hard.map(|hard| hard.max(DESCRIPTORS));
    let raised = [wanted, hard].into_iter().any(|to| setrlimit(Resource::Nofile, Rlimit { current: to, maximum: to }).is_ok());
    if !raised {
        eprintln!("the limit of descriptors stays as it is");
    }
}
