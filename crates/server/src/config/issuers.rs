//! `[[auth.issuers]]`: who may issue tokens, and where the keys come from that these are verified with.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use url::{Host, Url};

use super::reader::Reader;
use super::{DEV_ISSUER, Issuer, Keys, Purpose, values};

/// Where keys can come from; an issuer has one of them.
const SOURCES: [&str; 4] = ["discovery", "jwks_url", "jwks_file", "secret_file"];
const KNOWN: [&str; 6] = ["issuer", "audience", "discovery", "jwks_url", "jwks_file", "secret_file"];
/// OpenID Connect Discovery 1.0 §4.1.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// Reads all issuers, and adds that of `--dev`. Who serves must trust somebody.
pub(super) fn issuers(reader: &mut Reader, purpose: Purpose) -> Vec<Issuer> {
    let mut issuers = reader.issuers(read_issuer);
    // Faulty ones are left out, so that beside them the places are not those of the file.
    if !reader.is_faulty("auth.issuers") {
        let is_repeated = |place: usize, issuer: &Issuer| issuers.iter().take(place).any(|other| other.name == issuer.name);
        for (place, issuer) in issuers.iter().enumerate().filter(|(place, issuer)| is_repeated(*place, issuer)) {
            reader.fault(&format!("auth.issuers[{place}].issuer"), format!("{:?} stands there twice", issuer.name));
        }
    }
    match purpose {
        Purpose::Develop(secret) => {
            issuers.push(Issuer { name: DEV_ISSUER.to_owned(), audience: None, keys: Keys::Secret(secret) });
        }
        Purpose::Serve if issuers.is_empty() && !reader.is_faulty("auth.issuers") => reader
            .fault("auth.issuers", "names nobody, so no token is good; add an issuer, or start with --dev to try things out"),
        Purpose::Serve | Purpose::Folder => {}
    }
    issuers
}

fn read_issuer(table: &Table) -> Result<Issuer, Vec<(String, String)>> {
    let mut faults = Vec::new();
    for unknown in table.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        faults.push((unknown.clone(), format!("is not known here; known are {}", KNOWN.join(", "))));
    }
    let (name, audience) = (text(table, "issuer", &mut faults), text(table, "audience", &mut faults));
    if name.as_ref().is_none_or(String::is_empty) && !faults.iter().any(|(key, _)| key == "issuer") {
        faults.push((String::new(), "issuer is required".to_owned()));
    }
    let keys = read_keys(table, name.as_deref(), &mut faults);
    match (name, keys) {
        (Some(name), Some(keys)) if faults.is_empty() => Ok(Issuer { name, audience, keys }),
        _ => Err(faults),
    }
}

fn read_keys(table: &Table, name: Option<&str>, faults: &mut Vec<(String, String)>) -> Option<Keys> {
    let mut given = SOURCES.into_iter().filter(|key| table.get(*key).is_some_and(|value| value != &Value::Boolean(false)));
    let Some(source) = given.next() else {
        faults.push((String::new(), format!("one of {} is required", SOURCES.join(", "))));
        return None;
    };
    faults.extend(given.map(|other| (other.to_owned(), format!("is one too many: the keys come from {source}"))));
    let keys = match source {
        "discovery" => match table.get(source) {
            Some(Value::Boolean(true)) => discovery(name.unwrap_or_default()).map(Keys::Discovery),
            other => Err(format!("must be true or false, got {}", other.unwrap_or(&Value::Boolean(false)))),
        },
        "jwks_url" => provider_url(&text(table, source, faults)?).map(Keys::JwksUrl),
        "jwks_file" => Ok(Keys::JwksFile(PathBuf::from(text(table, source, faults)?))),
        _ => values::secret(Path::new(&text(table, source, faults)?)).map(Keys::Secret),
    };
    keys.map_err(|message| faults.push((source.to_owned(), message))).ok()
}

fn text(table: &Table, key: &str, faults: &mut Vec<(String, String)>) -> Option<String> {
    let text = table.get(key).map(values::text).transpose();
    text.map_err(|message| faults.push((key.to_owned(), message))).ok().flatten()
}

/// Where an issuer tells of itself.
fn discovery(issuer: &str) -> Result<Url, String> {
    let url = provider_url(issuer).map_err(|fault| format!("needs the URL of the provider as issuer: {issuer:?} {fault}"))?;
    if url.query().is_some() {
        return Err(format!("needs an issuer without a query, got {issuer:?}"));
    }
    provider_url(&format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/')))
}

/// A URL that keys can come from: whoever can change what it answers can sign tokens, so it is `https`, or of this machine.
pub(crate) fn provider_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => return Err("has no host".to_owned()),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err("must begin with https:// (http:// only where the host is localhost, 127.0.0.1 or [::1])".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (#…)".to_owned());
    }
    Ok(url)
}
