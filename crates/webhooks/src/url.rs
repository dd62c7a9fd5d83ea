//! The callback URL of a subscription: what is accepted, and the form in which URLs are compared.
//!
//! First in the flow: parsed when a subscription is written, and again before each attempt, since the rule may have changed.
//! One parser (WHATWG's) both checks a URL and takes it apart for the connection, so that what was checked is what is used; a
//! text that another parser could read otherwise is refused. It must never resolve a name, nor call an address safe: that is
//! [`guard`](crate::guard)'s.

use std::fmt;
use std::net::IpAddr;

use ::url::{ParseError, Position, Url};
use protocol::fault::shown;

/// How many characters a URL may have, both as written and in its ASCII form.
pub const URL_CHARS_MAX: usize = 2048;

/// A URL that may be called back, as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallbackUrl {
    url: Url,
    host: Host,
    port: u16,
}

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name in its ASCII form, lower-case, without a dot at its end.
    Name(String),
    /// An address written into the URL; it has yet to be judged.
    Address(IpAddr),
}

/// What a URL must satisfy: what its profile asks, and what the deployment allows.
#[derive(Debug, Clone, Copy)]
pub struct UrlRule<'a> {
    /// The profile's schemes.
    pub schemes: Schemes,
    /// The profile's ports.
    pub ports: Ports,
    /// The ports that the deployment has opened; empty: all. `http` needs 80 among them.
    pub ports_open: &'a [u16],
    /// Development: 127.0.0.1, `localhost` and ::1 are accepted, with `http` or `https`, on any port and in any profile.
    pub loopback_http: bool,
}

/// The schemes that a profile takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemes {
    /// `https` alone.
    Https,
    /// `https`, and `http` for those who cannot have it.
    HttpsOrHttp,
}

/// The ports that a profile takes; the deployment must have opened them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// 443 alone.
    Only443,
    /// Each one that the deployment has opened.
    Deployment,
}

/// Why a text is not a callback URL; a variant for each thing that its author can mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// It cannot be parsed, or only by guessing.
    #[error("{url} is not a URL: {reason}")]
    NotAUrl {
        /// The text, cut.
        url: String,
        /// What the parser says.
        reason: ParseError,
    },
    /// The scheme is another.
    #[error("{url} must begin with {allowed}")]
    Scheme {
        /// The text, cut.
        url: String,
        /// What it may begin with.
        allowed: &'static str,
    },
    /// It names a user, perhaps with a password; neither would be sent.
    #[error("{url} must not hold a user or a password")]
    UserInfo {
        /// The text, cut, without them.
        url: String,
    },
    /// It has a fragment, which no request carries.
    #[error("{url} must not have a fragment (#…)")]
    Fragment {
        /// The text, cut.
        url: String,
    },
    /// It exceeds [`URL_CHARS_MAX`].
    #[error("{url} is {length} characters long, of which at most {URL_CHARS_MAX} are allowed")]
    TooLong {
        /// The text, cut.
        url: String,
        /// Its length, or that of its ASCII form if only that is too long.
        length: usize,
    },
    /// It holds a character that the parser would drop or turn into another.
    #[error("{url} holds U+{:04X}; control characters, white space and backslashes are not allowed", u32::from(*.character))]
    Character {
        /// The text, cut.
        url: String,
        /// The first such character.
        character: char,
    },
    /// There is nothing where the host belongs.
    #[error("{url} has no host")]
    NoHost {
        /// The text, cut.
        url: String,
    },
    /// The host is a number, but not an address that all parsers read alike.
    #[error("the host {host} must be written as four decimal numbers from 0 to 255 without leading zeros, such as 192.0.2.1")]
    Ipv4Spelling {
        /// The host as written, cut.
        host: String,
    },
    /// The host is an IPv6 address of one interface of one machine.
    #[error("the host {host} must not have a zone (%…)")]
    ZoneId {
        /// The host as written, cut.
        host: String,
    },
    /// The host is not a DNS name, even in its ASCII form.
    #[error("the host {host} is not a DNS name: labels of 1 to 63 letters, digits and inner hyphens, at most 253 characters")]
    HostName {
        /// The host as written, cut.
        host: String,
    },
    /// The host is a single label, whose meaning depends on who asks.
    #[error("the host {host} must be a full name with a dot, such as hooks.example.com")]
    NoDot {
        /// The host as written, cut.
        host: String,
    },
    /// The port is not open.
    #[error("port {port} of {url} is not allowed; allowed: {allowed}")]
    Port {
        /// The text, cut.
        url: String,
        /// The port, by default that of the scheme.
        port: u16,
        /// The ports that are, in words.
        allowed: String,
    },
}

impl CallbackUrl {
    /// Reads `text` and checks it against `rule`.
    ///
    /// # Errors
    /// [`UrlFault`] with the first thing to be mended.
    pub fn parse(text: &str, rule: UrlRule<'_>) -> Result<Self, UrlFault> {
        let length = text.chars().count();
        if length > URL_CHARS_MAX {
            return Err(UrlFault::TooLong { url: quoted(text), length });
        }
        if let Some(character) = text.chars().find(|c| c.is_control() || c.is_whitespace() || *c == '\\') {
            return Err(UrlFault::Character { url: quoted(text), character });
        }
        let host_text = written_host(text, rule.schemes)?;
        let url = Url::parse(text).map_err(|reason| unparsed(reason, text, host_text))?;
        if url.fragment().is_some() {
            return Err(UrlFault::Fragment { url: quoted(text) });
        }
        let length = url.as_str().len();
        if length > URL_CHARS_MAX {
            return Err(UrlFault::TooLong { url: quoted(text), length });
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(UrlFault::NoHost { url: quoted(text) });
        };
        let accepted = Self { host: unambiguous(&host, host_text)?, port, url };
        rule.check(&accepted)?;
        Ok(accepted)
    }

    /// What to connect to.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port to connect to, by default that of the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The target in the request line: visible ASCII that begins with a slash.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    /// The value of the `Host` header: IPv6 in brackets, the port only if it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// The form by which URLs share their health: the same for two that differ only in the case of scheme and host or in naming
    /// the default port. Path and query count byte for byte.
    #[must_use]
    pub fn comparable(&self) -> &str {
        self.url.as_str()
    }
}

/// The URL as the parser understood it. Its query may hold a customer's secret: [`CallbackUrl::authority`] is for logs.
impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl UrlRule<'_> {
    fn check(self, accepted: &CallbackUrl) -> Result<(), UrlFault> {
        let url = || shown(accepted.url.as_str());
        let port = accepted.port;
        if port == 0 {
            return Err(UrlFault::Port { url: url(), port, allowed: self.ports_allowed() });
        }
        if self.loopback_http && is_loopback(&accepted.host) {
            return Ok(());
        }
        match self.schemes {
            Schemes::Https if !accepted.is_tls() => {
                return Err(UrlFault::Scheme { url: url(), allowed: self.schemes.beginnings() });
            }
            Schemes::Https | Schemes::HttpsOrHttp => {}
        }
        match &accepted.host {
            Host::Name(name) if !name.contains('.') => return Err(UrlFault::NoDot { host: shown(name) }),
            Host::Name(_) | Host::Address(_) => {}
        }
        if !self.admits(port) {
            return Err(UrlFault::Port { url: url(), port, allowed: self.ports_allowed() });
        }
        Ok(())
    }

    fn admits(self, port: u16) -> bool {
        let open = self.ports_open.is_empty() || self.ports_open.contains(&port);
        match self.ports {
            Ports::Only443 => open && port == 443,
            Ports::Deployment => open,
        }
    }

    fn ports_allowed(self) -> String {
        match self.ports {
            Ports::Only443 if self.admits(443) => "443".to_owned(),
            Ports::Only443 => "none, for the profile takes 443 alone and the deployment has not opened it".to_owned(),
            Ports::Deployment if self.ports_open.is_empty() => "1 to 65535".to_owned(),
            Ports::Deployment => self.ports_open.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

impl Schemes {
    fn beginnings(self) -> &'static str {
        match self {
            Self::Https => "https://",
            Self::HttpsOrHttp => "https:// or http://",
        }
    }
}

/// Finds the host as it is written, before the parser mends its spelling; refuses what the parser would read by guessing.
fn written_host(text: &str, schemes: Schemes) -> Result<&str, UrlFault> {
    let relative = || UrlFault::NotAUrl { url: quoted(text), reason: ParseError::RelativeUrlWithoutBase };
    let (scheme, rest) = text.split_once(':').ok_or_else(relative)?;
    if !["https", "http"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(UrlFault::Scheme { url: quoted(text), allowed: schemes.beginnings() });
    }
    let authority = authority_of(rest.strip_prefix("//").ok_or_else(relative)?);
    if authority.contains('@') {
        return Err(UrlFault::UserInfo { url: quoted(text) });
    }
    let bracketed = authority.starts_with('[');
    let host = if bracketed { authority.split_inclusive(']').next() } else { authority.split(':').next() };
    let host = host.filter(|host| !host.is_empty()).ok_or_else(|| UrlFault::NoHost { url: quoted(text) })?;
    match (bracketed, host.contains('%')) {
        (true, true) => Err(UrlFault::ZoneId { host: shown(host) }),
        (false, true) => Err(UrlFault::HostName { host: shown(host) }),
        (true | false, false) => Ok(host),
    }
}

/// What stands between the two slashes and the path.
fn authority_of(after_slashes: &str) -> &str {
    after_slashes.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Shows `text` without a user and a password, for messages reach more eyes than URLs do.
fn quoted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return shown(text) };
    match authority_of(rest).rfind('@').and_then(|end| rest.get(end..)) {
        Some(from_at) => shown(&format!("{scheme}://…{from_at}")),
        None => shown(text),
    }
}

fn unparsed(reason: ParseError, text: &str, host: &str) -> UrlFault {
    match reason {
        ParseError::EmptyHost => UrlFault::NoHost { url: quoted(text) },
        ParseError::InvalidIpv4Address => UrlFault::Ipv4Spelling { host: shown(host) },
        ParseError::IdnaError | ParseError::InvalidDomainCharacter => UrlFault::HostName { host: shown(host) },
        reason => UrlFault::NotAUrl { url: quoted(text), reason },
    }
}

/// Takes the host that was parsed, unless it was written in a way that others read differently or not at all.
fn unambiguous(parsed: &::url::Host<&str>, written: &str) -> Result<Host, UrlFault> {
    match parsed {
        ::url::Host::Ipv4(address) if address.to_string() == written => Ok(Host::Address(IpAddr::V4(*address))),
        ::url::Host::Ipv4(_) => Err(UrlFault::Ipv4Spelling { host: shown(written) }),
        ::url::Host::Ipv6(address) => Ok(Host::Address(IpAddr::V6(*address))),
        ::url::Host::Domain(name) if is_dns_name(name) => Ok(Host::Name((*name).to_owned())),
        ::url::Host::Domain(_) => Err(UrlFault::HostName { host: shown(written) }),
    }
}

/// RFC 1123 §2.1. A dot at the end is refused: certificates and caches would take it for another name.
fn is_dns_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

/// Whether the host is one of the three spellings that development uses.
fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost",
        Host::Address(IpAddr::V4(address)) => *address == std::net::Ipv4Addr::LOCALHOST,
        Host::Address(IpAddr::V6(address)) => *address == std::net::Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests;
