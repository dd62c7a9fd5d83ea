//! Whose a connection or a request is, where a proxy stands between. Only trusted proxies are believed.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::config::{Proxies, ToldBy};
use crate::net::headers::{Headers, text};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How many proxies one behind the other are looked at.
const HOPS_MAX: usize = 16;
/// The first bytes of every header: the signature of version 2, and less than the shortest of version 1.
const BEGIN_BYTES: usize = 12;
/// The longest header of version 1 (PROXY protocol §2.1).
const V1_BYTES_MAX: usize = 107;
/// The rest of a header of version 2: addresses, and what a proxy adds about TLS and itself.
const V2_REST_BYTES_MAX: usize = 2048;

impl Proxies {
    /// Whether connections from there begin with a header of the PROXY protocol.
    pub(super) fn introduce(&self, peer: IpAddr) -> bool {
        self.told_by == ToldBy::ProxyProtocol && self.trusts(peer)
    }

    /// Whose a request is: the last address that no trusted proxy has.
    pub(super) fn client(&self, peer: IpAddr, headers: Headers<'_>) -> IpAddr {
        let told = match self.told_by {
            ToldBy::Forwarded if self.trusts(peer) => lines(headers, &FORWARDED).flat_map(forwarded).collect::<Vec<_>>(),
            ToldBy::XForwardedFor if self.trusts(peer) => lines(headers, &X_FORWARDED_FOR).flat_map(plain).collect(),
            _ => return peer,
        };
        let mut client = peer;
        for told in told.into_iter().take(HOPS_MAX) {
            let Some(address) = told else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network: &IpNet| network.contains(&address))
    }
}

/// The lines of a header, the last first.
fn lines<'a>(headers: Headers<'a>, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines: Vec<_> = headers.all(name).map(text).collect();
    // A line that is no text names nobody.
    lines.into_iter().rev().map(|line| line.unwrap_or_default())
}

/// The addresses of a line of `Forwarded` (RFC 7239 §4), the last first; `None` for one that is hidden or unreadable.
fn forwarded(line: &str) -> impl Iterator<Item = Option<IpAddr>> {
    rfc7239::parse(line).rev().map(|hop| Some(hop.ok()?.forwarded_for?.ip()?.to_canonical()))
}

/// The addresses of a line of `X-Forwarded-For`, the last first; some proxies add a port.
fn plain(line: &str) -> impl Iterator<Item = Option<IpAddr>> {
    let parse = |hop: &str| hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip())).ok();
    line.rsplit(',').map(move |hop| parse(hop.trim()).map(|address| address.to_canonical()))
}

/// Reads the header of the PROXY protocol, version 1 or 2, and nothing behind it. `None`: the proxy speaks for itself.
pub(super) async fn introduction(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; BEGIN_BYTES];
    socket.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        read_v2(socket, &mut header).await?;
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_v1(socket, &mut header).await?;
    }
    match HeaderResult::parse(&header) {
        HeaderResult::V1(header) => address_v1(&header.map_err(invalid)?),
        HeaderResult::V2(header) => address_v2(&header.map_err(invalid)?),
    }
}

async fn read_v1(socket: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> io::Result<()> {
    while !header.ends_with(v1::PROTOCOL_SUFFIX.as_bytes()) {
        if header.len() == V1_BYTES_MAX {
            return Err(invalid("more than 107 bytes without an end"));
        }
        header.push(socket.read_u8().await?);
    }
    Ok(())
}

async fn read_v2(socket: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> io::Result<()> {
    let (version_and_command, family) = (socket.read_u8().await?, socket.read_u8().await?);
    let rest = socket.read_u16().await?;
    if usize::from(rest) > V2_REST_BYTES_MAX {
        return Err(invalid(format!("{rest} bytes, more than {V2_REST_BYTES_MAX}")));
    }
    header.extend([version_and_command, family]);
    header.extend(rest.to_be_bytes());
    let begin = header.len();
    header.resize(begin + usize::from(rest), 0);
    socket.read_exact(header.get_mut(begin..).unwrap_or_default()).await.map(drop)
}

fn address_v1(header: &v1::Header<'_>) -> io::Result<Option<SocketAddr>> {
    Ok(match header.addresses {
        v1::Addresses::Tcp4(pair) => Some((pair.source_address, pair.source_port).into()),
        v1::Addresses::Tcp6(pair) => Some((pair.source_address, pair.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

fn address_v2(header: &v2::Header<'_>) -> io::Result<Option<SocketAddr>> {
    Ok(match (header.command, &header.addresses) {
        // A check of the proxy's own.
        (v2::Command::Local, _) | (_, v2::Addresses::Unspecified) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(pair)) => Some((pair.source_address, pair.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(pair)) => Some((pair.source_address, pair.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::Unix(_)) => return Err(invalid("it names a Unix socket")),
    })
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderValue};

    use super::*;

    fn behind(told_by: ToldBy) -> Proxies {
        Proxies { told_by, trusted: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()] }
    }

    fn client(told_by: ToldBy, peer: &str, name: &'static str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        behind(told_by).client(peer.parse().unwrap(), Headers::Map(&headers)).to_string()
    }

    #[test]
    fn a_request_is_of_the_last_address_that_no_trusted_proxy_has() {
        for (lines, expected) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (&["for=198.51.100.9, for=192.0.2.1, for=10.1.1.1"], "192.0.2.1"),
            (&["for=198.51.100.9", "for=192.0.2.1;proto=https", "for=10.1.1.1"], "192.0.2.1"),
            (&["FOR=\"[2001:db9::7]:4711\""], "2001:db9::7"),
            (&["for=192.0.2.1, for=\"[2001:db8::1]\""], "192.0.2.1"),
            (&["for=10.2.2.2"], "10.2.2.2"),
            (&["for=192.0.2.1, for=unknown"], "10.0.0.1"),
            (&["for=192.0.2.1, for=_hidden, for=10.3.3.3"], "10.3.3.3"),
            (&["secret=\"a, for=203.0.113.1", "for=192.0.2.1"], "192.0.2.1"),
            (&["nonsense"], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client(ToldBy::Forwarded, "10.0.0.1", "forwarded", lines), expected, "{lines:?}");
        }
        for (line, expected) in [
            ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711, 10.4.4.4", "192.0.2.1"),
            ("2001:db9::7", "2001:db9::7"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, what", "10.0.0.1"),
        ] {
            assert_eq!(client(ToldBy::XForwardedFor, "10.0.0.1", "x-forwarded-for", &[line]), expected, "{line}");
        }
    }

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        assert_eq!(client(ToldBy::Forwarded, "192.0.2.9", "forwarded", &["for=198.51.100.9"]), "192.0.2.9");
        assert_eq!(client(ToldBy::XForwardedFor, "10.0.0.1", "forwarded", &["for=198.51.100.9"]), "10.0.0.1");
        assert_eq!(client(ToldBy::Nobody, "10.0.0.1", "forwarded", &["for=198.51.100.9"]), "10.0.0.1");
        assert!(behind(ToldBy::ProxyProtocol).introduce("10.0.0.1".parse().unwrap()));
        assert!(behind(ToldBy::ProxyProtocol).introduce("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!behind(ToldBy::ProxyProtocol).introduce("192.0.2.9".parse().unwrap()));
        assert!(!behind(ToldBy::Forwarded).introduce("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_chain_without_end_is_not_followed() {
        let chain: Vec<_> = (0..100).map(|hop| format!("for=10.0.1.{hop}")).collect();
        assert_eq!(client(ToldBy::Forwarded, "10.0.0.1", "forwarded", &[&chain.join(",")]), "10.0.1.84");
    }

    async fn introduced(bytes: &[u8]) -> (Result<Option<String>, io::ErrorKind>, usize) {
        let mut left = bytes;
        let told = introduction(&mut left).await;
        (told.map(|told| told.map(|address| address.to_string())).map_err(|error| error.kind()), left.len())
    }

    fn v2_with(command: v2::Command, payload: &[u8]) -> Vec<u8> {
        let addresses = v2::IPv4::new([192, 0, 2, 1], [10, 0, 0, 1], 4711, 8080);
        let builder = v2::Builder::with_addresses(v2::Version::Two | command, v2::Protocol::Stream, addresses);
        builder.write_tlv(0x04_u8, payload).unwrap().build().unwrap()
    }

    #[tokio::test]
    async fn a_header_is_read_and_nothing_behind_it() {
        let then_get = |header: &[u8]| [header, b"GET /"].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 8080\r\n".to_vec(), Some("192.0.2.1:4711")),
            (b"PROXY TCP6 2001:db9::7 2001:db8::1 4711 8080\r\n".to_vec(), Some("[2001:db9::7]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2_with(v2::Command::Proxy, b"noop"), Some("192.0.2.1:4711")),
            (v2_with(v2::Command::Local, b"noop"), None),
            (v2_with(v2::Command::Proxy, &[0; V2_REST_BYTES_MAX - 12 - 3]), Some("192.0.2.1:4711")),
        ] {
            assert_eq!(introduced(&then_get(&header)).await, (Ok(expected.map(str::to_owned)), 5), "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_ends_the_connection() {
        let too_long = v2_with(v2::Command::Proxy, &[0; V2_REST_BYTES_MAX - 12 - 2]);
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".as_slice(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 99999\r\n",
            b"PROXY TCP4 nobody 10.0.0.1 4711 8080\r\n",
            &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
            &too_long,
        ] {
            assert_eq!(introduced(bytes).await.0, Err(io::ErrorKind::InvalidData), "{bytes:?}");
        }
        assert_eq!(introduced(b"PROXY TCP4 192.0.2.1").await.0, Err(io::ErrorKind::UnexpectedEof));
    }
}
