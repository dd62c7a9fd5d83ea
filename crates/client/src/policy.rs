//! When to come back after a session ended, and when to stay away. Pure: the waiting is somebody else's.

use std::time::Duration;

use protocol::close::{Reaction, reaction};

/// After so long without a break a client is back at the start of its back-off.
const SETTLED: Duration = Duration::from_secs(60);
/// The jitter of an immediate resume.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The close code of a refused token.
pub(crate) const TOKEN_REFUSED: u16 = 4001;

/// How a client comes back, as `welcome.reconnect` advises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// The first try is at random between 0 and this.
    pub first: Duration,
    /// Then full jitter from this, doubling …
    pub base: Duration,
    /// … up to this.
    pub cap: Duration,
}

impl Default for Advice {
    fn default() -> Self {
        Self { first: Duration::from_secs(5), base: Duration::from_secs(1), cap: Duration::from_secs(30) }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Come back after this time, with the cursor.
    ComeBack(Duration),
    /// Fetch a new token, then come back after this time.
    NewToken(Duration),
    /// Stay away.
    Stop,
}

/// What has happened so far.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The advice of the last welcome.
    pub advice: Advice,
    tries: u32,
    reported: bool,
    token_refused: bool,
}

impl Policy {
    /// A session was open for this long.
    pub fn was_open(&mut self, open_for: Duration) {
        self.token_refused = false;
        if open_for >= SETTLED {
            self.tries = 0;
            self.reported = false;
        }
    }

    /// A session ended with `code`; 1006 where the line broke or there was no connection. `slot` is how long it is until the time
    /// that `goaway` named.
    /// `random` is between 0 and 1.
    pub fn after(&mut self, code: u16, slot: Option<Duration>, random: f64) -> Next {
        if code == TOKEN_REFUSED && !std::mem::replace(&mut self.token_refused, true) {
            return Next::NewToken(self.back_off(random));
        }
        match reaction(code) {
            Reaction::Stop => Next::Stop,
            Reaction::ReportAndTryOnce if std::mem::replace(&mut self.reported, true) => Next::Stop,
            Reaction::ReportAndTryOnce | Reaction::BackOff => {
                self.tries = self.tries.max(1);
                Next::ComeBack(self.back_off(random))
            }
            Reaction::Resume if (4200..4300).contains(&code) => Next::ComeBack(AT_ONCE.min(self.advice.first).mul_f64(random)),
            Reaction::Resume => match slot {
                Some(slot) => Next::ComeBack(slot + self.advice.first.mul_f64(random)),
                None => Next::ComeBack(self.back_off(random)),
            },
        }
    }

    /// The first try within `first`, then full jitter from `base`, doubling to `cap`.
    fn back_off(&mut self, random: f64) -> Duration {
        let most = match self.tries {
            0 => self.advice.first,
            tries => self.advice.base.saturating_mul(1_u32 << (tries - 1).min(16)).min(self.advice.cap),
        };
        self.tries = self.tries.saturating_add(1);
        most.mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(wait: u64) -> Next {
        Next::ComeBack(Duration::from_secs(wait))
    }

    #[test]
    fn a_broken_line_is_tried_soon_then_with_growing_waits_up_to_a_cap() {
        let mut policy = Policy::default();
        let waits: Vec<_> = (0..8).map(|_| policy.after(1006, None, 1.0)).collect();
        assert_eq!(waits, [5, 1, 2, 4, 8, 16, 30, 30].map(seconds));
        assert_eq!(policy.after(1006, None, 0.0), seconds(0), "full jitter");
        policy.was_open(Duration::from_secs(59));
        assert_eq!(policy.after(1006, None, 1.0), seconds(30));
        policy.was_open(SETTLED);
        assert_eq!(policy.after(1006, None, 1.0), seconds(5), "back to the start");
    }

    #[test]
    fn the_hundred_says_what_happens() {
        for code in [1000, 4000, 4003, 4005, 4006, 4099] {
            assert_eq!(Policy::default().after(code, None, 1.0), Next::Stop, "{code}");
        }
        for code in [1011, 1013, 4100, 4101, 4199] {
            assert_eq!(Policy::default().after(code, None, 1.0), seconds(1), "{code}");
        }
        for code in [4201, 4202, 4203, 4299] {
            assert_eq!(Policy::default().after(code, None, 1.0), seconds(1), "{code}");
        }
        for code in [1002, 1003, 1007, 1009] {
            let mut policy = Policy::default();
            assert_eq!([policy.after(code, None, 1.0), policy.after(code, None, 1.0)], [seconds(1), Next::Stop], "{code}");
        }
    }

    #[test]
    fn a_refused_token_is_replaced_once() {
        let mut policy = Policy::default();
        assert_eq!(policy.after(4001, None, 0.0), Next::NewToken(Duration::ZERO));
        assert_eq!(policy.after(4001, None, 0.0), Next::Stop);
        policy.was_open(Duration::from_secs(1));
        assert_eq!(policy.after(4001, None, 0.0), Next::NewToken(Duration::ZERO));
    }

    #[test]
    fn a_restart_is_waited_for_in_ones_own_slot() {
        let slot = Some(Duration::from_millis(700));
        for code in [1001, 1006, 1012] {
            assert_eq!(Policy::default().after(code, slot, 0.0), Next::ComeBack(Duration::from_millis(700)));
            assert_eq!(Policy::default().after(code, slot, 1.0), Next::ComeBack(Duration::from_millis(5700)));
            assert_eq!(Policy::default().after(code, None, 1.0), seconds(5));
        }
        assert_eq!(Policy::default().after(4202, slot, 1.0), seconds(1));
    }
}
