//! A certificate chain and its key (PEM), as they are in their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self};

use super::validity::not_after;
use crate::causes::with_causes;
use crate::config::TlsFiles;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no {what} in PEM (RFC 7468)")]
    Pem {
        /// The file.
        path: PathBuf,
        /// A certificate or a key.
        what: &'static str,
        /// What is wrong.
        source: pem::Error,
    },
    /// The first certificate of the chain is none.
    #[error("{path} holds no certificate that can be read (RFC 5280)")]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that cannot be used, or belongs to another certificate.
    #[error("the key in {key} does not go with the certificate in {certificate}")]
    Key {
        /// The file with the chain.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// What is shown to clients.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    // Guards what is shown; held to clone a pointer, and to put a new one.
    current: RwLock<Arc<Read>>,
    /// What was last found wrong, so that it is told once.
    fault: Mutex<Option<String>>,
}

/// What the files held when they were read.
#[derive(Debug)]
struct Read {
    /// SHA-256 of both, to see whether they change.
    digest: [u8; 32],
    shown: Arc<CertifiedKey>,
    expires: Timestamp,
}

impl Certificate {
    pub(super) fn open(files: &TlsFiles) -> Result<Self, CertificateError> {
        let read = parse(files, &texts(files)?)?;
        Ok(Self { files: files.clone(), current: RwLock::new(Arc::new(read)), fault: Mutex::new(None) })
    }

    pub(super) fn expires(&self) -> Timestamp {
        self.current().expires
    }

    pub(super) fn refresh(&self) {
        let path = self.files.certificate.display();
        let is_same = |texts: &Texts| digest(texts) == self.current().digest;
        let read =
            texts(&self.files).and_then(|texts| if is_same(&texts) { Ok(None) } else { parse(&self.files, &texts).map(Some) });
        let fault = read.as_ref().err().map(with_causes);
        let is_new = std::mem::replace(&mut *self.fault.lock().unwrap_or_else(PoisonError::into_inner), fault.clone()) != fault;
        match read {
            Ok(Some(read)) => {
                tracing::info!(%path, expires = %read.expires, "certificate read again: it has changed");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
            }
            Err(error) if is_new => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%path, error, expires = %self.expires(), "certificate not read: the one before goes on");
            }
            Ok(None) | Err(_) => {}
        }
    }

    fn current(&self) -> Arc<Read> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().shown.clone())
    }
}

/// Chain and key.
type Texts = (Vec<u8>, Vec<u8>);

fn digest((chain, key): &Texts) -> [u8; 32] {
    Sha256::new().chain_update(Sha256::digest(chain)).chain_update(Sha256::digest(key)).finalize().into()
}

fn texts(files: &TlsFiles) -> Result<Texts, CertificateError> {
    let read = |path: &Path| fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source });
    Ok((read(&files.certificate)?, read(&files.key)?))
}

fn parse(files: &TlsFiles, texts: &Texts) -> Result<Read, CertificateError> {
    let TlsFiles { certificate, key } = files;
    let failed = |path: &PathBuf, what| {
        let path = path.clone();
        move |source| CertificateError::Pem { path, what, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&texts.0).collect();
    let chain = chain.map_err(failed(certificate, "certificate"))?;
    let private = PrivateKeyDer::from_pem_slice(&texts.1).map_err(failed(key, "private key"))?;
    let unreadable = || CertificateError::Unreadable { path: certificate.clone() };
    let expires = chain.first().and_then(|first| not_after(first)).ok_or_else(unreadable)?;
    let shown = CertifiedKey::from_der(chain, private, &default_provider());
    let shown = shown.map_err(|source| CertificateError::Key { certificate: certificate.clone(), key: key.clone(), source })?;
    Ok(Read { digest: digest(texts), shown: Arc::new(shown), expires })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// Writes a certificate that ends in this year.
    fn issue(files: &TlsFiles, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["bellwire.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
    }

    fn year(certificate: &Certificate) -> String {
        certificate.expires().to_string()[..4].to_owned()
    }

    #[test]
    fn a_new_certificate_is_shown_and_an_unusable_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        issue(&files, 2031);
        let certificate = Certificate::open(&files).unwrap();
        let shown = certificate.current().shown.clone();
        certificate.refresh();
        assert!(Arc::ptr_eq(&shown, &certificate.current().shown), "nothing has changed");
        issue(&files, 2032);
        certificate.refresh();
        assert_eq!(year(&certificate), "2032");
        // The chain was renewed, and its key not yet.
        let key = fs::read(&files.key).unwrap();
        issue(&files, 2033);
        fs::write(&files.key, key).unwrap();
        certificate.refresh();
        assert_eq!(year(&certificate), "2032");
        fs::remove_file(&files.certificate).unwrap();
        certificate.refresh();
        assert_eq!(year(&certificate), "2032");
        issue(&files, 2034);
        certificate.refresh();
        assert_eq!(year(&certificate), "2034");
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        let said = || Certificate::open(&files).unwrap_err().to_string();
        assert!(said().ends_with("chain.pem cannot be read"), "{}", said());
        issue(&files, 2031);
        fs::write(&files.key, "no key").unwrap();
        assert!(said().ends_with("key.pem holds no private key in PEM (RFC 7468)"), "{}", said());
        issue(&files, 2031);
        fs::write(&files.certificate, "no certificate").unwrap();
        assert!(said().ends_with("chain.pem holds no certificate that can be read (RFC 5280)"), "{}", said());
        let other = TlsFiles { key: folder.path().join("other.pem"), ..files.clone() };
        issue(&other, 2031);
        issue(&files, 2031);
        let said = Certificate::open(&other).unwrap_err().to_string();
        assert!(said.contains("does not go with the certificate"), "{said}");
    }
}
