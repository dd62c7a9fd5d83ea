//! What is read and written as a whole: directories, connectors, subscriptions. Opaque here, JSON to those who read it.

use std::fmt::Display;

/// Returns what was read of a document. One that cannot be read is logged and left out: it concerns one customer or one endpoint,
/// and must not keep the node from starting.
pub fn readable<T>(kind: Kind, id: &str, read: Result<T, impl Display>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(kind = kind.name(), id, %error, "a document cannot be read")).ok()
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The people of a customer.
    Directory,
    /// Whose callbacks are taken, and for whom.
    Connector,
    /// Which events go to which URL.
    Subscription,
    /// With what an application's deliveries are signed.
    SigningKey,
    /// How the receivers behind a callback URL are.
    Health,
    /// Deliveries that are queued anew, step by step.
    Replay,
    /// Which customer an id of a vendor's is.
    Account,
}

impl Kind {
    /// Returns the word that stands for it on disk.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Connector => "connector",
            Self::Subscription => "subscription",
            Self::SigningKey => "signing key",
            Self::Health => "health",
            Self::Replay => "replay",
            Self::Account => "account",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_cannot_be_read_is_left_out() {
        assert_eq!(readable(Kind::Account, "1", "7".parse::<u8>()), Some(7));
        assert_eq!(readable(Kind::Account, "1", "seven".parse::<u8>()), None);
    }
}
