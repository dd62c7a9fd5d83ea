//! Where a node is, and how it is reached: plainly, or with TLS.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::trust::{TrustError, authorities};

/// Where a node is. A text such as `127.0.0.1:8080` stands for one without TLS.
#[derive(Debug, Clone)]
pub struct Address {
    authority: String,
    tls: Option<Arc<ClientConfig>>,
}

/// Why that is no address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is no URL of a listener.
    #[error("must be a URL such as http://127.0.0.1:8080 or https://bellwire.example, got {0:?}")]
    Url(String),
    /// The certificates of `ca_file` cannot be used.
    #[error(transparent)]
    Certificates(#[from] TrustError),
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Both directions of a connection.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl<T: Into<String>> From<T> for Address {
    fn from(authority: T) -> Self {
        Self { authority: authority.into(), tls: None }
    }
}

impl Address {
    /// Reads `http://host:port` or `https://host`. `ca_file`: certificates (PEM) that are trusted beside those of the web.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(url: &str, ca_file: Option<&Path>) -> Result<Self, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| AddressError::Url(url.to_owned()))?;
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let tls = match scheme {
            "http" => None,
            "https" => Some(Arc::new(trusting(ca_file)?)),
            _ => return Err(AddressError::Url(url.to_owned())),
        };
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err(AddressError::Url(url.to_owned()));
        }
        let (_, bracketed) = host.rsplit_once(']').unwrap_or(("", host));
        let port = if tls.is_some() { ":443" } else { ":80" };
        let authority = if bracketed.contains(':') { host.to_owned() } else { format!("{host}{port}") };
        Ok(Self { authority, tls })
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls.clone()).connect(name, stream).await?))
    }
}

fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, AddressError> {
    let roots = authorities(ca_file)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| AddressError::Setup(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("https://bellwire.example", "bellwire.example:443"),
            ("https://[::1]", "[::1]:443"),
            ("https://[::1]:8443", "[::1]:8443"),
            ("http://localhost", "localhost:80"),
        ] {
            let address = Address::parse(url, None).unwrap();
            assert_eq!((address.authority(), address.tls.is_some()), (expected, url.starts_with("https")), "{url}");
        }
        for url in ["127.0.0.1:8080", "ftp://x", "http://", "https://x/path", "http://x?y", "http://user@x"] {
            assert!(matches!(Address::parse(url, None), Err(AddressError::Url(said)) if said == url), "{url}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_said() {
        let error = Address::parse("https://x", Some(Path::new("/nonexistent/ca.pem"))).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/ca.pem: "), "{error}");
        let error = Address::parse("https://x", Some(Path::new("Cargo.toml"))).unwrap_err().to_string();
        assert_eq!(error, "Cargo.toml: it holds no certificate in PEM");
    }
}
