//! Why there are no new keys: for whoever reads the log.

use std::io;

use hyper::StatusCode;
use outbound::trust::TrustError;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It cannot be read or reached.
    #[error("{place} cannot be read")]
    Unread {
        /// The file or URL.
        place: String,
        /// What the system, or TLS, said.
        source: io::Error,
    },
    /// It speaks no HTTP, or broke off.
    #[error("{place} gave no whole answer")]
    Broken {
        /// The URL.
        place: String,
        /// What is wrong.
        source: hyper::Error,
    },
    /// It took too long.
    #[error("{place} gave no whole answer within the {seconds} s that a reading can take")]
    TimedOut {
        /// The URL.
        place: String,
        /// How long it can take.
        seconds: u64,
    },
    /// The answer is no success; redirects are not followed.
    #[error("{place} answered {status}{}", .location.as_ref().map(|to| format!(", which is not followed, to {to}")).unwrap_or_default())]
    Status {
        /// The URL.
        place: String,
        /// What it answered.
        status: StatusCode,
        /// Where a redirect leads.
        location: Option<String>,
    },
    /// It is longer than a key set can be.
    #[error("{place} has more than {max} bytes")]
    TooLarge {
        /// The file or URL.
        place: String,
        /// How long it can be.
        max: usize,
    },
    /// It is not what it should be.
    #[error("{place} is no {what}")]
    Json {
        /// The file or URL.
        place: String,
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It has more keys than a key set can have.
    #[error("{place} has {count} keys, more than {max}")]
    TooMany {
        /// The file or URL.
        place: String,
        /// How many it has.
        count: usize,
        /// How many it can have.
        max: usize,
    },
    /// It has no key that can verify a token.
    #[error("{place} has no usable key: RSA, EC (P-256, P-384) and OKP (Ed25519) keys for signatures are")]
    Empty {
        /// The file or URL.
        place: String,
    },
    /// It is another issuer's.
    #[error("{place} is of the issuer {theirs:?}, which is not {ours:?} (OpenID Connect Discovery 1.0 §4.3)")]
    Issuer {
        /// The URL.
        place: String,
        /// Whom it is of.
        theirs: String,
        /// Whom it should be of.
        ours: String,
    },
    /// The place that it names for the keys is none.
    #[error("{place} says that the keys are at {url:?}, which {fault}")]
    KeysUrl {
        /// The URL that says so.
        place: String,
        /// What it says.
        url: String,
        /// What is wrong with that.
        fault: String,
    },
    /// The file of certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}
