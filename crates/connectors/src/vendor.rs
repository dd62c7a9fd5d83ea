//! The systems that are understood.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose callbacks a connector takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Enreach, formerly Benemen.
    Enreach,
    /// Avaya Experience Platform, Digital.
    Avaya,
    /// ApiRTC, also called Apizee.
    Apirtc,
}

/// Where a callback carries the connector's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPlace {
    /// In this header.
    Header(&'static str),
    /// Behind the connector's id in the path: the system can send no header of ours.
    Path,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Enreach, Self::Avaya, Self::Apirtc];

    /// The name on the command line and in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enreach => "enreach",
            Self::Avaya => "avaya",
            Self::Apirtc => "apirtc",
        }
    }

    /// The vendor of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.name() == name)
    }

    /// Where its callbacks carry the secret.
    #[must_use]
    pub fn secret_place(self) -> SecretPlace {
        match self {
            Self::Enreach => SecretPlace::Header("x-benemen-token"),
            Self::Avaya => SecretPlace::Path,
            Self::Apirtc => SecretPlace::Header("x-bellwire-token"),
        }
    }

    /// The header in which its callbacks name the event, where they do.
    #[must_use]
    pub fn event_header(self) -> Option<&'static str> {
        match self {
            Self::Enreach => Some("x-benemen-event"),
            Self::Avaya | Self::Apirtc => None,
        }
    }

    /// Whether its callbacks name nobody, so that the connector itself must say for whom calls ring.
    #[must_use]
    pub fn names_nobody(self) -> bool {
        match self {
            Self::Enreach | Self::Avaya => false,
            Self::Apirtc => true,
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
