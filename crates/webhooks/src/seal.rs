//! Secrets at rest: sealed with a key that does not stand in the database, so that a copy of the database gives none away.
//!
//! AES-256-GCM-SIV (RFC 8452) with a random nonce; what a secret is for is authenticated with it, so that one row's secret is of no
//! use in another's place.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("key file {path}: cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("key file {path}: must hold {KEY_BYTES} bytes in base64 (`openssl rand -base64 {KEY_BYTES}`)")]
    Content {
        /// The file.
        path: PathBuf,
    },
}

/// A secret that this node's key does not open: it was sealed with another one, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret cannot be opened with this key: it was sealed with another one, or for something else")]
pub struct Unopened;

/// Seals and opens.
pub struct Sealer {
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Sealer {
    /// Uses this key.
    ///
    /// # Errors
    /// [`Unopened`] where the cipher does not take it.
    pub fn new(key: &[u8; KEY_BYTES]) -> Result<Self, Unopened> {
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM_SIV, key).map_err(|_unspecified| Unopened)? })
    }

    /// Uses the key in a file, which is made, for its owner alone, where it is missing.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let mut text = String::new();
        match OpenOptions::new().read(true).open(path) {
            Ok(mut found) => drop(found.read_to_string(&mut text).map_err(file)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => text = make(path).map_err(file)?,
            Err(error) => return Err(file(error)),
        }
        let content = || KeyError::Content { path: path.to_owned() };
        let key = STANDARD.decode(text.trim()).ok().and_then(|key| <[u8; KEY_BYTES]>::try_from(key).ok()).ok_or_else(content)?;
        Self::new(&key).map_err(|Unopened| content())
    }

    /// Seals a secret for `purpose`.
    ///
    /// # Errors
    /// [`Unopened`] where the system gives no randomness.
    pub fn seal(&self, secret: &[u8], purpose: &str) -> Result<String, Unopened> {
        let mut sealed = secret.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed);
        let nonce = nonce.map_err(|_unspecified| Unopened)?;
        Ok(STANDARD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed for `purpose`.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn unseal(&self, sealed: &str, purpose: &str) -> Result<Vec<u8>, Unopened> {
        let bytes = STANDARD.decode(sealed).map_err(|_not_base64| Unopened)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or(Unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_unspecified| Unopened)?;
        let mut sealed = sealed.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut sealed);
        Ok(opened.map_err(|_unspecified| Unopened)?.to_vec())
    }
}

fn make(path: &Path) -> std::io::Result<String> {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_unspecified| std::io::Error::other("no randomness"))?;
    let text = format!("{}\n", STANDARD.encode(key));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_opened_for_its_purpose_alone() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let sealed = sealer.seal(b"secret", "subscription 1").unwrap();
        assert_eq!(sealer.unseal(&sealed, "subscription 1").unwrap(), b"secret");
        assert_eq!(sealer.unseal(&sealed, "subscription 2"), Err(Unopened));
        assert_eq!(Sealer::new(&[8; 32]).unwrap().unseal(&sealed, "subscription 1"), Err(Unopened));
        assert_ne!(sealer.seal(b"secret", "subscription 1").unwrap(), sealed, "a nonce of its own each time");
        assert_eq!(sealer.unseal("AAAA", "x"), Err(Unopened));
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let sealed = Sealer::open(&path).unwrap().seal(b"secret", "x").unwrap();
        assert_eq!(Sealer::open(&path).unwrap().unseal(&sealed, "x").unwrap(), b"secret");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "c2hvcnQ=\n").unwrap();
        assert!(matches!(Sealer::open(&path), Err(KeyError::Content { .. })));
    }
}
