//! A program that runs, with all the processes that it has started.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::broker::{Broker, memory_of, processor_time_of};

/// How long a start or a stop can take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) enum Process {
    Program(Program),
    Broker(Box<Broker>),
}

/// Ended when it is dropped, with those that it has started: it is asked to, since killed it would leave them behind.
pub(super) struct Program {
    child: Child,
    /// Holds what it was told, and its log.
    _folder: TempDir,
}

impl Process {
    /// Starts a program and waits until it takes connections.
    pub(super) async fn start(mut command: Command, folder: TempDir, at: SocketAddr) -> Result<Self> {
        let log = folder.path().join("log");
        command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let (mut program, started) = (Program { child, _folder: folder }, Instant::now());
        while TcpStream::connect(at).is_err() {
            if let Some(status) = program.child.try_wait()? {
                bail!("{} ended with {status}: {}", command.get_program().display(), std::fs::read_to_string(&log)?);
            }
            ensure!(started.elapsed() < PATIENCE, "{} takes no connections", command.get_program().display());
            sleep(Duration::from_millis(5)).await;
        }
        Ok(Self::Program(program))
    }

    pub(super) fn processor_time(&self) -> Result<Duration> {
        self.family()?.iter().map(|pid| processor_time_of(pid)).sum()
    }

    pub(super) fn memory(&self) -> Result<u64> {
        self.family()?.iter().map(|pid| memory_of(pid)).sum()
    }

    pub(super) async fn stop(self) -> Result<()> {
        match self {
            // Not killed: a program that counts its ways writes them down at its end.
            Self::Broker(mut broker) => drop(broker.end(Signal::TERM).await?),
            Self::Program(mut program) => {
                program.ask_to_end();
                let started = Instant::now();
                while program.child.try_wait()?.is_none() {
                    ensure!(started.elapsed() < PATIENCE, "a server does not stop");
                    sleep(Duration::from_millis(5)).await;
                }
            }
        }
        Ok(())
    }

    /// The process and all below it.
    fn family(&self) -> Result<Vec<String>> {
        let root = match self {
            Self::Program(program) => program.child.id().to_string(),
            Self::Broker(broker) => broker.pid().context("the broker has ended")?,
        };
        let (mut family, mut next) = (vec![root], 0);
        while let Some(pid) = family.get(next) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            family.extend(children.split_whitespace().map(str::to_owned));
            next += 1;
        }
        Ok(family)
    }
}

impl Program {
    fn ask_to_end(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            kill_process(pid, Signal::TERM).ok();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.ask_to_end();
        }
    }
}
