use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn guard() -> Guard {
    Guard::new(Vec::new(), false)
}

fn allowing(nets: &[&str]) -> Guard {
    Guard::new(nets.iter().map(|net| net.parse().unwrap()).collect(), false)
}

/// First and last address, the standard, and the neighbours that are not themselves refused.
type Range = (&'static str, &'static str, &'static str, &'static [&'static str]);

const RANGES: &[Range] = &[
    ("0.0.0.0", "0.255.255.255", "RFC 791", &["1.0.0.0"]),
    ("10.0.0.0", "10.255.255.255", "RFC 1918", &["9.255.255.255", "11.0.0.0"]),
    ("100.64.0.0", "100.127.255.255", "RFC 6598", &["100.63.255.255", "100.128.0.0"]),
    ("127.0.0.0", "127.255.255.255", "RFC 1122", &["126.255.255.255", "128.0.0.0"]),
    ("169.254.0.0", "169.254.255.255", "RFC 3927", &["169.253.255.255", "169.255.0.0"]),
    ("172.16.0.0", "172.31.255.255", "RFC 1918", &["172.15.255.255", "172.32.0.0"]),
    ("192.0.0.0", "192.0.0.255", "RFC 6890", &["191.255.255.255", "192.0.1.0"]),
    ("192.0.2.0", "192.0.2.255", "RFC 5737", &["192.0.1.255", "192.0.3.0"]),
    ("192.88.99.0", "192.88.99.255", "RFC 7526", &["192.88.98.255", "192.88.100.0"]),
    ("192.168.0.0", "192.168.255.255", "RFC 1918", &["192.167.255.255", "192.169.0.0"]),
    ("198.18.0.0", "198.19.255.255", "RFC 2544", &["198.17.255.255", "198.20.0.0"]),
    ("198.51.100.0", "198.51.100.255", "RFC 5737", &["198.51.99.255", "198.51.101.0"]),
    ("203.0.113.0", "203.0.113.255", "RFC 5737", &["203.0.112.255", "203.0.114.0"]),
    ("224.0.0.0", "239.255.255.255", "RFC 5771", &["223.255.255.255"]),
    ("240.0.0.0", "255.255.255.254", "RFC 1112", &[]),
    ("255.255.255.255", "255.255.255.255", "RFC 919", &[]),
    ("::", "::", "RFC 4291", &[]),
    ("::1", "::1", "RFC 4291", &[]),
    ("::2", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 4291", &[]),
    ("100::", "100::ffff:ffff:ffff:ffff", "RFC 6666", &["100:0:0:1::"]),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 2928", &["2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"]),
    (
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "RFC 3849",
        &["2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"],
    ),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 7526", &["2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"]),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 9637", &["3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"]),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 9602", &["5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "5f01::"]),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 4193", &["fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::"]),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 4291", &["fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 3879", &[]),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "RFC 4291", &[]),
];

#[test]
fn each_range_is_refused_from_its_first_to_its_last_address() {
    assert_eq!(RANGES.len(), REFUSED.len());
    for (first, last, standard, neighbours) in RANGES {
        for edge in [first, last] {
            let refused = guard().judge(ip(edge)).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{edge} is ")) && refused.ends_with(&format!("({standard})")), "{refused}");
        }
        for neighbour in *neighbours {
            assert_eq!(guard().judge(ip(neighbour)), Ok(()), "{neighbour}");
        }
    }
}

#[test]
fn public_addresses_pass() {
    for public in
        ["1.1.1.1", "8.8.8.8", "93.184.215.14", "223.255.255.254", "2606:4700:4700::1111", "2a00:1450::1", "2001:4860::8888"]
    {
        assert_eq!(guard().judge(ip(public)), Ok(()), "{public}");
    }
}

#[test]
fn addresses_of_metadata_services_are_refused() {
    for address in ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "fd20:ce::254"] {
        assert!(guard().judge(ip(address)).is_err(), "{address}");
    }
}

#[test]
fn localhost_is_refused_in_every_ipv6_form() {
    for form in [
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:abcd::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1:7f00:0:100:808:808",
        "64:ff9b:1:7f:0:1::",
        "64:ff9b:1:7f:0:1:808:808",
        "64:ff9b:1:0:7f:0:100:0",
        "64:ff9b:1:0:7f:0:108:808",
        "2002:7f00:1::",
        "2002:7f00:1::1",
        "2001:0:7f00:1::",
        "2001::80ff:fffe",
        "::5efe:127.0.0.1",
        "2a00::5efe:127.0.0.1",
        "2a00::200:5efe:127.0.0.1",
        "fe80::5efe:127.0.0.1",
    ] {
        assert!(guard().judge(ip(form)).is_err(), "{form}");
    }
}

#[test]
fn public_ipv4_addresses_pass_only_in_forms_that_networks_use() {
    for usable in ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b:1::8.8.8.8", "64:ff9b:1:abcd::8.8.8.8", "2a00::5efe:8.8.8.8"] {
        assert_eq!(guard().judge(ip(usable)), Ok(()), "{usable}");
    }
    for other in
        ["::8.8.8.8", "::ffff:0:8.8.8.8", "2002:808:808::", "64:ff9b:0:1::8.8.8.8", "64:ff9b:2::8.8.8.8", "64:ff9a::8.8.8.8"]
    {
        assert!(guard().judge(ip(other)).is_err(), "{other}");
    }
    // A neighbour of the ISATAP ids is an id like any other.
    assert_eq!(guard().judge(ip("2a00::100:5efe:127.0.0.1")), Ok(()));
}

#[test]
fn a_refusal_says_what_the_address_is_and_where_it_leads() {
    let said = |text| guard().judge(ip(text)).unwrap_err().to_string();
    assert_eq!(said("10.0.0.1"), "10.0.0.1 is a private address (RFC 1918)");
    assert_eq!(said("64:ff9b::a00:1"), "64:ff9b::a00:1 leads to 10.0.0.1, a private address (RFC 1918)");
    assert_eq!(said("::ffff:127.0.0.1"), "::ffff:127.0.0.1 leads to 127.0.0.1, a loopback address (RFC 1122)");
}

#[test]
fn a_named_network_is_allowed_and_its_neighbours_are_not() {
    let guard = allowing(&["10.1.0.0/16", "fd12::/32"]);
    for allowed in
        ["10.1.0.0", "10.1.255.255", "::ffff:10.1.0.1", "64:ff9b::10.1.0.1", "2a00::5efe:10.1.0.1", "fd12::1", "8.8.8.8"]
    {
        assert_eq!(guard.judge(ip(allowed)), Ok(()), "{allowed}");
    }
    for refused in ["10.0.255.255", "10.2.0.0", "::ffff:10.2.0.0", "64:ff9b::10.2.0.0", "fd12:1::", "127.0.0.1", "::1"] {
        assert!(guard.judge(ip(refused)).is_err(), "{refused}");
    }
}

#[test]
fn an_ipv6_network_does_not_open_ipv4_unless_it_is_written_as_mapped() {
    let all_six = allowing(&["::/0"]);
    assert_eq!(all_six.judge(ip("::1")), Ok(()));
    assert!(all_six.judge(ip("::ffff:10.0.0.1")).is_err() && all_six.judge(ip("10.0.0.1")).is_err());
    let mapped = allowing(&["::ffff:10.0.0.0/104"]);
    assert_eq!(mapped.judge(ip("10.255.255.255")), Ok(()));
    assert!(mapped.judge(ip("11.0.0.0")).is_ok() && mapped.judge(ip("127.0.0.1")).is_err());
}

#[test]
fn development_allows_loopback_and_nothing_else() {
    let guard = Guard::new(Vec::new(), true);
    for allowed in ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(guard.judge(ip(allowed)), Ok(()), "{allowed}");
    }
    for refused in ["0.0.0.0", "::", "::2", "10.0.0.1", "169.254.169.254", "::127.0.0.1"] {
        assert!(guard.judge(ip(refused)).is_err(), "{refused}");
    }
}

#[test]
fn a_host_with_one_refused_address_is_refused() {
    let public = ip("8.8.8.8");
    for refused in ["10.0.0.1", "::1", "64:ff9b::a00:1"] {
        for addresses in [[ip(refused), public], [public, ip(refused)]] {
            assert!(matches!(guard().vet(addresses), Err(VetError::Refused(_))), "{addresses:?}");
        }
    }
    let behind_the_last_tried = (1..=20).map(|last| IpAddr::V4(Ipv4Addr::new(8, 8, 8, last))).chain([ip("127.0.0.1")]);
    let refused = guard().vet(behind_the_last_tried).unwrap_err();
    assert_eq!(refused.to_string(), "127.0.0.1 is a loopback address (RFC 1122)");
}

#[test]
fn a_host_without_an_address_is_refused() {
    assert_eq!(guard().vet([]), Err(VetError::NoAddress));
}

#[test]
fn vetted_addresses_keep_their_order_come_once_and_are_8_at_most() {
    let given = ["2a00::1", "8.8.8.8", "::ffff:8.8.8.8", "2a00::1", "1.1.1.1"].map(ip);
    assert_eq!(guard().vet(given), Ok(["2a00::1", "8.8.8.8", "1.1.1.1"].map(ip).to_vec()));
    let many: Vec<IpAddr> = (0..20).map(|last| IpAddr::V4(Ipv4Addr::new(8, 8, 8, last))).collect();
    assert_eq!(guard().vet(many.clone()).unwrap(), many[..ADDRESSES_MAX]);
}

/// The first and the last address of each IPv4 range.
fn bounds() -> Vec<(u32, u32)> {
    let bits = |text: &str| text.parse().ok().map(Ipv4Addr::to_bits);
    RANGES.iter().filter_map(|(first, last, _, _)| Some((bits(first)?, bits(last)?))).collect()
}

/// Any IPv4 address that is refused.
fn refused() -> impl Strategy<Value = Ipv4Addr> {
    proptest::sample::select(bounds()).prop_flat_map(|(first, last)| first..=last).prop_map(Ipv4Addr::from_bits)
}

/// Any IPv4 address, most of them in a refused range or right beside one.
fn address() -> impl Strategy<Value = Ipv4Addr> {
    let before = proptest::sample::select(bounds()).prop_map(|(first, _)| first.wrapping_sub(1));
    let after = proptest::sample::select(bounds()).prop_map(|(_, last)| last.wrapping_add(1));
    prop_oneof![refused(), prop_oneof![any::<u32>(), before, after].prop_map(Ipv4Addr::from_bits)]
}

proptest! {
    #[test]
    fn an_ipv4_address_is_judged_alike_in_all_its_forms(v4 in address(), loopback: bool) {
        let guard = Guard::new(vec!["10.0.0.0/9".parse().unwrap()], loopback);
        let verdict = guard.judge(v4.into()).is_ok();
        let [high, low] = [v4.to_bits() >> 16, v4.to_bits() & 0xffff];
        for prefix in ["::ffff", "64:ff9b:", "64:ff9b:1:", "2a00::5efe", "2a00::200:5efe"] {
            let form = ip(&format!("{prefix}:{high:x}:{low:x}"));
            prop_assert_eq!(guard.judge(form).is_ok(), verdict, "{}", form);
        }
    }

    #[test]
    fn an_ipv4_address_is_refused_in_every_layout_of_a_local_nat64(v4 in refused(), rest: u32) {
        // 0.x.y.z is what the other layouts read where /96 is used.
        let bits = u128::from(v4.to_bits().max(0x0a00_0000));
        let prefix = 0x0064_ff9b_0001_u128 << 80;
        let (a, b) = (bits >> 16, bits & 0xffff);
        let layout_48 = prefix | a << 64 | b << 40 | u128::from(rest);
        let (a, b) = (bits >> 24, bits & 0xff_ffff);
        let layout_56 = prefix | a << 64 | b << 32 | u128::from(rest);
        let layout_64 = prefix | bits << 24 | u128::from(rest >> 8);
        for bits in [layout_48, layout_56, layout_64] {
            let form = Ipv6Addr::from_bits(bits);
            prop_assert!(guard().judge(form.into()).is_err(), "{}", form);
        }
    }
}
