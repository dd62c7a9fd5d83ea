//! Which addresses may be connected to, so that nobody can have this server knock at doors inside its own network.
//!
//! Behind the resolver: a name's addresses are vetted at each attempt, the connection is made to those and no others, and the
//! peer's address is judged once more when it stands. It sees addresses alone: it must never resolve a name, nor trust one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How many addresses of a name are tried.
pub const ADDRESSES_MAX: usize = 8;

/// The judge of addresses: everything that is not public is refused, except what the operator names.
#[derive(Debug, Clone)]
pub struct Guard {
    allow: Vec<IpNet>,
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It lies in a network that is refused.
    #[error("{address} is {kind}")]
    Itself {
        /// The address.
        address: IpAddr,
        /// What it is, in words that follow "is", with the standard that says so.
        kind: &'static str,
    },
    /// It is an IPv6 form of an IPv4 address that lies in one.
    #[error("{address} leads to {embedded}, {kind}")]
    Embedded {
        /// The address.
        address: IpAddr,
        /// The address in it.
        embedded: Ipv4Addr,
        /// What that one is.
        kind: &'static str,
    },
}

/// Why none of a name's addresses is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VetError {
    /// There was none.
    #[error("the host has no address")]
    NoAddress,
    /// One is refused, and with it the others: a name that is public only in part is being rebound.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Guard {
    /// Allows what is public, what lies in `allow`, and with `loopback` (development) 127.0.0.0/8 and ::1.
    ///
    /// An IPv4-mapped address is judged as the IPv4 address: `::/0` opens all of IPv6, translated addresses with it, but not
    /// `::ffff:10.0.0.1`.
    #[must_use]
    pub fn new(allow: Vec<IpNet>, loopback: bool) -> Self {
        let mut allow: Vec<IpNet> = allow.into_iter().map(unmapped).collect();
        if loopback {
            allow.extend([v4(127, 0, 0, 8), IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128))]);
        }
        Self { allow }
    }

    /// Judges one address.
    ///
    /// # Errors
    /// [`Refused`] says what the address is.
    pub fn judge(&self, address: IpAddr) -> Result<(), Refused> {
        let IpAddr::V6(outer) = address else { return self.judge_itself(address) };
        if let Some(embedded) = outer.to_ipv4_mapped() {
            return self.judge_embedded(address, embedded);
        }
        if self.allows(address) {
            return Ok(());
        }
        if let Some(readings) = nat64(outer) {
            return readings.into_iter().try_for_each(|embedded| self.judge_embedded(address, embedded));
        }
        self.judge_itself(address)?;
        isatap(outer).map_or(Ok(()), |embedded| self.judge_embedded(address, embedded))
    }

    /// Judges all addresses of a host and returns those to be tried: in order, each once, IPv4-mapped ones as IPv4, at most
    /// [`ADDRESSES_MAX`]. Those beyond are judged too.
    ///
    /// # Errors
    /// [`VetError::Refused`] if any is refused, [`VetError::NoAddress`] if none came.
    pub fn vet(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<Vec<IpAddr>, VetError> {
        let mut vetted = Vec::with_capacity(ADDRESSES_MAX);
        for address in addresses {
            self.judge(address)?;
            let address = address.to_canonical();
            if vetted.len() < ADDRESSES_MAX && !vetted.contains(&address) {
                vetted.push(address);
            }
        }
        if vetted.is_empty() {
            return Err(VetError::NoAddress);
        }
        Ok(vetted)
    }

    fn judge_itself(&self, address: IpAddr) -> Result<(), Refused> {
        self.kind(address).map_or(Ok(()), |kind| Err(Refused::Itself { address, kind }))
    }

    fn judge_embedded(&self, address: IpAddr, embedded: Ipv4Addr) -> Result<(), Refused> {
        self.kind(embedded.into()).map_or(Ok(()), |kind| Err(Refused::Embedded { address, embedded, kind }))
    }

    /// What the address is, if that is a reason to refuse it.
    fn kind(&self, address: IpAddr) -> Option<&'static str> {
        if self.allows(address) {
            return None;
        }
        REFUSED.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind)
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&address))
    }
}

/// What is refused, the narrower network before the wider.
///
/// All of ::/8 is, rather than the forms of IPv4 addresses that are known to lie there: such lists have missed
/// `::ffff:0:7f00:1` (SIIT, RFC 2765) before. What [`nat64`] reads is judged before this table and must stay usable, for on a
/// network without IPv4 it is the only way out.
const REFUSED: &[(IpNet, &str)] = &[
    (v4(0, 0, 0, 8), "an address of \"this network\" (RFC 791)"),
    (v4(10, 0, 0, 8), "a private address (RFC 1918)"),
    (v4(100, 64, 0, 10), "a carrier's shared address (RFC 6598)"),
    (v4(127, 0, 0, 8), "a loopback address (RFC 1122)"),
    (v4(169, 254, 0, 16), "a link-local address (RFC 3927)"),
    (v4(172, 16, 0, 12), "a private address (RFC 1918)"),
    (v4(192, 0, 0, 24), "an address for protocols (RFC 6890)"),
    (v4(192, 0, 2, 24), "an address for documentation (RFC 5737)"),
    (v4(192, 88, 99, 24), "an address of 6to4 relays (RFC 7526)"),
    (v4(192, 168, 0, 16), "a private address (RFC 1918)"),
    (v4(198, 18, 0, 15), "an address for benchmarks (RFC 2544)"),
    (v4(198, 51, 100, 24), "an address for documentation (RFC 5737)"),
    (v4(203, 0, 113, 24), "an address for documentation (RFC 5737)"),
    (v4(224, 0, 0, 4), "a multicast address (RFC 5771)"),
    (IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32)), "the broadcast address (RFC 919)"),
    (v4(240, 0, 0, 4), "a reserved address (RFC 1112)"),
    (IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128)), "the unspecified address (RFC 4291)"),
    (IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)), "the loopback address (RFC 4291)"),
    (v6(0, 0, 8), "an address of the reserved block ::/8 (RFC 4291)"),
    (v6(0x100, 0, 64), "an address whose packets are discarded (RFC 6666)"),
    (v6(0x2001, 0, 23), "an address for protocols, such as Teredo's (RFC 2928)"),
    (v6(0x2001, 0xdb8, 32), "an address for documentation (RFC 3849)"),
    (v6(0x2002, 0, 16), "a 6to4 address (RFC 7526)"),
    (v6(0x3fff, 0, 20), "an address for documentation (RFC 9637)"),
    (v6(0x5f00, 0, 16), "a segment routing address (RFC 9602)"),
    (v6(0xfc00, 0, 7), "a private address (RFC 4193)"),
    (v6(0xfe80, 0, 10), "a link-local address (RFC 4291)"),
    (v6(0xfec0, 0, 10), "a site-local address (RFC 3879)"),
    (v6(0xff00, 0, 8), "a multicast address (RFC 4291)"),
];

/// The network `a.b.c.0/length`.
const fn v4(a: u8, b: u8, c: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length))
}

/// The network `a:b::/length`.
const fn v6(a: u16, b: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length))
}

/// The IPv4 addresses to which a NAT64 may translate an address of 64:ff9b::/96 or 64:ff9b:1::/48.
///
/// In the latter a network chooses the length of its prefix, and with it where the IPv4 address stands (RFC 6052 §2.2, RFC 8215);
/// which it chose cannot be seen. So all readings count; of 0.0.0.0/8 only that of /96, as the others are 0 wherever /96 is used.
fn nat64(address: Ipv6Addr) -> Option<[Ipv4Addr; 4]> {
    let [.., b6, b7, _, b9, b10, b11, b12, b13, b14, b15] = address.octets();
    let last = Ipv4Addr::new(b12, b13, b14, b15);
    let or_last = |a, b, c, d| if a == 0 { last } else { Ipv4Addr::new(a, b, c, d) };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some([last; 4]),
        [0x64, 0xff9b, 1, ..] => Some([last, or_last(b6, b7, b9, b10), or_last(b7, b9, b10, b11), or_last(b9, b10, b11, b12)]),
        _ => None,
    }
}

/// The IPv4 address in an ISATAP interface id (RFC 5214 §6.1), which may stand behind any prefix.
fn isatap(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    match address.segments() {
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

/// Writes a network of IPv4-mapped addresses as the IPv4 network, by which they are judged.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return net };
    let (Some(address), Some(length)) = (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(96)) else { return net };
    Ipv4Net::new(address, length).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests;
