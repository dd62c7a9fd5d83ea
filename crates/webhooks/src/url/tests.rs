use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const STRICT: UrlRule<'_> =
    UrlRule { schemes: Schemes::Https, ports: Ports::Deployment, ports_open: &[443, 8443], loopback_http: false };
const LAX: UrlRule<'_> =
    UrlRule { schemes: Schemes::HttpsOrHttp, ports: Ports::Deployment, ports_open: &[], loopback_http: false };
const DEV: UrlRule<'_> = UrlRule { ports: Ports::Only443, loopback_http: true, ..STRICT };

fn url(text: &str) -> CallbackUrl {
    CallbackUrl::parse(text, LAX).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn assert_refused(texts: &[&str], rule: UrlRule<'_>, is_expected: fn(&UrlFault) -> bool) {
    for text in texts {
        match CallbackUrl::parse(text, rule) {
            Ok(accepted) => panic!("{text:?} was accepted as {accepted}"),
            Err(fault) => assert!(is_expected(&fault), "{text:?}: {fault:?}"),
        }
    }
}

#[test]
fn a_full_https_url_is_accepted() {
    for (text, read) in [
        ("https://example.com", "https://example.com/"),
        ("https://example.com/", "https://example.com/"),
        ("https://hooks.example.com/a/b?c=d&e", "https://hooks.example.com/a/b?c=d&e"),
        ("https://example.com:8443/a", "https://example.com:8443/a"),
        ("https://example.com:/a", "https://example.com/a"),
        ("https://a-b.xn--bcher-kva.example/", "https://a-b.xn--bcher-kva.example/"),
        ("https://bücher.example/ä?ö", "https://xn--bcher-kva.example/%C3%A4?%C3%B6"),
        ("https://r3---a.example.com/", "https://r3---a.example.com/"),
        ("https://example.com/a@b:c/%2e%2E/\"x\"", "https://example.com/%22x%22"),
        ("https://10.0.0.1/", "https://10.0.0.1/"),
        ("https://[::1]/", "https://[::1]/"),
        ("https://[::FFFF:127.0.0.1]:8443/", "https://[::ffff:7f00:1]:8443/"),
    ] {
        let accepted = CallbackUrl::parse(text, STRICT).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(accepted.to_string(), read);
    }
}

#[test]
fn what_is_not_a_url_is_refused() {
    let texts = [
        "",
        "x",
        "/a",
        "example.com/a",
        "https:example.com",
        "https:/example.com",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://[::1/",
        "https://[1.2.3.4]/",
        "https://[::1]x/",
        "https://[::1]x:443/",
        "https://[v1.a]/",
    ];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::NotAUrl { .. }));
}

#[test]
fn another_scheme_is_refused() {
    let other = ["ftp://example.com/", "file:///etc/passwd", "mailto:a@example.com", "example.com:443/a", "://x", "httpſ://a.b/"];
    assert_refused(&other, LAX, |fault| matches!(fault, UrlFault::Scheme { allowed: "https:// or http://", .. }));
    assert_refused(&other, DEV, |fault| matches!(fault, UrlFault::Scheme { allowed: "https://", .. }));
    let http = ["http://example.com/", "HTTP://example.com:443/", "http://127.0.0.1/", "http://[::1]/"];
    assert_refused(&http, STRICT, |fault| matches!(fault, UrlFault::Scheme { .. }));
    assert_eq!(url("http://example.com/").port(), 80);
}

#[test]
fn a_user_or_a_password_is_refused_and_not_shown() {
    let texts = [
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://:secret@example.com/",
        "https://@example.com/",
        "https://:@example.com/",
        "https://h@example.com/",
        "https://a@b@example.com/",
        "https://example.com@127.0.0.1/",
        "https://user@/",
    ];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::UserInfo { .. }));
    for text in ["https://u:secret@example.com/", "ftp://u:secret@example.com/", "https://u:secret@example.com/ "] {
        let fault = CallbackUrl::parse(text, LAX).unwrap_err().to_string();
        assert!(!fault.contains("secret") && fault.contains("://…@example.com/"), "{fault}");
    }
}

#[test]
fn a_fragment_is_refused() {
    assert_refused(&["https://example.com/#a", "https://example.com#", "https://example.com/?q#"], LAX, |fault| {
        matches!(fault, UrlFault::Fragment { .. })
    });
}

#[test]
fn a_url_has_at_most_2048_characters_also_in_ascii() {
    let start = "https://example.com/";
    let longest = format!("{start}{}", "a".repeat(URL_CHARS_MAX - start.len()));
    assert_eq!(url(&longest).to_string(), longest);
    let too_long = |length| move |fault: UrlFault| matches!(fault, UrlFault::TooLong { length: l, .. } if l == length);
    assert!(CallbackUrl::parse(&format!("{longest}a"), LAX).is_err_and(too_long(2049)));
    // Six bytes as %C3%A4, where one character was written.
    let in_ascii = format!("{start}{}", "ä".repeat(400));
    assert!(CallbackUrl::parse(&in_ascii, LAX).is_err_and(too_long(2420)));
}

#[test]
fn what_the_parser_would_drop_or_turn_is_refused() {
    let texts = [
        " https://example.com/",
        "https://example.com/\n",
        "https://exa\tmple.com/",
        "ht\ntps://example.com/",
        "https://example.com/a\rb",
        "https://example.com/a b",
        "https://example.com/\0",
        "https://example.com/\u{7f}",
        "https://example.com/\u{85}",
        "https://example.com/\u{a0}",
        "https://example.com/\u{3000}",
        "https:\\\\example.com\\",
        "https://example.com\\@127.0.0.1/",
    ];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::Character { .. }));
}

#[test]
fn a_url_without_a_host_is_refused() {
    let texts =
        ["https://", "https:///a", "https:///example.com/", "https://?a", "https://#a", "https://:443/", "https://\u{ad}/"];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::NoHost { .. }));
}

#[test]
fn an_ipv4_address_in_an_odd_spelling_is_refused() {
    let texts = [
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.01/",
        "https://127.0.0.1./",
        "https://0/",
        "https://0x/",
        "https://１２７.0.0.1/",
        "https://127。0。0。1/",
        "https://①②⑦.0.0.1/",
        "https://256.0.0.1/",
        "https://1.2.3.4.5/",
        "https://example.1/",
        "https://127.0.0.08/",
    ];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::Ipv4Spelling { .. }));
    assert_refused(&texts, DEV, |fault| matches!(fault, UrlFault::Ipv4Spelling { .. }));
}

#[test]
fn an_ipv6_zone_is_refused() {
    let texts = ["https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]:443/", "https://[::1%]/"];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::ZoneId { .. }));
}

#[test]
fn a_host_that_is_no_dns_name_is_refused() {
    let long_label = format!("https://{}.com/", "a".repeat(64));
    let long_name = format!("https://{}com/", "abcdefghi.".repeat(26));
    let texts = [
        "https://example.com./",
        "https://.example.com/",
        "https://example..com/",
        "https://./",
        "https://my_host.example.com/",
        "https://-a.example.com/",
        "https://a-.example.com/",
        "https://*.example.com/",
        "https://a,b.example.com/",
        "https://%31%32%37.0.0.1/",
        "https://ex%61mple.com/",
        "https://example.com%00.org/",
        "https://xn--a.example.com/",
        "https://a|b.example.com/",
        &long_label,
        &long_name,
    ];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::HostName { .. }));
    assert!(CallbackUrl::parse(&format!("https://{}.com/", "a".repeat(63)), LAX).is_ok());
    assert!(CallbackUrl::parse(&format!("https://{}com/", "abcdefghi.".repeat(25)), LAX).is_ok());
}

#[test]
fn a_host_of_one_label_is_refused() {
    let texts = ["https://localhost/", "https://LOCALHOST:8443/", "https://intranet/", "https://com/", "http://localhost/"];
    assert_refused(&texts, LAX, |fault| matches!(fault, UrlFault::NoDot { .. }));
    assert_refused(&["https://intranet/", "https://localhosts/"], DEV, |fault| matches!(fault, UrlFault::NoDot { .. }));
}

#[test]
fn a_port_must_be_open_and_of_the_profile() {
    let closed = ["https://example.com:444/", "https://example.com:22/", "https://10.0.0.1:6379/"];
    assert_refused(&closed, STRICT, |fault| matches!(fault, UrlFault::Port { allowed, .. } if allowed == "443, 8443"));
    let only_443 = UrlRule { ports: Ports::Only443, ..STRICT };
    let profile = ["https://example.com:8443/"];
    assert_refused(&profile, only_443, |fault| matches!(fault, UrlFault::Port { allowed, .. } if allowed == "443"));
    assert!(CallbackUrl::parse("https://example.com:443/", only_443).is_ok());
    assert!(CallbackUrl::parse("https://example.com/", UrlRule { ports_open: &[], ..only_443 }).is_ok());
    let none = UrlRule { ports_open: &[8443], ..only_443 };
    let both = ["https://example.com/", "https://example.com:8443/"];
    assert_refused(&both, none, |fault| matches!(fault, UrlFault::Port { allowed, .. } if allowed.starts_with("none")));
}

#[test]
fn port_0_is_never_open_and_the_others_are_if_none_is_listed() {
    assert_refused(
        &["https://example.com:0/"],
        LAX,
        |fault| matches!(fault, UrlFault::Port { allowed, .. } if allowed == "1 to 65535"),
    );
    assert_refused(&["http://127.0.0.1:0/"], DEV, |fault| matches!(fault, UrlFault::Port { port: 0, .. }));
    for port in [1, 22, 65535] {
        assert_eq!(url(&format!("https://example.com:{port}/")).port(), port);
    }
}

#[test]
fn http_needs_its_port_open() {
    let rule = UrlRule { schemes: Schemes::HttpsOrHttp, ..STRICT };
    assert_refused(&["http://example.com/"], rule, |fault| matches!(fault, UrlFault::Port { port: 80, .. }));
    assert!(CallbackUrl::parse("http://example.com:8443/", rule).is_ok());
    assert!(CallbackUrl::parse("http://example.com/", UrlRule { ports_open: &[80], ..rule }).is_ok());
}

#[test]
fn development_takes_loopback_and_changes_nothing_else() {
    for text in
        ["http://127.0.0.1/a", "http://127.0.0.1:9000/", "http://localhost:1/", "http://[::1]:65535/", "https://LocalHost:9000/"]
    {
        assert!(CallbackUrl::parse(text, DEV).is_ok(), "{text}");
        assert!(CallbackUrl::parse(text, UrlRule { loopback_http: false, ..DEV }).is_err(), "{text}");
    }
    let others = ["http://127.0.0.2/", "http://[::ffff:127.0.0.1]/", "http://a.localhost/", "http://10.0.0.1/"];
    assert_refused(&others, DEV, |fault| matches!(fault, UrlFault::Scheme { .. }));
    assert_refused(&["https://127.0.0.2:9000/"], DEV, |fault| matches!(fault, UrlFault::Port { .. }));
}

#[test]
fn a_url_is_taken_apart_for_the_request() {
    let whole = url("HTTPS://Hooks.Example.com:443/A/ä?b=C&d");
    assert_eq!(whole.host(), &Host::Name("hooks.example.com".to_owned()));
    assert_eq!((whole.port(), whole.is_tls()), (443, true));
    assert_eq!((whole.authority(), whole.path_and_query()), ("hooks.example.com", "/A/%C3%A4?b=C&d"));
    let six = url("http://[2A00::1]:8080?q");
    assert_eq!(six.host(), &Host::Address(IpAddr::V6(Ipv6Addr::new(0x2a00, 0, 0, 0, 0, 0, 0, 1))));
    assert_eq!((six.port(), six.is_tls()), (8080, false));
    assert_eq!((six.authority(), six.path_and_query()), ("[2a00::1]:8080", "/?q"));
    assert_eq!(url("https://192.0.2.1/").host(), &Host::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
    assert_eq!(url("https://[::1]:443").authority(), "[::1]");
    assert_eq!(url("http://example.com:443/").authority(), "example.com:443");
}

#[test]
fn urls_are_compared_without_case_and_default_port_but_with_their_path_byte_for_byte() {
    let comparable = |text| url(text).comparable().to_owned();
    let one = comparable("HTTPS://Example.COM:443/A?b=C");
    assert_eq!(one, comparable("https://example.com/A?b=C"));
    for other in [
        "https://example.com/a?b=C",
        "https://example.com/A?b=c",
        "https://example.com/A/?b=C",
        "https://example.com/A?b=C&",
        "https://example.com/A",
        "https://example.com/%41?b=C",
        "https://example.com:8443/A?b=C",
        "https://www.example.com/A?b=C",
        "http://example.com/A?b=C",
    ] {
        assert_ne!(one, comparable(other), "{other}");
    }
    assert_eq!(comparable("https://example.com"), comparable("https://EXAMPLE.com/"));
    assert_eq!(comparable("http://example.com:80/"), comparable("http://example.com/"));
    assert_eq!(comparable("https://BÜCHER.example/"), comparable("https://xn--bcher-kva.example/"));
    assert_ne!(comparable("https://example.com/?"), comparable("https://example.com/"));
}

#[test]
fn a_fault_says_what_is_wrong_with_the_value_shown_and_cut() {
    let said = |text: &str| CallbackUrl::parse(text, STRICT).unwrap_err().to_string();
    assert_eq!(said("http://example.com/a"), r#""http://example.com/a" must begin with https://"#);
    assert!(said("https://0x7f.1/").starts_with(r#"the host "0x7f.1" must be written as four decimal numbers"#));
    assert_eq!(said("https://example.com:22/"), r#"port 22 of "https://example.com:22/" is not allowed; allowed: 443, 8443"#);
    assert!(said("https://example.com/\t").contains("holds U+0009; "));
    let cut = format!("https://example.com/{}…", "a".repeat(20));
    assert!(
        said(&format!("https://example.com/{}#", "a".repeat(99))).starts_with(&format!("\"{cut}\" must not have a fragment"))
    );
}

/// Texts that are nearly URLs, so that more than the first check is reached.
fn nearly() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        "[a-zA-Z0-9-]{1,9}(\\.[a-z0-9]{1,5}){1,3}",
        "[0-9a-fx]{1,4}(\\.[0-9x]{1,4}){0,4}",
        "\\[[0-9a-f:.%]{1,20}\\]",
        "[a-z.äß。İ\u{ad}_%@:-]{0,12}",
        "\\PC{0,9}",
    ];
    let start = prop_oneof![3 => "(https?|HTTPS)://", 1 => "(https?|ws)?:?/{0,3}"];
    let tail = prop_oneof![3 => "([/?][@:a-z0-9.%äé|^`'\"<>{}\\[\\]]{0,20})?", 1 => "[/?]?\\PC{0,20}"];
    (start, host, "(:[0-9]{0,5})?", tail).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
}

/// A rule under which the most texts are accepted.
const OPEN: UrlRule<'_> = UrlRule { loopback_http: true, ..LAX };

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), near in nearly()) {
        for text in [text, near] {
            for rule in [STRICT, OPEN, DEV] {
                if let Err(fault) = CallbackUrl::parse(&text, rule) {
                    prop_assert!(!fault.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn an_accepted_url_reads_again_to_itself(text in nearly()) {
        if let Ok(once) = CallbackUrl::parse(&text, OPEN) {
            let twice = CallbackUrl::parse(&once.to_string(), OPEN);
            prop_assert_eq!(twice.as_ref(), Ok(&once));
            prop_assert!(once.to_string().bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(once.path_and_query().starts_with('/'));
            let scheme = if once.is_tls() { "https" } else { "http" };
            prop_assert_eq!(once.comparable(), format!("{scheme}://{}{}", once.authority(), once.path_and_query()));
        }
    }
}
