//! Where keys come from: a file, a URL, or what the issuer tells of itself (OpenID Connect Discovery 1.0).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Clock;
use serde::Deserialize;
use url::Url;

use super::error::KeysError;
use super::fetch::{BODY_BYTES_MAX, Fetcher};
use super::jwk::{self, KeySet};
use crate::config::issuers::provider_url;

/// How long a reading can take, whatever it is made of.
pub(super) const READING_LIMIT: Duration = Duration::from_secs(5);
/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(30);

/// Where the keys of an issuer come from.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Web { begin: Begin, fetcher: Fetcher, interval: Duration },
}

/// Where the way to the keys begins.
#[derive(Debug)]
pub(super) enum Begin {
    Keys(Url),
    /// What the issuer tells of itself, and its name.
    Discovery {
        document: Url,
        issuer: String,
    },
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    /// Returns how old the keys can become before they are read again.
    pub(super) fn interval(&self) -> Duration {
        match self {
            Self::File(_) => FILE_INTERVAL,
            Self::Web { interval, .. } => *interval,
        }
    }

    /// Reads the keys, within [`READING_LIMIT`].
    ///
    /// # Errors
    /// [`KeysError`].
    pub(super) async fn read(&self, clock: &Clock) -> Result<KeySet, KeysError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path));
                read.await.unwrap_or_else(|error| {
                    let place = "file".to_owned();
                    Err(KeysError::Unread { place, source: io::Error::other(error) })
                })
            }
            Self::Web { begin, fetcher, .. } => {
                let reading = Reading { fetcher, end: clock.running() + READING_LIMIT };
                match begin {
                    Begin::Keys(url) => reading.keys(url).await,
                    Begin::Discovery { document, issuer } => reading.keys(&reading.discover(document, issuer).await?).await,
                }
            }
        }
    }
}

/// A reading that must come to its end in time.
struct Reading<'a> {
    fetcher: &'a Fetcher,
    end: Duration,
}

impl Reading<'_> {
    async fn keys(&self, url: &Url) -> Result<KeySet, KeysError> {
        jwk::read(&self.fetcher.get(url, self.end).await?, url.as_str())
    }

    /// Returns where the issuer says that its keys are.
    async fn discover(&self, url: &Url, issuer: &str) -> Result<Url, KeysError> {
        let (text, place) = (self.fetcher.get(url, self.end).await?, url.to_string());
        let what = "OpenID provider's configuration (OpenID Connect Discovery 1.0 §4.2)";
        let document = serde_json::from_slice(&text);
        let Document { issuer: theirs, jwks_uri } =
            document.map_err(|source| KeysError::Json { place: place.clone(), what, source })?;
        if theirs != issuer {
            return Err(KeysError::Issuer { place, theirs, ours: issuer.to_owned() });
        }
        provider_url(&jwks_uri).map_err(|fault| KeysError::KeysUrl { place, url: jwks_uri, fault })
    }
}

/// Reads the key set in a file.
///
/// # Errors
/// [`KeysError`].
pub(super) fn read_file(path: &Path) -> Result<KeySet, KeysError> {
    let place = path.display().to_string();
    let mut text = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text));
    read.map_err(|source| KeysError::Unread { place: place.clone(), source })?;
    if text.len() > BODY_BYTES_MAX {
        return Err(KeysError::TooLarge { place, max: BODY_BYTES_MAX });
    }
    jwk::read(&text, &place)
}
