//! The systems that are understood: one file each, and the one place that knows all of them.

mod enreach; // Enreach (Benemen): users and queues
mod avaya; // Avaya Experience Platform: engagements and participants
mod apirtc; // ApiRTC (Apizee): tickets and conversations

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::callback::{Callback, UnreadableCallback, key};
use crate::fact::{Note, Reading};
use crate::people::People;

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

    /// Returns the name on the command line and in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enreach => "enreach",
            Self::Avaya => "avaya",
            Self::Apirtc => "apirtc",
        }
    }

    /// Returns the vendor of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.name() == name)
    }

    /// Returns where its callbacks carry the secret.
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

/// Reads a callback of `vendor`. `rings_for` are those for whom calls ring where the vendor names nobody.
///
/// # Errors
/// [`UnreadableCallback`], which says why. Avaya's are never refused.
pub fn read(
    vendor: Vendor,
    callback: Callback<'_>,
    people: People<'_>,
    rings_for: &[String],
) -> Result<Reading, UnreadableCallback> {
    match understand(vendor, callback, people, rings_for) {
        // Avaya wants 200 whatever comes: what is an error to it disables the subscription.
        Err(_) if vendor == Vendor::Avaya => Ok(Reading::new(key(&[callback.body])).noted(Note::Unreadable)),
        read => read,
    }
}

fn understand(
    vendor: Vendor,
    callback: Callback<'_>,
    people: People<'_>,
    rings_for: &[String],
) -> Result<Reading, UnreadableCallback> {
    let value: Value = serde_json::from_slice(callback.body)?;
    let Value::Object(members) = value else { return Err(UnreadableCallback::NoObject) };
    match vendor {
        Vendor::Enreach => enreach::read(callback, &members, people),
        Vendor::Avaya => avaya::read(callback, &members, people),
        Vendor::Apirtc => apirtc::read(callback, &members, rings_for),
    }
}
