//! When a certificate ends (RFC 5280 §4.1.2.5), for who watches it. Only the way to that date is read here: whether a certificate is good
//! is judged by who is shown it.

use jiff::Timestamp;

/// Tags of DER (X.690 §8).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The bit of a length that says how many bytes of length follow.
const LONG: u8 = 0x80;

/// Returns the end of a certificate's validity, from its DER; `None` where it cannot be found.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = of_tag(certificate, SEQUENCE)?;
    let (to_be_signed, _) = of_tag(certificate, SEQUENCE)?;
    // Of version 1 none is written.
    let mut rest = of_tag(to_be_signed, VERSION).map_or(to_be_signed, |(_, rest)| rest);
    // The serial number, the kind of signature and who signed.
    for _ in 0..3 {
        rest = element(rest)?.rest;
    }
    let (validity, _) = of_tag(rest, SEQUENCE)?;
    let end = element(element(validity)?.rest)?;
    time(end.tag, std::str::from_utf8(end.content).ok()?)
}

struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

/// Returns the content of the first element and what follows it, where it has this tag.
fn of_tag(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|element| element.tag == tag).map(|element| (element.content, element.rest))
}

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < LONG { (usize::from(first), rest) } else { long_length(first & !LONG, rest)? };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

/// A length of up to four bytes; no certificate is longer.
fn long_length(bytes: u8, rest: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = rest.split_at_checked(usize::from(bytes)).filter(|_| (1..=4).contains(&bytes))?;
    Some((length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest))
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from 2050 on.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let (date, time) = match (tag, digits.len()) {
        (UTC_TIME, 12) => digits.split_at_checked(6)?,
        (GENERALIZED_TIME, 14) => digits.split_at_checked(8)?,
        _ => return None,
    };
    let century = match tag {
        UTC_TIME if date < "50" => "20",
        UTC_TIME => "19",
        _ => "",
    };
    format!("{century}{date}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn issued(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["bellwire.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 3, 4);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, u8::try_from(content.len()).unwrap()], &content[..]].concat()
    }

    #[test]
    fn the_end_of_a_certificate_is_found_in_either_way_of_writing_it() {
        for year in [1999, 2000, 2031, 2049, 2050, 2999] {
            assert_eq!(not_after(&issued(year)).unwrap().to_string(), format!("{year}-03-04T00:00:00Z"));
        }
    }

    #[test]
    fn a_certificate_of_version_1_has_an_end_as_well() {
        let of = |end: &[u8]| {
            let validity = der(SEQUENCE, &[&der(UTC_TIME, &[b"490101000000Z"]), end]);
            der(SEQUENCE, &[&der(SEQUENCE, &[&der(2, &[&[1]]), &der(SEQUENCE, &[]), &der(SEQUENCE, &[]), &validity])])
        };
        assert_eq!(not_after(&of(&der(UTC_TIME, &[b"491231235959Z"]))).unwrap().to_string(), "2049-12-31T23:59:59Z");
        for end in [&b"491231235959"[..], b"4912312359Z", b"499931235959Z", b"49123123595+Z", b"20491231235959Z", b"\xff", b""] {
            assert_eq!(not_after(&of(&der(UTC_TIME, &[end]))), None, "{end:?}");
        }
        assert_eq!(not_after(&of(&der(4, &[b"491231235959Z"]))), None);
    }

    #[test]
    fn a_certificate_that_was_cut_short_has_no_end() {
        let whole = issued(2031);
        assert!((0..whole.len()).all(|length| not_after(&whole[..length]).is_none()));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_file_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..400) {
            not_after(&bytes);
            let mut changed = issued(2031);
            let place = at % changed.len();
            changed.splice(place..place, bytes);
            not_after(&changed);
        }
    }
}
