//! The threads that serve the API: one for each core but one, each with connections and a runtime of its own.
//!
//! A connection stays with its thread, and so does the session that it becomes: what comes in on a socket is read, checked and
//! written to the sockets of its sessions without waking another thread. A core is left to the disk, to deliveries by webhook and to
//! the kernel: threads that fight for a core with them cost more than they bring.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The threads; they end when this is dropped, with whatever they were still doing.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    next: AtomicUsize,
    ended: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    /// Starts a thread for each core but one.
    ///
    /// # Errors
    /// What the system says when it has no thread or no descriptors left.
    pub(crate) fn start() -> io::Result<Self> {
        let ended = CancellationToken::new();
        let count = std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
        let workers = (0..count).map(|number| Worker::start(number, ended.clone())).collect::<io::Result<_>>()?;
        Ok(Self { workers, next: AtomicUsize::new(0), ended })
    }

    /// The runtime of each of them in turn.
    pub(crate) fn next(&self) -> Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len().max(1);
        self.workers.get(turn).map_or_else(Handle::current, |worker| worker.runtime.clone())
    }
}

impl Worker {
    fn start(number: usize, ended: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.spawn(sessions::outbox::gather::gather());
        let handle = runtime.handle().clone();
        let serve = move || {
            runtime.block_on(ended.cancelled());
            // A read that hangs on a disk is not waited for.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(serve)?;
        Ok(Self { runtime: handle, thread: Some(thread) })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.ended.cancel();
        for worker in &mut self.workers {
            let ended = worker.thread.take().map(JoinHandle::join);
            if matches!(ended, Some(Err(_))) {
                tracing::error!("a thread that serves connections has panicked");
            }
        }
    }
}
