use super::*;

#[test]
fn a_customer_is_one_code_or_two_with_a_hyphen() {
    for good in ["SB", "SBOX", "COL-GMIO", "ABCDEFGHIJKLMNOP", "ABCDEFGHIJKLMNOP-ABCDEFGHIJKLMNOP"] {
        assert_eq!(CustomerId::parse(good).unwrap().as_str(), good);
    }
    for bad in
        ["", "S", "ABCDEFGHIJKLMNOPQ", "COL-", "-COL", "COL-G", "A-B-C", "CO.L", "CO*", "CO>", "CO/L", "CO L", "CÖL", "CO\0L"]
    {
        assert!(CustomerId::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_negotiator_is_2_to_16_letters_and_digits() {
    for good in ["AB", "ADV", "0123456789abcde", "0123456789abcdef"] {
        assert_eq!(NegotiatorId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "A", "0123456789abcdefg", "A.B", "A*", "A/B", "A\0", "ÄÖ", "AB ", "A-B"] {
        assert!(NegotiatorId::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn compared_as_written() {
    assert_ne!(NegotiatorId::parse("adv"), NegotiatorId::parse("ADV"));
    let mut ids = ["AB", "ABC", "AB1", "b", "B", "0123456789abcdef", "Z"].map(|text| Short::try_from(text).unwrap());
    ids.sort_unstable();
    assert_eq!(
        ids.each_ref().map(Short::as_str),
        ["0123456789abcdef", "AB", "AB1", "ABC", "B", "Z", "b"],
        "in the order of texts"
    );
    assert_eq!(format!("{:?}", ids[1]), r#""AB""#);
}

#[test]
fn a_short_text_is_one_that_can_be_given_back() {
    assert_eq!(Short::try_from("").map(|empty| empty.as_str().len()), Ok(0));
    assert_eq!(Short::try_from("a\0b").unwrap().as_str(), "a\0b");
    for bad in ["a\0", "0123456789abcdefg"] {
        assert!(Short::try_from(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn lengths_are_checked_at_their_edges() {
    assert!(DeviceId::parse(&"d".repeat(64)).is_ok());
    assert!(DeviceId::parse(&"d".repeat(65)).is_err());
    assert!(IdempotencyKey::parse(&"k".repeat(128)).is_ok());
    assert!(IdempotencyKey::parse(&"k".repeat(129)).is_err());
    assert!(IdempotencyKey::parse("a b").is_err());
    assert!(ClientId::parse(&"c".repeat(129)).is_err());
}

#[test]
fn event_ids_sort_by_time_and_read_back() {
    let early = EventId::new(1, [255; 10]);
    let late = EventId::new(2, [0; 10]);
    assert!(early < late && early.next() > early && early.next() < late);
    assert!(early.to_string() < late.to_string());
    assert_eq!(EventId::parse(&late.to_string()), Ok(late));
    assert_eq!(EventId::from_bytes(*late.as_bytes()), late);
    let hyphenated = "00000000-0002-7000-8000-000000000000";
    for bad in ["", "xyz", hyphenated, &late.to_string().replace('0', "G"), "0000000000027000800000000000000A"] {
        assert!(EventId::parse(bad).is_err(), "{bad:?}");
    }
}
