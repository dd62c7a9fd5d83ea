//! How a vendor's webhooks behave, as data: what counts as success, what is retried and when, what is sent with a body.
//!
//! The engine reads these values and calls `render`; it does not know a profile's name.

use std::time::Duration;

use crate::event::TopicEvent;
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
    /// Who it is said to come from; bellwire where there is none.
    pub user_agent: Option<&'static str>,
    /// A header that names the topic.
    pub topic_header: Option<&'static str>,
    /// Makes the body of an attempt from the event and how often it was sent, this time included.
    pub render: fn(&TopicEvent<'_>, u32) -> Vec<u8>,
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
    /// Whether all of a customer's subscriptions with a callback URL share its health, whichever application made them.
    pub health_by_customer: bool,
    /// Whether an endpoint that fails again and again gets a pause beyond the schedule.
    pub breaker: bool,
    /// Whether one that is disabled can be set active again; else it is deleted and made anew.
    pub revivable: bool,
    /// With which call its subscriptions are made, where it has a contract of its own; else with `/webhooks/subscriptions`.
    pub made_with: Option<&'static str>,
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
    /// `webhook-id` alone, by which repeats are known where the body has no id of its own.
    Id,
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

const DAY: u64 = 24 * 3600;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Standard Webhooks 1.0.0, and what bellwire's own events are sent by. The schedule is the specification's example.
pub const STANDARD: Profile = Profile {
    name: "standard",
    catalogue: None,
    ports: Ports::Deployment,
    content_type: "application/json",
    user_agent: None,
    topic_header: None,
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
    health: Some(HealthPolicy { failures: 5, over: seconds(60), disabled_after: seconds(5 * DAY), deleted_after: None }),
    health_by_customer: false,
    breaker: true,
    revivable: true,
    made_with: None,
};

/// Reapit Foundations: `https://foundations-documentation.reapit.cloud/api/webhooks`.
pub const REAPIT: Profile = Profile {
    name: "reapit",
    catalogue: Some("reapit"),
    ports: Ports::Deployment,
    content_type: "application/json",
    user_agent: None,
    topic_header: None,
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
    health_by_customer: false,
    breaker: false,
    revivable: true,
    made_with: None,
};

/// ApiRTC (Apizee): `https://doc.apirtc.com`, "Webhooks". What it does not say of answers and retries is bellwire's choice.
pub const APIRTC: Profile = Profile {
    name: "apirtc",
    catalogue: Some("apirtc"),
    ports: Ports::Deployment,
    content_type: "application/JSON",
    user_agent: Some("Cloud Apizee"),
    topic_header: None,
    render: render::apirtc,
    proofs: &[Proof::Id],
    success: Statuses(&[(200, 299)]),
    retry: Statuses(&[(429, 429), (500, 599)]),
    final_: Statuses(&[(100, 199), (300, 428), (430, 499)]),
    gone: Statuses(&[]),
    retry_unreachable: true,
    retry_sandbox: true,
    schedule: &[seconds(5), seconds(60)],
    jitter_percent: 10,
    retry_after_max: Some(seconds(3600)),
    response_timeout: seconds(10),
    health: None,
    health_by_customer: false,
    breaker: true,
    revivable: true,
    made_with: Some("PUT /apirtc/webhook"),
};

/// Avaya Experience Platform, Digital Notification. The delays between attempts, and after how many errors a URL is unhealthy, are
/// bellwire's choice: they are not published.
pub const AVAYA: Profile = Profile {
    name: "avaya",
    catalogue: Some("avaya"),
    ports: Ports::Deployment,
    content_type: "application/json",
    user_agent: None,
    topic_header: None,
    render: render::avaya,
    proofs: &[Proof::Id],
    success: Statuses(&[(200, 200)]),
    retry: Statuses(&[(429, 429), (502, 504)]),
    final_: Statuses(&[(100, 199), (201, 428), (430, 501), (505, 599)]),
    gone: Statuses(&[]),
    retry_unreachable: true,
    retry_sandbox: true,
    schedule: &AVAYA_SCHEDULE,
    jitter_percent: 10,
    retry_after_max: Some(seconds(3600)),
    response_timeout: seconds(5),
    health: Some(HealthPolicy {
        failures: 5,
        over: seconds(60),
        disabled_after: seconds(8 * 3600),
        deleted_after: Some(seconds(7 * DAY)),
    }),
    health_by_customer: true,
    breaker: true,
    revivable: false,
    made_with: Some("POST /api/digital/webhook/v1/accounts/{accountId}/subscriptions"),
};

/// Enreach (formerly Benemen) webhooks. How often "a few times" is, and after how long, is bellwire's choice.
pub const ENREACH: Profile = Profile {
    name: "enreach",
    catalogue: Some("enreach"),
    ports: Ports::Only443,
    content_type: "application/json; charset=utf-8",
    user_agent: None,
    topic_header: Some("x-benemen-event"),
    render: render::enreach,
    proofs: &[],
    success: Statuses(&[(200, 200)]),
    retry: Statuses(&[(100, 199), (201, 599)]),
    final_: Statuses(&[]),
    gone: Statuses(&[]),
    retry_unreachable: true,
    retry_sandbox: true,
    schedule: &[seconds(5), seconds(30), seconds(120)],
    jitter_percent: 10,
    retry_after_max: None,
    response_timeout: seconds(10),
    health: None,
    health_by_customer: false,
    breaker: true,
    revivable: true,
    made_with: Some("PUT /enreach/webhooks, on the operators' listener"),
};

/// 5 s, and twice as long each time, up to 10 minutes: as long as the receiver can be unhealthy.
#[expect(clippy::indexing_slicing, reason = "the compiler does it, and would say so")]
const AVAYA_SCHEDULE: [Duration; 54] = {
    let mut schedule = [seconds(600); 54];
    let mut place = 0;
    while place < 7 {
        schedule[place] = seconds(5 << place);
        place += 1;
    }
    schedule
};

/// All that there are.
pub const PROFILES: [&Profile; 5] = [&STANDARD, &REAPIT, &APIRTC, &AVAYA, &ENREACH];

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
