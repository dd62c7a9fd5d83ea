//! Idempotency keys of calls that are on disk: written in the same commit as the call, so that a repeat after a crash adds nothing.

use jiff::{SignedDuration, Timestamp};
use protocol::id::{ClientId, CustomerId, IdempotencyKey};

/// For how long a key is remembered.
pub const IDEMPOTENCY_KEY_AGE_MAX: SignedDuration = SignedDuration::from_mins(10);

/// Who said which key with what.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The application.
    pub client_id: ClientId,
    /// The customer it spoke for, where a call is for one.
    pub customer: Option<CustomerId>,
    /// The key.
    pub key: IdempotencyKey,
    /// SHA-256 of the body.
    pub body: [u8; 32],
    /// What is answered, now and to every repeat.
    pub answer: String,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It was new, or there was no key: the call was written.
    First,
    /// It stands with the same body: nothing was written, this was the answer.
    Repeated(String),
    /// It stands with another body: nothing was written.
    Conflict,
}

/// A key that stands on disk, for the memory of a node that starts.
#[derive(Debug, Clone)]
pub struct KnownIdempotencyKey {
    /// Who said what.
    pub claim: Claim,
    /// When.
    pub created: Timestamp,
}

/// Returns the time, in Unix milliseconds, up to which keys are forgotten at `now`.
pub(crate) fn oldest(now: Timestamp) -> i64 {
    now.checked_sub(IDEMPOTENCY_KEY_AGE_MAX).unwrap_or(Timestamp::MIN).as_millisecond()
}
