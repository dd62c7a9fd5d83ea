//! Where the listeners are, their certificates, and who stands between clients and this node.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Value;

use super::Config;
use super::reader::Reader;
use super::values::{optional_path, parsed_list, text};

/// Where a listener's certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Who stands between clients and this node.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Who is believed.
    pub trusted: Vec<ipnet::IpNet>,
    /// How they say whose a connection or a request is.
    pub told_by: ToldBy,
}

/// How a proxy says whose a connection or a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ToldBy {
    /// It does not.
    #[default]
    Nobody,
    /// At the begin of a connection.
    ProxyProtocol,
    /// By the header of RFC 7239.
    Forwarded,
    /// By the header that came before it.
    XForwardedFor,
}

/// How [`ToldBy`] is written.
const TOLD_BY: [(&str, ToldBy); 4] = [
    ("nobody", ToldBy::Nobody),
    ("proxy-protocol", ToldBy::ProxyProtocol),
    ("forwarded", ToldBy::Forwarded),
    ("x-forwarded-for", ToldBy::XForwardedFor),
];

/// Holds the addresses of the listeners against what protects them.
pub(super) fn check(reader: &mut Reader, config: &Config) {
    let open = |address: SocketAddr| (!address.ip().is_loopback()).then_some(address);
    if let Some(address) = open(config.listen).filter(|_| config.dev) {
        reader.fault("http.listen", format!("{address} is not loopback, and --dev lets everybody in who knows its secret"));
    }
    match (open(config.ops_listen), &config.ops_token) {
        (Some(address), None) => {
            let message = format!("{address} is not loopback, so ops.token_file must name a secret");
            reader.conflict("ops.listen", "ops.token_file", message);
        }
        (Some(address), Some(_)) if config.dev => {
            reader.fault("ops.listen", format!("{address} is not loopback, which --dev refuses"));
        }
        (Some(_) | None, _) => {}
    }
}

/// The certificate of the listener in `section`; it and its key go together.
pub(super) fn tls(reader: &mut Reader, section: &str) -> Option<TlsFiles> {
    let [certificate, key] = ["tls_certificate", "tls_key"].map(|name| format!("{section}.{name}"));
    match (reader.get(&certificate, optional_path), reader.get(&key, optional_path)) {
        (Some(certificate), Some(key)) => return Some(TlsFiles { certificate, key }),
        (None, None) => {}
        (Some(_), None) => reader.conflict(&key, &certificate, format!("is missing: {certificate} needs its key")),
        (None, Some(_)) => reader.conflict(&certificate, &key, format!("is missing: {key} is of no use without it")),
    }
    None
}

/// Who stands between; whom to trust and what they say go together.
pub(super) fn proxies(reader: &mut Reader) -> Proxies {
    let (trusted, told_by) = ("http.trusted_proxies", "http.client_address");
    let proxies = Proxies { trusted: reader.get(trusted, parsed_list), told_by: reader.get(told_by, read_told_by) };
    match (proxies.trusted.is_empty(), proxies.told_by) {
        (true, ToldBy::Nobody) | (false, ToldBy::ProxyProtocol | ToldBy::Forwarded | ToldBy::XForwardedFor) => {}
        (true, _) => reader.conflict(trusted, told_by, "names nobody, so http.client_address is of no use"),
        (false, ToldBy::Nobody) => {
            let message = "must say how the proxies of http.trusted_proxies tell whose a request is";
            reader.conflict(told_by, trusted, message);
        }
    }
    proxies
}

fn read_told_by(value: &Value) -> Result<ToldBy, String> {
    let text = text(value)?;
    let found = TOLD_BY.iter().find(|(name, _)| *name == text).map(|(_, told_by)| *told_by);
    found.ok_or_else(|| format!("must be one of {}, got {text:?}", TOLD_BY.map(|(name, _)| name).join(", ")))
}
