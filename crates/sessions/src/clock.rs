//! What time it is: by the system, or stepped by hand.
//!
//! Passed to whoever needs it; nothing else in the product reads a clock. Tests with sockets step it, since tokio's paused clock
//! jumps whenever the runtime waits for a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// What [`Clock::running`] starts at, so that what an earlier run did has a time as well: answered calls live for 12 h.
const HEAD_START: Duration = Duration::from_secs(24 * 3600);

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

    /// How long this clock has been running, and a day: never goes back.
    #[must_use]
    pub fn running(&self) -> Duration {
        match &self.stepped {
            None => HEAD_START + self.started.elapsed(),
            Some(stepped) => Duration::from_millis(u64::try_from(stepped.run_millis.load(Ordering::Acquire)).unwrap_or(0)),
        }
    }

    /// Lets time pass on a stepped clock; nothing on the system's.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        if let Some(stepped) = &self.stepped {
            stepped.wall_millis.fetch_add(millis, Ordering::AcqRel);
            stepped.run_millis.fetch_add(millis, Ordering::AcqRel);
        }
    }

    /// Sets the wall time of a stepped clock, as an operator or NTP does, without time passing.
    pub fn jump(&self, by: SignedDuration) {
        if let Some(stepped) = &self.stepped {
            stepped.wall_millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::AcqRel);
        }
    }
}
