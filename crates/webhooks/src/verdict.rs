//! What an attempt means: taken, again at a time, or given up; with the sentence that says why. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::profile::Profile;

/// How an attempt went, as far as the connection tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// The status.
        status: u16,
        /// Its `Retry-After`, as it stands.
        retry_after: Option<String>,
    },
    /// It did not.
    Unreachable(Unreachable),
}

/// How long a receiver is left alone that says 429, 502 or 504, and not for how long: Standard Webhooks 1.0.0 asks to throttle then.
const PAUSE: Duration = Duration::from_secs(5);
/// The phases that are told apart in general words.
pub(crate) const RESOLVING: &str = "resolving the host's name";

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The name has no address, or the name servers did not answer.
    #[error("the host's name could not be resolved: {0}")]
    Resolve(String),
    /// An address of the name is one that nothing is sent to.
    #[error("nothing is sent there: {0}")]
    Forbidden(String),
    /// No connection came about.
    #[error("no connection: {0}")]
    Connect(String),
    /// TLS did not come about.
    #[error("no TLS: {0}")]
    Tls(String),
    /// A phase took too long.
    #[error("{phase} took longer than {} s", limit.as_secs())]
    TimedOut {
        /// What took too long.
        phase: &'static str,
        /// How long it could take.
        limit: Duration,
    },
    /// The connection ended, or what came is no HTTP answer.
    #[error("the connection failed before an answer was there: {0}")]
    Broken(String),
}

impl Unreachable {
    /// What is told to whoever chose the URL: nothing that would let them look around in this network.
    #[must_use]
    pub fn coarse(&self) -> &'static str {
        match self {
            Self::Resolve(_) | Self::TimedOut { phase: RESOLVING, .. } => "the host's name could not be resolved",
            Self::Forbidden(_) | Self::Connect(_) | Self::TimedOut { phase: "connecting", .. } => "no connection came about",
            Self::Tls(_) | Self::TimedOut { phase: "TLS", .. } => "no TLS came about",
            Self::TimedOut { .. } => "the answer took too long",
            Self::Broken(_) => "the connection ended before an answer was there",
        }
    }
}

/// What becomes of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It was taken.
    Delivered,
    /// It is sent again.
    Retry(Timestamp),
    /// It is given up.
    Dead,
    /// It is given up, and nothing is sent to the endpoint any more.
    Gone,
}

/// What an attempt means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the delivery.
    pub decision: Decision,
    /// How long the receiver asks to be left alone.
    pub pause: Option<Duration>,
    /// Why, for the one who reads the log.
    pub why: String,
}

/// What is known when an attempt is judged.
#[derive(Debug, Clone, Copy)]
pub struct Attempted {
    /// How often the delivery has failed before.
    pub failures: u32,
    /// Whether the event is of a sandbox.
    pub sandbox: bool,
    /// When the attempt ended.
    pub now: Timestamp,
    /// A random share, 0 to 1, of the jitter.
    pub jitter: f64,
}

/// Judges an attempt by the rules of a profile. The sets are asked in the order success, gone, final, retry, so that a status that
/// ends a delivery is never sent again.
#[must_use]
pub fn judge(profile: &Profile, answer: &Answer, attempted: Attempted) -> Verdict {
    let verdict = |decision, why| Verdict { decision, pause: None, why };
    match answer {
        Answer::Status { status, .. } if profile.success.contains(*status) => {
            verdict(Decision::Delivered, format!("{status} is success under the profile {}", profile.name))
        }
        Answer::Status { status, .. } if profile.gone.contains(*status) => verdict(
            Decision::Gone,
            format!("{status} says that nobody is there any more: not retried, and the subscription is disabled"),
        ),
        Answer::Status { status, .. } if profile.final_.contains(*status) => {
            verdict(Decision::Dead, format!("not retried: {status} is final under the profile {}", profile.name))
        }
        Answer::Status { status, retry_after } => {
            let asked = retry_after.as_deref().and_then(|text| wait_asked(text, attempted.now));
            let asked = profile.retry_after_max.and_then(|max| asked.map(|asked| asked.min(max)));
            let mut verdict =
                again(profile, attempted, asked, &format!("{status} is not success under the profile {}", profile.name));
            let unasked = profile.retry_after_max.map(|_| PAUSE).filter(|_| matches!(status, 429 | 502 | 504));
            verdict.pause = asked.filter(|_| matches!(status, 429 | 502 | 503 | 504)).or(unasked);
            verdict
        }
        Answer::Unreachable(unreachable) if profile.retry_unreachable => {
            again(profile, attempted, None, &unreachable.to_string())
        }
        Answer::Unreachable(unreachable) => verdict(Decision::Dead, format!("not retried: {unreachable}")),
    }
}

fn again(profile: &Profile, attempted: Attempted, asked: Option<Duration>, reason: &str) -> Verdict {
    let dead = |why| Verdict { decision: Decision::Dead, pause: None, why };
    if attempted.sandbox && !profile.retry_sandbox {
        return dead(format!("not retried: {reason}, and the profile {} does not retry events of a sandbox", profile.name));
    }
    let place = usize::try_from(attempted.failures).unwrap_or(usize::MAX);
    let Some(wait) = profile.schedule.get(place) else {
        return dead(format!("not retried: {reason}, and this was attempt {} of {}", place + 1, profile.schedule.len() + 1));
    };
    let jitter = wait.mul_f64(attempted.jitter.clamp(0.0, 1.0) * f64::from(profile.jitter_percent) / 100.0);
    let wait = (*wait + jitter).max(asked.unwrap_or_default());
    let at = attempted.now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let because = if asked.is_some_and(|asked| asked >= wait) { ", as its Retry-After asks" } else { "" };
    Verdict { decision: Decision::Retry(at), pause: None, why: format!("retried in {} s{because}: {reason}", wait.as_secs()) }
}

/// `Retry-After` (RFC 9110 §10.2.3) as a wait: seconds or a date; what is neither, or past, asks nothing.
fn wait_asked(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Duration::try_from(at.duration_since(now)).ok()
}

#[cfg(test)]
mod tests;
