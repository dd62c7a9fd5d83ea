//! Where a node is, and how it is reached: plainly, or with TLS.

use std::future::pending;
use std::io;
use std::path::Path;

use outbound::error::OutboundError;
use outbound::stream::{Destination, Stream};
use outbound::trust::{Trust, TrustError};

/// Where a node is. A text such as `127.0.0.1:8080` stands for one without TLS.
#[derive(Debug, Clone)]
pub struct Address {
    authority: String,
    trust: Option<Trust>,
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
}

impl<T: Into<String>> From<T> for Address {
    fn from(authority: T) -> Self {
        Self { authority: authority.into(), trust: None }
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
        let trust = match scheme {
            "http" => None,
            "https" => Some(Trust::authorities(ca_file)?),
            _ => return Err(AddressError::Url(url.to_owned())),
        };
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err(AddressError::Url(url.to_owned()));
        }
        let (_, bracketed) = host.rsplit_once(']').unwrap_or(("", host));
        let port = if trust.is_some() { ":443" } else { ":80" };
        let authority = if bracketed.contains(':') { host.to_owned() } else { format!("{host}{port}") };
        Ok(Self { authority, trust })
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Connects, for as long as the system tries: the limit is that of whoever asks.
    pub(crate) async fn connect(&self) -> Result<Stream, OutboundError> {
        let (host, port) = self.authority.rsplit_once(':').ok_or_else(|| self.unnamed())?;
        let port = port.parse().map_err(|_invalid| self.unnamed())?;
        let to = Destination { host: host.trim_matches(['[', ']']), port, trust: self.trust.as_ref() };
        Stream::open(to, pending, pending()).await
    }

    fn unnamed(&self) -> OutboundError {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "invalid socket address");
        OutboundError::Resolve { name: self.authority.clone(), source }
    }
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
            assert_eq!((address.authority(), address.trust.is_some()), (expected, url.starts_with("https")), "{url}");
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
