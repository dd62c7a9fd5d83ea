use super::*;

const HEAD: &str = "POST /notifications HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a.b.c\r\nContent-Length: 4\r\ncontent-type: application/json\r\n\r\n";

fn remembered(head: &str) -> Option<Remembered> {
    Remembered::new(head.as_bytes())
}

fn find(head: &str) -> Option<(usize, usize)> {
    let known = remembered(HEAD).unwrap().find(head.as_bytes())?;
    Some((known.head_bytes, known.body_bytes))
}

#[test]
fn a_head_is_known_again_whatever_the_length_of_the_body() {
    for (digits, length) in [("4", 4), ("0", 0), ("123", 123), ("16384", 16_384), ("00012", 12)] {
        let head = HEAD.replace(": 4", &format!(": {digits}"));
        assert_eq!(find(&format!("{head}{{..}}")), Some((head.len(), length)), "{digits}");
    }
    for digits in ["", "16385", "99999", "123456", "-1", "+4", "4x", " 4", "4 "] {
        assert_eq!(find(&HEAD.replace(": 4", &format!(": {digits}"))), None, "{digits:?}");
    }
}

#[test]
fn another_head_is_another_wherever_it_differs() {
    for place in (0..HEAD.len()).filter(|place| !HEAD[*place..].starts_with("4\r\n")) {
        let mut other = HEAD.as_bytes().to_vec();
        other[place] ^= 1;
        assert_eq!(remembered(HEAD).unwrap().find(&other), None, "byte {place}");
        assert_eq!(find(&HEAD[..place]), None, "{place} bytes of it");
    }
}

#[test]
fn what_is_not_said_again_is_not_remembered() {
    assert!(remembered(&HEAD.replace("Content-Length: 4\r\n", "")).is_none());
    assert!(remembered(&HEAD.replace("host: x", "host: 4")).is_some());
    let padded = |bytes: usize| HEAD.replace("host: x", &format!("host: {}", "x".repeat(bytes - HEAD.len() + 1)));
    assert!(remembered(&padded(HEAD_BYTES_MAX)).is_some() && remembered(&padded(HEAD_BYTES_MAX + 1)).is_none());
}
