//! How a vendor's webhooks behave, as data: what counts as success, what is retried and when, what is sent with a body.
//!
//! The engine reads these values and calls `render`; it does not know a profile's name.

use std::time::Duration;

use crate::event::Event;
use crate::render;
use crate::url::Ports;

/// One way of speaking.
#[derive(Debug)]
pub struct Profile {
    /// How a subscription asks for it.
    pub name: &'static str,
    /// The catalogue whose events it takes; any where there is none.
    pub catalogue: Option<&'static str>,
    /// The ports that it allows.
    pub ports: Ports,
    /// What the body is said to be.
    pub content_type: &'static str,
    /// Makes the body of an attempt from the event and how often it was sent, this time included.
    pub render: fn(&Event<'_>, u32) -> Vec<u8>,
    /// By what the receiver knows who sends.
    pub proofs: &'static [Proof],
    /// Statuses that mean "taken".
    pub success: Statuses,
    /// Statuses after which the same is sent again.
    pub retry: Statuses,
    /// Statuses after which it is given up.
    pub final_: Statuses,
    /// Statuses after which nothing is sent to the endpoint any more.
    pub gone: Statuses,
    /// Whether a failure to reach the receiver is retried.
    pub retry_unreachable: bool,
    /// Whether events of a sandbox are retried.
    pub retry_sandbox: bool,
    /// How long after an attempt the next one follows; when it is used up, the delivery is given up.
    pub schedule: &'static [Duration],
    /// By how many percent a wait can be longer, at random, so that retries do not come in step.
    pub jitter_percent: u32,
    /// Up to how long a receiver's `Retry-After` is obeyed; not at all where there is none.
    pub retry_after_max: Option<Duration>,
    /// How long the receiver has until the head of its answer is there.
    pub response_timeout: Duration,
    /// When an endpoint that fails is taken out; never where there is none.
    pub health: Option<HealthPolicy>,
    /// Whether an endpoint that fails again and again gets a pause beyond the schedule.
    pub breaker: bool,
}

/// By what a receiver knows who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// `Reapit-Webhook-Signature`: the application's id in base64.
    ClientId,
    /// `X-Signature`: Ed25519 with the application's key.
    AppKey,
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature` of Standard Webhooks 1.0.0.
    StandardWebhooks,
}

/// When an endpoint that fails is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// It is unhealthy after this many failures one after another …
    pub failures: u32,
    /// … over at least this long.
    pub over: Duration,
    /// How long it is unhealthy until nothing is sent any more.
    pub disabled_after: Duration,
    /// How long it is disabled until its subscriptions are deleted; never where there is none.
    pub deleted_after: Option<Duration>,
}

/// A set of HTTP statuses, as ranges with both ends.
#[derive(Debug, Clone, Copy)]
pub struct Statuses(pub &'static [(u16, u16)]);

impl Statuses {
    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&status))
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Standard Webhooks 1.0.0, and what bellwire's own events are sent by. The schedule is the specification's example.
pub const STANDARD: Profile = Profile {
    name: "standard",
    catalogue: None,
    ports: Ports::Deployment,
    content_type: "application/json",
    render: render::standard,
    proofs: &[Proof::StandardWebhooks],
    success: Statuses(&[(200, 299)]),
    retry: Statuses(&[(100, 199), (300, 409), (411, 599)]),
    final_: Statuses(&[]),
    gone: Statuses(&[(410, 410)]),
    retry_unreachable: true,
    retry_sandbox: true,
    schedule: &[
        seconds(5),
        seconds(5 * 60),
        seconds(30 * 60),
        seconds(2 * 3600),
        seconds(5 * 3600),
        seconds(10 * 3600),
        seconds(14 * 3600),
        seconds(20 * 3600),
        seconds(24 * 3600),
    ],
    jitter_percent: 20,
    retry_after_max: Some(seconds(24 * 3600)),
    response_timeout: seconds(20),
    health: Some(HealthPolicy { failures: 5, over: seconds(60), disabled_after: seconds(5 * 24 * 3600), deleted_after: None }),
    breaker: true,
};

/// Reapit Foundations: `https://foundations-documentation.reapit.cloud/api/webhooks`.
pub const REAPIT: Profile = Profile {
    name: "reapit",
    catalogue: Some("reapit"),
    ports: Ports::Deployment,
    content_type: "application/json",
    render: render::reapit,
    proofs: &[Proof::ClientId, Proof::AppKey],
    success: Statuses(&[(200, 299)]),
    retry: Statuses(&[(100, 199), (300, 399), (500, 599)]),
    final_: Statuses(&[(400, 499)]),
    gone: Statuses(&[]),
    retry_unreachable: true,
    retry_sandbox: false,
    schedule: &[seconds(60), seconds(120), seconds(300), seconds(600), seconds(900)],
    jitter_percent: 0,
    retry_after_max: None,
    response_timeout: seconds(10),
    health: None,
    breaker: false,
};

/// All that there are.
pub const PROFILES: [&Profile; 2] = [&STANDARD, &REAPIT];

impl Profile {
    /// The one with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PROFILES.into_iter().find(|profile| profile.name == name)
    }

    /// The statuses that are in none or in more than one of the sets: a profile that has any is not fit to be used.
    #[must_use]
    pub fn ambiguous(&self) -> Vec<u16> {
        let sets = [self.success, self.retry, self.final_, self.gone];
        (100..=599).filter(|status| sets.iter().filter(|set| set.contains(*status)).count() != 1).collect()
    }
}
