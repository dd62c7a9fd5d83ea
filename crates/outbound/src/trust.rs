//! Who is trusted to say whose a certificate is: the authorities of the web, and those of a file.
//!
//! Made once, at the start; its sessions of TLS are remembered, so that the next hand-shake with the same host is a short one.

mod unverified; // whatever certificate comes

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use self::unverified::Unverified;

/// What is spoken over TLS (ALPN, RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";

/// Whom to trust; cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust(pub(crate) Arc<ClientConfig>);

/// Why there is nobody to trust. A fault is a part of the sentence, since the sentence stands alone in a list of faults.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is broken PEM.
    #[error("{path}: {fault}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: pem::Error,
    },
    /// The file holds no certificate.
    #[error("{path}: it holds no certificate in PEM")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate of the file is none of an authority.
    #[error("{path}: {fault}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: rustls::Error,
    },
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl Trust {
    /// Returns trust in the authorities of the web, and in those of `ca_file` (PEM).
    ///
    /// # Errors
    /// [`TrustError`]: a `ca_file` without a certificate is refused, as nothing that it is there for would work.
    pub fn authorities(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let roots = roots(ca_file)?;
        Ok(Self::of(builder()?.with_root_certificates(roots)))
    }

    /// Returns trust in whatever certificate comes, if its owner has its key: for receivers of which this is known, and said.
    ///
    /// # Errors
    /// [`TrustError::Setup`].
    pub fn unverified() -> Result<Self, TrustError> {
        let taken = Arc::new(Unverified(Arc::new(default_provider())));
        Ok(Self::of(builder()?.dangerous().with_custom_certificate_verifier(taken)))
    }

    fn of(builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Self {
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Self(Arc::new(config))
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TrustError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    builder.with_safe_default_protocol_versions().map_err(TrustError::Setup)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let Some(path) = ca_file else { return Ok(roots) };
    let unreadable = |fault| TrustError::Unreadable { path: path.to_owned(), fault };
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let added = roots.add(certificate.map_err(unreadable)?);
        added.map_err(|fault| TrustError::Certificate { path: path.to_owned(), fault })?;
    }
    if roots.len() == before {
        return Err(TrustError::Empty { path: path.to_owned() });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
