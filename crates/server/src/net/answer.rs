//! An answer as bytes: nowhere else are its head and body written, but by the HTTP library for those whom it reads.

use std::cell::RefCell;
use std::time::Duration;

use clock::Moment;
use hyper::header::CONNECTION;
use hyper::{Response, StatusCode};

use super::outgoing::Outgoing;
use super::service::Answer;

/// For how long a date is not written anew.
const DATE_AGE_MAX: Duration = Duration::from_secs(1);

thread_local! {
    static DATE: RefCell<Option<(Duration, String)>> = const { RefCell::new(None) };
}

/// Writes an answer behind others, as it is sent.
pub(super) fn put_answer(text: &mut Vec<u8>, answer: &Answer, now: Moment, is_last: bool) {
    let Answer { response, id, .. } = answer;
    let Outgoing::Whole(body) = response.body() else {
        // Files are for the operators, whose requests the library answers.
        return;
    };
    let status = response.status();
    text.reserve(256 + body.len());
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| text.extend_from_slice(part));
    let reason = status.canonical_reason().unwrap_or_default();
    put(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\nx-request-id: ", id.as_bytes()]);
    let headers = response.headers().iter().filter(|(name, _)| !is_last || *name != CONNECTION);
    headers.for_each(|(name, value)| put(&[b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]));
    if is_last {
        put(&[b"\r\nconnection: close"]);
    }
    // RFC 9110 §8.6
    if !status.is_informational() && status != StatusCode::NO_CONTENT {
        put(&[b"\r\ncontent-length: ", body.len().to_string().as_bytes()]);
    }
    with_date(now, |date| put(&[b"\r\ndate: ", date.as_bytes(), b"\r\n\r\n", body]));
}

/// The date of an answer (RFC 9110 §6.6.1).
fn with_date(now: Moment, use_it: impl FnOnce(&str)) {
    DATE.with_borrow_mut(|date| match date {
        Some((at, text)) if now.running.saturating_sub(*at) < DATE_AGE_MAX => use_it(text),
        date => use_it(&date.insert((now.running, httpdate::fmt_http_date(now.wall.into()))).1),
    });
}

/// Whether the answer says that the connection ends with it.
pub(super) fn ends_connection(response: &Response<Outgoing>) -> bool {
    response.headers().get(CONNECTION).is_some_and(|value| value == "close")
}

#[cfg(test)]
mod tests;
