use super::*;

fn refusal(body: &[u8]) -> String {
    read(body).expect_err("unreadable").to_string()
}

#[test]
fn repeated_members_are_kept() {
    let Json::Object(members) = read(br#"{"a":1,"a":2}"#).unwrap() else { panic!("an object") };
    assert_eq!(members.len(), 2);
}

#[test]
fn plain_strings_are_slices_of_the_body() {
    assert!(matches!(read(br#""plain""#), Ok(Json::String(Cow::Borrowed("plain")))));
    assert!(matches!(read(br#""\u00e9""#), Ok(Json::String(Cow::Owned(_)))));
}

#[test]
fn thirty_two_levels_are_read_and_one_more_is_refused() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(nested(32).as_bytes()).is_ok());
    assert!(refusal(nested(33).as_bytes()).starts_with("nested more than 32 levels deep at line 1 column"));
    assert!(refusal(nested(32).replace("[]", "[{}]").as_bytes()).starts_with("nested more than 32"), "an empty one counts");
    assert!(refusal("{\"a\":".repeat(40_000).as_bytes()).starts_with("nested more than 32"));
}

#[test]
fn faults_say_line_and_column() {
    assert_eq!(refusal(b"{\n  \"a\": x}"), "expected value at line 2 column 8");
    assert_eq!(refusal(b""), "EOF while parsing a value at line 1 column 0");
    assert_eq!(refusal(b"{} {}"), "trailing characters at line 1 column 4");
    assert!(refusal(b"\"\xff\"").contains("at line 1 column"));
    assert!(refusal(b"1e999").starts_with("number out of range"));
}

#[test]
fn what_is_written_is_read_again() {
    assert_eq!(encode(&Some("a \"name\"\n")), r#""a \"name\"\n""#);
    assert_eq!(encode(&std::collections::BTreeMap::from([("a", vec![1, 2])])), r#"{"a":[1,2]}"#);
}

#[test]
fn what_is_no_json_is_never_written_as_an_empty_document() {
    let keys_are_no_texts = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(std::panic::catch_unwind(|| encode(&keys_are_no_texts)).is_err());
}
