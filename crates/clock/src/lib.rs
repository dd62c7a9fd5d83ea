//! What time it is: by the system, or stepped by hand.
//!
//! Passed to whoever needs it; nothing else in the product reads a clock. Tests with sockets step it, since tokio's paused clock
//! jumps whenever the runtime waits for a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// What [`Clock::running`] starts at, so that what an earlier run did has a time as well: answered calls live for 12 h.
const HEAD_START: Duration = Duration::from_secs(24 * 3600);

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

/// A clock; clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    started: Instant,
    stepped: Option<Arc<Stepped>>,
}

#[derive(Debug)]
struct Stepped {
    wall_millis: AtomicI64,
    run_millis: AtomicI64,
    moved: Notify,
}

/// A moment, by both of a clock's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// As [`Clock::now`] has it.
    pub wall: Timestamp,
    /// As [`Clock::running`] has it.
    pub running: Duration,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { started: Instant::now(), stepped: None }
    }

    /// A clock that stands still at `at` until it is stepped.
    #[must_use]
    pub fn stepped(at: Timestamp) -> Self {
        let stepped = Stepped {
            wall_millis: AtomicI64::new(at.as_millisecond()),
            run_millis: AtomicI64::new(i64::try_from(HEAD_START.as_millis()).unwrap_or(0)),
            moved: Notify::new(),
        };
        Self { started: Instant::now(), stepped: Some(Arc::new(stepped)) }
    }

    /// The wall clock's time: it can jump.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.stepped {
            None => Timestamp::now(),
            Some(stepped) => Timestamp::from_millisecond(stepped.wall_millis.load(Ordering::Acquire)).unwrap_or(Timestamp::MAX),
        }
    }

    /// Both times, read once for all that is done at this moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { wall: self.now(), running: self.running() }
    }

    /// How long this clock has been running, and a day: never goes back.
    #[must_use]
    pub fn running(&self) -> Duration {
        match &self.stepped {
            None => HEAD_START + self.started.elapsed(),
            Some(stepped) => Duration::from_millis(u64::try_from(stepped.run_millis.load(Ordering::Acquire)).unwrap_or(0)),
        }
    }

    /// Returns when [`Clock::running`] has reached `moment`.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn wait_until(&self, moment: Duration) {
        let Some(stepped) = &self.stepped else {
            return tokio::time::sleep(moment.saturating_sub(self.running())).await;
        };
        loop {
            // Registered before the look, so that no step in between is missed.
            let mut moved = std::pin::pin!(stepped.moved.notified());
            moved.as_mut().enable();
            if self.running() >= moment {
                return;
            }
            moved.await;
        }
    }

    /// As [`Clock::wait_until`], from now on.
    pub async fn wait(&self, time: Duration) {
        self.wait_until(self.running() + time).await;
    }

    /// Returns what `work` returns, unless this much time passes first.
    ///
    /// # Errors
    /// [`Elapsed`].
    pub async fn timeout<T>(&self, time: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        // Cancel safety: who loses is dropped; work that is done in the same moment wins.
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.wait(time) => Err(Elapsed),
        }
    }

    /// Lets time pass on a stepped clock; nothing on the system's.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        if let Some(stepped) = &self.stepped {
            stepped.wall_millis.fetch_add(millis, Ordering::AcqRel);
            stepped.run_millis.fetch_add(millis, Ordering::AcqRel);
            stepped.moved.notify_waiters();
        }
    }

    /// Sets the wall time of a stepped clock, as an operator or NTP does, without time passing.
    pub fn jump(&self, by: SignedDuration) {
        if let Some(stepped) = &self.stepped {
            stepped.wall_millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::AcqRel);
            stepped.moved.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn who_waits_for_a_stepped_clock_is_woken_by_the_step_that_is_due() {
        let clock = Clock::stepped(Timestamp::UNIX_EPOCH);
        let waiting = clock.wait(Duration::from_secs(5));
        let mut waiting = std::pin::pin!(waiting);
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
        clock.advance(Duration::from_millis(4999));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
        clock.advance(Duration::from_millis(1));
        waiting.await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_jump_of_the_wall_clock_lets_no_time_pass() {
        let clock = Clock::stepped(Timestamp::UNIX_EPOCH);
        clock.jump(SignedDuration::from_hours(9));
        let waited =
            tokio::time::timeout(Duration::ZERO, clock.timeout(Duration::from_secs(1), std::future::pending::<()>())).await;
        assert!(waited.is_err(), "still waiting");
    }
}
