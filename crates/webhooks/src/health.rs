//! How the receivers behind a callback URL are: a state machine that goes by the wall clock, so that a restart neither shortens nor
//! lengthens a time. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::profile::HealthPolicy;

/// How long before its subscriptions are deleted an owner is told.
const WARNED_BEFORE: Duration = Duration::from_secs(24 * 3600);

/// How the receivers behind a callback URL of one owner are. Kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Failures since the last success.
    failures: u32,
    /// When the first of them was.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    /// Since when it is unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    unhealthy_since: Option<Timestamp>,
    /// When it was disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
    /// Whether the receiver itself said that nobody is there any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    /// Whether its owner was told that its subscriptions will be deleted soon.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    warned: bool,
}

/// Where a callback URL stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes what it is sent, or has not failed for long enough.
    Healthy,
    /// It has failed since then; it is disabled at the second moment, unless it succeeds before.
    Unhealthy(Timestamp, Timestamp),
    /// Nothing is sent since then; its subscriptions are deleted at the second moment, where there is one.
    Disabled(Timestamp, Option<Timestamp>),
    /// The time is over that it was disabled for since then: its subscriptions are to be deleted.
    Deleted(Timestamp),
}

impl Health {
    /// Notes a success: all is well again, unless nothing is sent any more.
    pub fn succeed(&mut self) {
        if self.disabled_at.is_none() {
            *self = Self::default();
        }
    }

    /// Notes a failure.
    pub fn fail(&mut self, policy: HealthPolicy, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        if self.unhealthy_since.is_none() && self.failures >= policy.failures && now >= later(since, policy.over) {
            self.unhealthy_since = Some(now);
        }
    }

    /// Notes that the receiver said that nobody is there any more.
    pub fn end(&mut self, now: Timestamp) {
        self.gone = true;
        self.unhealthy_since.get_or_insert(now);
        self.disabled_at.get_or_insert(now);
    }

    /// Lets time pass. Returns whether that disabled it.
    pub fn pass(&mut self, policy: HealthPolicy, now: Timestamp) -> bool {
        let due = self.unhealthy_since.map(|since| later(since, policy.disabled_after));
        if self.disabled_at.is_none() && due.is_some_and(|due| now >= due) {
            // The moment it fell due, not the one it was seen: a node that was off does not lengthen what follows.
            self.disabled_at = due;
            return true;
        }
        false
    }

    /// Whether it is time to tell its owner that its subscriptions will be deleted; once.
    pub fn warn(&mut self, policy: HealthPolicy, now: Timestamp) -> bool {
        let deleted = self.disabled_at.zip(policy.deleted_after).map(|(disabled, after)| later(disabled, after));
        let is_due = deleted.is_some_and(|deleted| later(now, WARNED_BEFORE) >= deleted && now < deleted);
        let warns = is_due && !self.warned;
        self.warned |= warns;
        warns
    }

    /// Where it stands at `now`, after [`Health::pass`].
    #[must_use]
    pub fn standing(&self, policy: HealthPolicy, now: Timestamp) -> Standing {
        if let Some(disabled) = self.disabled_at {
            let deleted = policy.deleted_after.map(|after| later(disabled, after));
            return if deleted.is_some_and(|deleted| now >= deleted) {
                Standing::Deleted(disabled)
            } else {
                Standing::Disabled(disabled, deleted)
            };
        }
        match self.unhealthy_since {
            Some(since) => Standing::Unhealthy(since, later(since, policy.disabled_after)),
            None => Standing::Healthy,
        }
    }

    /// Whether nothing is sent.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.disabled_at.is_some()
    }

    /// Whether there is nothing to keep of it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;
    /// Durations of a profile that goes through all states.
    const POLICY: HealthPolicy = HealthPolicy {
        failures: 5,
        over: Duration::from_secs(60),
        disabled_after: Duration::from_secs(8 * HOUR),
        deleted_after: Some(Duration::from_secs(7 * 24 * HOUR)),
    };

    fn at(second: u64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + i64::try_from(second).unwrap()).unwrap()
    }

    fn unhealthy() -> Health {
        let mut health = Health::default();
        (0..5).for_each(|n| health.fail(POLICY, at(n * 15)));
        health
    }

    #[test]
    fn five_failures_over_a_minute_make_it_unhealthy_and_no_fewer() {
        let mut health = Health::default();
        (0..100).for_each(|n| health.fail(POLICY, at(n % 60)));
        assert_eq!(health.standing(POLICY, at(59)), Standing::Healthy, "within a minute");
        let mut health = Health::default();
        (0..4).for_each(|n| health.fail(POLICY, at(n * HOUR)));
        assert_eq!(health.standing(POLICY, at(4 * HOUR)), Standing::Healthy, "four failures");
        assert_eq!(unhealthy().standing(POLICY, at(60)), Standing::Unhealthy(at(60), at(60 + 8 * HOUR)));
    }

    #[test]
    fn one_success_clears_it() {
        let mut health = unhealthy();
        health.succeed();
        assert!(health.is_blank());
    }

    #[test]
    fn it_is_disabled_after_8_hours_and_not_before_even_if_nothing_is_sent() {
        let mut health = unhealthy();
        assert!(!health.pass(POLICY, at(59 + 8 * HOUR)));
        assert!(!health.is_disabled());
        assert!(health.pass(POLICY, at(60 + 8 * HOUR)));
        assert!(health.is_disabled());
        health.succeed();
        assert!(health.is_disabled(), "a late success changes nothing");
    }

    #[test]
    fn it_is_deleted_a_week_after_it_fell_due_whenever_that_was_seen() {
        let mut health = unhealthy();
        health.pass(POLICY, at(60 + 8 * HOUR + 5 * 24 * HOUR));
        let deleted = 60 + 8 * HOUR + 7 * 24 * HOUR;
        assert_eq!(health.standing(POLICY, at(deleted - 1)), Standing::Disabled(at(60 + 8 * HOUR), Some(at(deleted))));
        assert_eq!(health.standing(POLICY, at(deleted)), Standing::Deleted(at(60 + 8 * HOUR)));
    }

    #[test]
    fn a_restart_changes_nothing() {
        let health = unhealthy();
        let text = serde_json::to_string(&health).unwrap();
        assert_eq!(serde_json::from_str::<Health>(&text).unwrap(), health);
    }

    #[test]
    fn a_receiver_that_says_that_it_is_gone_is_disabled_at_once() {
        let mut health = Health::default();
        health.end(at(1));
        assert!(matches!(health.standing(POLICY, at(1)), Standing::Disabled(..)));
    }
}
