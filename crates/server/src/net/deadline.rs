//! How long a connection can be in each phase.
//!
//! hyper's own time-out for heads cuts idle connections as well and answers nothing; so the phases are followed here, beside the
//! requests. The timer is moved seldom: it may fire early and look again.
//!
//! ```text
//!               another task polls
//!   Unheard ───────────────────────► Unheard
//!      │ the timer is polled            ▲
//!      ▼                                │ moved: a phase ends sooner, or it fired too early
//!   Set ────────────────────────────────┘
//!      │ fired, and the phase is over
//!      ▼
//!   overdue
//! ```

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::stream::{LINGER, Phase, Stream};
use crate::config::Limits;

/// A request is being answered: its body has a time-out of its own, and its waits have theirs.
const BUSY_MAX: Duration = Duration::from_secs(3600);

/// Whether the timer wakes the task that polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    /// Not yet: it is new, was moved, or knows another task.
    Unheard,
    /// It does, when it fires.
    Set,
}

/// What is watched of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched<'a> {
    pub(super) stream: &'a Stream,
    pub(super) limits: &'a Limits,
    pub(super) stop: &'a CancellationToken,
}

impl Watched<'_> {
    /// Polls `requests` until they end, or until a deadline, which returns the phase that lasted too long. Requests see for themselves
    /// that the node stops; here they are woken for it.
    pub(super) async fn drive(self, mut requests: Pin<&mut impl Future<Output = ()>>) -> Option<Phase> {
        let (mut stopped, mut timer) = (pin!(self.stop.cancelled()), pin!(sleep(self.limits.head_timeout)));
        // Whom the shutdown and the timer wake: as long as it is the same task, they need not be asked again.
        let mut woken: Option<Waker> = None;
        std::future::poll_fn(|cx| {
            if requests.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            let is_known = woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
            if !is_known {
                woken = Some(cx.waker().clone());
                if stopped.as_mut().poll(cx).is_ready() {
                    // The requests have perhaps not seen it yet.
                    cx.waker().wake_by_ref();
                }
            }
            self.poll_overdue(timer.as_mut(), cx, if is_known { Timer::Set } else { Timer::Unheard }).map(Some)
        })
        .await
    }

    /// Returns the phase that the connection has been in for too long. Each look begins the time of a phase that is new; that of an
    /// answer begins when the timer fires.
    fn poll_overdue(self, mut sleep: Pin<&mut Sleep>, cx: &mut Context<'_>, mut timer: Timer) -> Poll<Phase> {
        loop {
            let phase = self.stream.phase();
            // Nearly all answers are given sooner than anybody has to know when they were begun.
            if phase == Phase::Busy && timer == Timer::Set && !sleep.is_elapsed() {
                return Poll::Pending;
            }
            let deadline = self.stream.since() + self.patience(phase);
            if deadline < sleep.deadline() {
                sleep.as_mut().reset(deadline);
            } else if timer == Timer::Set && !sleep.is_elapsed() {
                return Poll::Pending;
            }
            // Beyond the budget: a look that was refused would never be made up for.
            ready!(pin!(unconstrained(sleep.as_mut())).poll(cx));
            if deadline <= sleep.deadline() {
                return Poll::Ready(phase);
            }
            sleep.as_mut().reset(deadline);
            timer = Timer::Unheard;
        }
    }

    fn patience(self, phase: Phase) -> Duration {
        match phase {
            Phase::Fresh | Phase::Head => self.limits.head_timeout,
            // A client that does not say goodbye over HTTP/2 holds no shutdown up.
            Phase::Open if self.stop.is_cancelled() => LINGER,
            Phase::Idle | Phase::Open => self.limits.idle_timeout,
            Phase::Busy | Phase::Upgraded => BUSY_MAX,
        }
    }
}

#[cfg(test)]
mod tests;
