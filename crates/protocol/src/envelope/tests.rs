use proptest::prelude::*;

use super::*;

fn faults(body: &str) -> Vec<(String, String)> {
    let known = ["AgencyCloud", "PropertyCloud"].map(|name| Product::parse(name).unwrap()).iter().collect();
    match Envelope::parse(body.as_bytes(), &known) {
        Ok(_) => Vec::new(),
        Err(Malformed::Invalid(faults)) => {
            faults.as_slice().iter().map(|fault| (fault.field.clone(), fault.message.clone())).collect()
        }
        Err(Malformed::Unreadable(error)) => panic!("{error}"),
    }
}

fn with_targets(count: usize) -> String {
    let targets: Vec<_> = (0..count).map(|n| format!("\"N{n}\"")).collect();
    format!(
        r#"{{"type":"telephony","subType":"missedCall","products":["AgencyCloud"],"targets":{{"negotiatorId":[{}]}},
            "payload":{{"created":"2023-11-01T10:28:00","callerId":"1","destinationId":"2"}}}}"#,
        targets.join(",")
    )
}

#[test]
fn a_hundred_targets_pass_and_one_more_does_not() {
    assert_eq!(faults(&with_targets(1)), []);
    assert_eq!(faults(&with_targets(100)), []);
    let message = "must have 1 to 100 entries, got 101".to_owned();
    assert_eq!(faults(&with_targets(101)), [("targets.negotiatorId".to_owned(), message)]);
    assert_eq!(faults(&with_targets(0)).len(), 1);
}

#[test]
fn the_fast_way_takes_the_targets_that_the_thorough_way_takes() {
    let known = [Product::parse("AgencyCloud").unwrap()].iter().collect();
    let longest = with_targets(1).replace("N0", "0123456789abcdef");
    for good in [with_targets(1), with_targets(100), longest.clone()] {
        assert_eq!(fast::read(good.as_bytes(), &known), Some(read_thoroughly(good.as_bytes(), &known).unwrap()), "{good}");
    }
    let twice = with_targets(100).replace("\"N99\"", "\"N0\"");
    for bad in [with_targets(0), with_targets(101), longest.replace("abcdef", "abcdefg"), twice] {
        assert_eq!(fast::read(bad.as_bytes(), &known), None, "{bad}");
        assert!(read_thoroughly(bad.as_bytes(), &known).is_err(), "{bad}");
    }
}

#[test]
fn the_number_of_faults_told_is_bounded() {
    let many: Vec<_> = (0..5000).map(|n| format!("\"x{n}\":1")).collect();
    assert_eq!(faults(&format!("{{{}}}", many.join(","))).len(), FAULTS_MAX);
}

#[test]
fn a_member_given_many_times_is_told_once() {
    let body = with_targets(1).replace(r#""callerId":"1""#, r#""callerId":"1","callerId":"1","callerId":"x""#);
    assert_eq!(faults(&body), [("payload.callerId".to_owned(), "is given more than once".to_owned())]);
}

#[test]
fn a_wrong_type_does_not_hide_the_faults_of_the_payload() {
    let body = with_targets(1)
        .replace("telephony", "fax")
        .replace("missedCall", "ring")
        .replace(r#""callerId":"1""#, r#""callerId":"x""#);
    let fields: Vec<_> = faults(&body).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["type", "subType", "payload.callerId"]);
}

#[test]
fn a_document_that_is_no_object_is_a_fault_of_the_document() {
    assert_eq!(faults("[]"), [("$".to_owned(), "must be an object, got an array".to_owned())]);
}

/// A member as callers could write it: as it should be, or left out, given twice, misnamed, or with another value.
fn member(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let odd = ["null", "true", "7", "\"\"", "\"\\u0041B\"", "[]", "{}", "\"caf\u{e9}\"", "\"A\\\"\""];
    let value = prop_oneof![8 => prop::sample::select(values), 1 => prop::sample::select(odd.to_vec())];
    (value, 0..20_u8).prop_map(move |(value, how)| match how {
        0 => String::new(),
        1 => format!("\"{name}\":{value},\"{name}\":{value},"),
        2 => format!("\"{name}x\":{value},"),
        3 => format!(" \"{name}\" :\n{value} ,"),
        _ => format!("\"{name}\":{value},"),
    })
}

fn object(members: impl IntoIterator<Item = String>) -> String {
    let members: String = members.into_iter().collect();
    format!("{{{}}}", members.strip_suffix(',').unwrap_or(&members))
}

fn body() -> impl Strategy<Value = String> {
    let targets = member("negotiatorId", &["[\"ADV\"]", "[\"ADV\",\"JAB\"]", "[\"ADV\",\"ADV\"]", "[\"A\"]", "[\"ADV\",7]"]);
    let payload = (
        member("id", &["\"1\"", "\"call \u{e9}\"", "\"\\u0007\"", "null"]),
        member("created", &["\"2023-11-01T10:28:00\"", "\"2023-11-01T10:28:00.5+01:00\"", "\"yesterday\""]),
        member("callerId", &["\"+44 20\"", "\"withheld\"", "\"x\""]),
        member("destinationId", &["\"01234\""]),
        member("huntGroup", &["true", "false", "null"]),
        prop_oneof![3 => Just(String::new()), 1 => member("answeredById", &["\"ADV\"", "\"-\""])],
    );
    let members = (
        member("type", &["\"telephony\"", "\"tele\\u0070hony\"", "\"fax\""]),
        member("subType", &["\"incomingCall\"", "\"answeredCall\"", "\"endedCall\"", "\"missedCall\""]),
        member("products", &["[\"AgencyCloud\"]", "[\"AgencyCloud\",\"PropertyCloud\",\"AgencyCloud\"]", "[\"Other\"]"]),
        targets,
        payload,
    );
    members.prop_map(|(kind, sub_type, products, targets, payload)| {
        let payload = object([payload.0, payload.1, payload.2, payload.3, payload.4, payload.5]);
        let targets = format!("\"targets\":{},", object([targets]));
        object([kind, sub_type, products, targets, format!("\"payload\":{payload},")])
    })
}

#[test]
fn a_list_of_the_values_is_no_object() {
    let texts = r#"["1","2023-11-01T10:28:00","1","2",null,null]"#;
    let whole = format!(r#"["telephony","missedCall",["AgencyCloud"],[["N0"]],{texts}]"#);
    assert_eq!(faults(&whole), [("$".to_owned(), "must be an object, got an array".to_owned())]);
    let good = with_targets(1);
    let targets = good.replace(r#"{"negotiatorId":["N0"]}"#, r#"[["N0"]]"#);
    assert_eq!(faults(&targets), [("targets".to_owned(), "must be an object, got an array".to_owned())]);
    let (before, _) = good.split_once(r#"{"created""#).unwrap();
    let fault = ("payload".to_owned(), "must be an object, got an array".to_owned());
    assert_eq!(faults(&format!("{before}{texts}}}")), [fault]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn what_is_taken_in_one_go_is_what_a_thorough_look_takes(body in body()) {
        let known = ["AgencyCloud", "PropertyCloud"].map(|name| Product::parse(name).unwrap()).iter().collect();
        let thorough = read_thoroughly(body.as_bytes(), &known);
        match (fast::read(body.as_bytes(), &known), thorough) {
            (Some(fast), Ok(thorough)) => prop_assert_eq!(fast, thorough),
            (Some(fast), Err(faults)) => prop_assert!(false, "{fast:?} has faults: {faults:?}"),
            // Texts with escapes are looked at thoroughly.
            (None, Ok(thorough)) => prop_assert!(body.contains('\\'), "{thorough:?} was not taken: {body}"),
            (None, Err(_)) => {}
        }
    }
}
