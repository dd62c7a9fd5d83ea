//! The program itself, as a process, and a disk under it that fails when it is told to.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::PATIENCE;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_bellwire");

/// A node that runs as a process of its own; killed when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) api: String,
    pub(crate) ops: String,
    lines: mpsc::Receiver<String>,
    pub(crate) log: Vec<String>,
}

impl Program {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, |_| ())
    }

    pub(crate) fn start_with(folder: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(folder);
        command.env("BELLWIRE_LOG__FORMAT", "json").stderr(Stdio::piped());
        for limit in ["REQUESTS", "POLLS", "STRANGERS", "SESSIONS", "NEW_TOKENS"] {
            command.env(format!("BELLWIRE_LIMITS__{limit}_PER_SECOND"), "0");
        }
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut program = Self { child, api: String::new(), ops: String::new(), lines, log: Vec::new() };
        let listening = program.wait_for("listening");
        program.api = listening["api"].as_str().unwrap().to_owned();
        program.ops = listening["operators"].as_str().unwrap().to_owned();
        program
    }

    /// Reads the log up to a line with this message.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
        self.wait_until(|line| line["message"] == message)
    }

    /// Reads the log up to such a line.
    pub(crate) fn wait_until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no such line in {:#?}", self.log));
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            self.log.push(line);
            if is_it(&json) {
                return json;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.log.extend(self.lines.iter());
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "the process does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a crash does. Returns its log.
    pub(crate) fn kill(mut self) -> String {
        self.signal(Signal::KILL);
        assert_eq!(self.wait().signal(), Some(9));
        self.log.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder with the library that makes a disk fail, and the orders for it.
pub(crate) struct FaultyDisk {
    folder: tempfile::TempDir,
}

impl FaultyDisk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faulty_disk.c");
        let library = folder.path().join("faulty_disk.so");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        assert!(compiled.expect("a C compiler, which the build needs as well").success());
        Self { folder }
    }

    pub(crate) fn under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.folder.path().join("faulty_disk.so")).env("FAULTY_DISK", self.folder.path());
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn order(&self, name: &str) {
        fs::write(self.file(name), "").unwrap();
    }

    pub(crate) fn revoke(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
    }
}
