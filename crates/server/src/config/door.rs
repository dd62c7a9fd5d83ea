//! Where the listeners are, their certificates, and who stands between clients and this node.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Value;

use super::Secret;
use super::read::{optional_path, optional_secret};
use super::reader::{self, Reader};

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

/// One listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<TlsFiles>,
}

/// The listener for providers and products, and the one for operators with what they must bring.
pub(super) fn listeners(reader: &mut Reader, dev: bool) -> Option<(Listener, Listener, Option<Secret>)> {
    let address = reader.get("http.listen", reader::parsed::<SocketAddr>);
    let ops_address = reader.get("ops.listen", reader::parsed::<SocketAddr>);
    let ops_token = reader.get("ops.token_file", optional_secret);
    check_addresses(reader, dev, (address, ops_address), ops_token.as_ref());
    let (tls, ops_tls) = (tls(reader, "http"), tls(reader, "ops"));
    Some((Listener { address: address?, tls: tls? }, Listener { address: ops_address?, tls: ops_tls? }, ops_token?))
}

fn check_addresses(
    reader: &mut Reader,
    dev: bool,
    (listen, ops_listen): (Option<SocketAddr>, Option<SocketAddr>),
    ops_token: Option<&Option<Secret>>,
) {
    let open = |address: Option<SocketAddr>| address.filter(|address| !address.ip().is_loopback());
    if let Some(address) = open(listen).filter(|_| dev) {
        reader.fault("http.listen", format!("{address} is not loopback, and --dev lets everybody in who knows its secret"));
    }
    match (open(ops_listen), ops_token) {
        (Some(address), Some(None)) => {
            reader.fault("ops.listen", format!("{address} is not loopback, so ops.token_file must name a secret"));
        }
        (Some(address), Some(Some(_))) if dev => {
            reader.fault("ops.listen", format!("{address} is not loopback, which --dev refuses"));
        }
        (Some(_) | None, _) => {}
    }
}

fn tls(reader: &mut Reader, section: &str) -> Option<Option<TlsFiles>> {
    let [certificate, key] = ["tls_certificate", "tls_key"].map(|name| format!("{section}.{name}"));
    let files = (reader.get(&certificate, optional_path)?, reader.get(&key, optional_path)?);
    match files {
        (Some(certificate), Some(key)) => Some(Some(TlsFiles { certificate, key })),
        (None, None) => Some(None),
        (Some(_), None) => {
            reader.fault(&key, format!("is missing: {certificate} needs its key"));
            None
        }
        (None, Some(_)) => {
            reader.fault(&certificate, format!("is missing: {key} is of no use without it"));
            None
        }
    }
}

/// Who stands between; whom to trust and what they say go together.
pub(super) fn proxies(reader: &mut Reader) -> Option<Proxies> {
    let trusted = reader.get("http.trusted_proxies", reader::parsed_list::<ipnet::IpNet>)?;
    let told_by = reader.get("http.client_address", told_by)?;
    match (trusted.is_empty(), told_by) {
        (true, ToldBy::Nobody) | (false, ToldBy::ProxyProtocol | ToldBy::Forwarded | ToldBy::XForwardedFor) => {
            Some(Proxies { trusted, told_by })
        }
        (true, _) => {
            reader.fault("http.trusted_proxies", "names nobody, so http.client_address is of no use");
            None
        }
        (false, ToldBy::Nobody) => {
            reader.fault("http.client_address", "must say how the proxies of http.trusted_proxies tell whose a request is");
            None
        }
    }
}

fn told_by(value: &Value) -> Result<ToldBy, String> {
    let text = reader::text(value)?;
    let found = TOLD_BY.iter().find(|(name, _)| *name == text).map(|(_, told_by)| *told_by);
    found.ok_or_else(|| format!("must be one of {}, got {text:?}", TOLD_BY.map(|(name, _)| name).join(", ")))
}
