//! Headers of an owner's own, which each request to their receiver carries: what can be one.

use hyper::header::HeaderName;

/// Headers that a receiver's owner cannot have sent: the server's own, those of the connection and of the body.
const HEADERS_OWN: [&str; 12] = [
    "host",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "user-agent",
    "x-signature",
    "accept-encoding",
    "range",
];
/// The same, by how they begin.
const HEADERS_OWN_BEGIN: [&str; 5] = ["content-", "proxy-", "webhook-", "x-benemen-", "reapit-webhook-"];
/// What is shown in place of a value that lets in who has it.
pub const HIDDEN: &str = "***";
/// Headers that a request can be made to carry.
pub const HEADERS_MAX: usize = 20;
const HEADER_BYTES_MAX: usize = 1024;

/// What is wrong with a header that each request is to carry.
#[must_use]
pub fn header_fault(name: &str, value: &str) -> Option<String> {
    let Ok(parsed) = name.parse::<HeaderName>() else {
        return Some("is no name of a header: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 §5.6.2)".to_owned());
    };
    let parsed = parsed.as_str();
    if HEADERS_OWN.contains(&parsed) || HEADERS_OWN_BEGIN.iter().any(|begin| parsed.starts_with(begin)) {
        return Some("is set by the server".to_owned());
    }
    value_fault(name, value)
}

/// What is wrong with the value of a header.
#[must_use]
pub fn value_fault(name: &str, value: &str) -> Option<String> {
    if value == HIDDEN {
        return Some("stands for a value that is not shown; give the value itself".to_owned());
    }
    let is_plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && value.trim() == value;
    if !is_plain || name.len() + value.len() > HEADER_BYTES_MAX {
        return Some(format!("must be visible ASCII without space at its ends, up to {HEADER_BYTES_MAX} bytes with its name"));
    }
    None
}
