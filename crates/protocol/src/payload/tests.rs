use super::*;

fn number_faults(text: &str) -> Option<String> {
    number(Cow::Borrowed(text)).err()
}

#[test]
fn numbers_and_the_three_words_pass_in_any_case() {
    let longest = "0".repeat(32);
    for good in ["07123 456789", "+44 (0)7123-456789", "1", "unknown", "WITHHELD", "Anonymous", &longest] {
        assert_eq!(number_faults(good), None, "{good}");
    }
}

#[test]
fn what_is_no_number_says_the_rule_and_what_came() {
    let abc = number_faults("abc").unwrap();
    assert_eq!(abc, r#"must be digits, spaces, + - ( ), or one of unknown, withheld, anonymous; got "abc""#);
    assert!(number_faults("").unwrap().starts_with("must be digits"));
    assert!(number_faults("+-( )").unwrap().starts_with("must hold at least one digit"));
    assert!(number_faults(&"0".repeat(33)).unwrap().starts_with("must have at most 32"));
    for bad in ["+44７123", "0171\n2", "0171;ext=2", "sip:a@b", "unknown "] {
        assert!(number_faults(bad).is_some(), "{bad}");
    }
}

#[test]
fn long_values_are_cut_in_messages() {
    let message = number_faults(&"x".repeat(5000)).unwrap();
    assert!(message.len() < 200 && message.ends_with("…\""), "{message}");
}
