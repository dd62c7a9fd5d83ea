//! What is read and written as a whole: directories, connectors, subscriptions. Opaque here, JSON to those who read it.

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
