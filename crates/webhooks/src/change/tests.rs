use super::*;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn difference(old: &str, new: &str) -> String {
    diff(&raw(old), &raw(new)).unwrap().get().to_owned()
}

#[test]
fn r25_a_leaf_is_a_pair_objects_recurse_lists_are_whole_and_what_is_the_same_is_absent() {
    assert_eq!(difference(r#"{"a":1,"b":"x"}"#, r#"{"a":1,"b":"y"}"#), r#"{"b":["x","y"]}"#);
    assert_eq!(difference(r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1,"c":3}}"#), r#"{"a":{"c":[2,3]}}"#);
    assert_eq!(difference(r#"{"a":[1,2]}"#, r#"{"a":[1,3]}"#), r#"{"a":[[1,2],[1,3]]}"#);
    assert_eq!(difference(r#"{"a":null}"#, r#"{"a":{"b":1}}"#), r#"{"a":[null,{"b":1}]}"#);
    assert_eq!(difference(r#"{"a":1}"#, r#"{"b":2}"#), r#"{"b":[null,2],"a":[1,null]}"#);
    assert_eq!(difference("{}", "{}"), "{}");
}

#[test]
fn r25_stamps_are_part_of_the_difference_and_numbers_stand_as_written() {
    let (old, new) =
        (r#"{"modified":"1","_eTag":"\"a\"","n":1.10}"#, r#"{"modified":"2","_eTag":"\"b\"","n":12345678901234567890123}"#);
    let expected = r#"{"modified":["1","2"],"_eTag":["\"a\"","\"b\""],"n":[1.10,12345678901234567890123]}"#;
    assert_eq!(difference(old, new), expected);
}

#[test]
fn spaces_and_other_spellings_are_no_difference() {
    assert_eq!(difference(r#"{"a": {"b" : 1}, "c":"\u0041"}"#, r#"{"a":{"b":1},"c":"A"}"#), "{}");
    assert_eq!(difference(r#"{"a":[1, 2]}"#, r#"{"a":[1,2]}"#), "{}");
}

#[test]
fn what_is_no_object_has_no_difference() {
    assert!(diff(&raw("1"), &raw("{}")).is_none());
    assert!(diff(&raw("{}"), &raw("[]")).is_none());
}

#[test]
fn r26_stamps_alone_are_told_from_r27_stamps_with_anything_else() {
    let only = |old: &str, new: &str| diff(&raw(old), &raw(new)).is_some_and(|diff| is_stamps_only(&diff));
    assert!(only(r#"{"id":"A","_eTag":"1","modified":"1"}"#, r#"{"id":"A","_eTag":"2","modified":"2"}"#));
    assert!(only(r#"{"id":"A"}"#, r#"{"id":"A","_eTag":"2"}"#));
    assert!(!only(r#"{"id":"A","_eTag":"1"}"#, r#"{"id":"A","_eTag":"2","x":null}"#), "a member more is a change");
    assert!(!only(r#"{"id":"A","x":1,"_eTag":"1"}"#, r#"{"id":"A","_eTag":"2"}"#));
    assert!(!only(r#"{"id":"A","x":{"_eTag":"1"}}"#, r#"{"id":"A","x":{"_eTag":"2"}}"#), "only at the top");
    assert!(!only("1", "1"));
}

#[test]
fn numbers_that_a_double_cannot_tell_apart_are_a_difference_and_other_spellings_of_one_are_none() {
    let (one, other) = (r#"{"n":12345678901234567890123}"#, r#"{"n":12345678901234567890124}"#);
    assert_eq!(difference(one, other), r#"{"n":[12345678901234567890123,12345678901234567890124]}"#);
    assert!(!is_stamps_only(&diff(&raw(one), &raw(other)).unwrap()));
    let (one, other) = (r#"{"n":{"a":[0.1000000000000000055]}}"#, r#"{"n":{"a":[0.1]}}"#);
    assert_eq!(difference(one, other), r#"{"n":{"a":[[0.1000000000000000055],[0.1]]}}"#);
    assert_eq!(difference(r#"{"n":1.0,"m":[1e2],"o":-0}"#, r#"{"n":1,"m":[100],"o":-0.0}"#), "{}");
}

#[test]
fn the_order_of_members_is_no_difference() {
    assert_eq!(difference(r#"{"a":{"b":1,"c":{"d":2,"e":3}}}"#, r#"{"a":{"c":{"e":3,"d":2},"b":1}}"#), "{}");
    assert_eq!(difference(r#"{"a":[{"b":1,"c":2}]}"#, r#"{"a":[{"c":2,"b":1}]}"#), "{}");
}
