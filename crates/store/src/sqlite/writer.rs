//! One thread that writes. It commits whatever has gathered, so that a hundred callers cost one sync (group commit).
//!
//! A full disk refuses the writes of that commit; the next one is tried afresh. A failed sync or write poisons the store: after
//! it nobody knows which pages are on disk, and a retry can succeed without them (Rebello et al., "Can Applications Recover from
//! fsync Failures?", USENIX ATC 2020).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::health::Health;
use crate::error::{OpenError, StoreError};

/// How many writes one commit holds at most.
const BATCH_MAX: usize = 512;
/// How large the log grows until it is copied into the database. SQLite would do that by itself, but keep a failed sync to
/// itself. The log is cut to this size when it begins anew. A missed call changes three pages, which other calls change again: with
/// 4 MiB there was a copy of the same pages after every fifth commit of 64 calls.
pub(super) const LOG_BYTES: u64 = 32 * 1024 * 1024;

/// How long emptying the log can hold the writes up.
const CUT_PATIENCE: Duration = Duration::from_millis(200);
/// How long a lock of an operator's own tool is waited for: rusqlite's default.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Something to write. `begin` says whether it is still wanted; `run` can be called again after a rollback; `done` is called
/// once, after the sync or the failure, on the writer's thread.
pub(super) trait Job: Send {
    fn begin(&self) -> bool;
    fn run(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()>;
    /// It is on disk.
    fn done(&mut self);
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

#[derive(Debug)]
pub(super) struct Writer {
    // Guards the sender only while it is cloned or taken; never held while a job runs.
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    // Guards the handle only while it is taken.
    thread: Mutex<Option<JoinHandle<()>>>,
    health: Health,
    shredded: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn start(connection: Connection, queue_max: usize, health: Health) -> Result<Self, OpenError> {
        let (sender, receiver) = mpsc::channel(queue_max);
        let log = connection.path().map(|path| PathBuf::from(format!("{path}-wal"))).unwrap_or_default();
        let shredded = Arc::new(AtomicBool::new(false));
        let mut thread = Thread { connection, log, health: health.clone(), shredded: shredded.clone() };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run(receiver))
            .map_err(OpenError::Thread)?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), health, shredded })
    }

    pub(super) fn is_sound(&self) -> bool {
        self.health.is_sound()
    }

    /// What is set in `done` of a write after which the log, too, should hold nothing of what was deleted.
    pub(super) fn shredded(&self) -> Arc<AtomicBool> {
        self.shredded.clone()
    }

    /// Runs `job` in the next commit and waits until that is on disk. A job that has not begun after `patience` is given up and
    /// never done; of one that has begun and takes as long again it is not known whether it was done.
    ///
    /// Cancel safety: once this was polled, the write is done whether or not the future is kept.
    pub(super) async fn write<T, R, D>(&self, patience: Duration, run: R, done: D) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        D: FnOnce(&T) + Send + 'static,
    {
        let (answer, mut outcome) = oneshot::channel();
        let progress = Arc::new(AtomicU8::new(WAITING));
        self.submit(Box::new(Pending { run, done: Some(done), result: None, answer, progress: progress.clone() }))?;
        let mut waited = tokio::time::timeout(patience, &mut outcome).await;
        if waited.is_err() && progress.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_err() {
            waited = tokio::time::timeout(patience, outcome).await;
        }
        match waited {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_writer_ended)) => Err(StoreError::Closed),
            Err(_elapsed) => Err(StoreError::Busy),
        }
    }

    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)?;
        if !self.is_sound() {
            return Err(StoreError::Poisoned);
        }
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        self.health.metrics.queued.inc();
        Ok(())
    }

    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// A job made of two closures and a channel.
struct Pending<T, R, D> {
    run: R,
    done: Option<D>,
    result: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    progress: Arc<AtomicU8>,
}

impl<T, R, D> Job for Pending<T, R, D>
where
    T: Send,
    R: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send,
    D: FnOnce(&T) + Send,
{
    fn begin(&self) -> bool {
        self.progress.compare_exchange(WAITING, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn run(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.run)(transaction)?);
        Ok(())
    }

    fn done(&mut self) {
        if let Some((done, result)) = self.done.take().zip(self.result.as_ref()) {
            done(result);
        }
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        let outcome = outcome.and_then(|()| result.ok_or(StoreError::Closed));
        // The one who asked may have gone; the write is done all the same.
        drop(answer.send(outcome));
    }
}

/// What the writer's thread has.
struct Thread {
    connection: Connection,
    log: PathBuf,
    health: Health,
    shredded: Arc<AtomicBool>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.poison();
        }
    }
}

impl Thread {
    fn run(&mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            self.health.metrics.queued.dec_by(i64::try_from(batch.len()).unwrap_or(i64::MAX));
            batch.retain(|job| job.begin());
            if !batch.is_empty() {
                self.write(batch);
            }
        }
        // So that a copy of the one file has everything.
        self.checkpoint("TRUNCATE");
    }

    /// Commits a batch. If that fails for a reason of one job's own, each gets a commit of its own.
    fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let outcome = self.commit(&mut batch);
        if matches!(outcome, Err(StoreError::Failed(_))) && batch.len() > 1 {
            for job in batch {
                self.write(vec![job]);
            }
            return;
        }
        if outcome.is_ok() {
            batch.iter_mut().for_each(|job| job.done());
            // Before the answer: who is told that it is gone can look.
            if self.shredded.swap(false, Ordering::AcqRel) {
                self.cut_log();
            }
        }
        for job in batch {
            job.answer(outcome.clone());
        }
        if outcome.is_ok() && std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LOG_BYTES) {
            self.checkpoint("PASSIVE");
        }
    }

    /// Copies the log into the database as far as readers allow. What was committed is on disk already.
    fn checkpoint(&mut self, mode: &str) {
        if !self.health.is_sound() {
            return;
        }
        let copied = self.connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| row.get::<_, i64>(0));
        if let Err(error) = copied {
            self.health.judge(error);
        }
    }

    /// Empties the log, unless a reader needs it for longer: then it is overwritten as it begins anew.
    fn cut_log(&mut self) {
        let set = |patience| self.connection.busy_timeout(patience);
        if set(CUT_PATIENCE).is_ok() {
            self.checkpoint("TRUNCATE");
            // SQLite keeps a number; nothing can fail.
            drop(self.connection.busy_timeout(BUSY_PATIENCE));
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        if !self.health.is_sound() {
            return Err(StoreError::Poisoned);
        }
        let started = Instant::now();
        let outcome = self.transact(batch).map_err(|error| self.health.judge(error));
        self.health.metrics.commit.observe(started.elapsed().as_secs_f64());
        self.health.metrics.batch.observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
        outcome
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in batch {
            job.run(&transaction)?;
        }
        transaction.commit()
    }
}
