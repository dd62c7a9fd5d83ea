//! What is answered and yet to be sent, and how an answer is written: nowhere else are its head and body made into bytes.

use std::cell::RefCell;
use std::time::Duration;

use clock::Moment;
use hyper::StatusCode;
use hyper::header::CONNECTION;
use sessions::outbox::gather::yield_to_ready;
use tokio::io::AsyncWriteExt;

use crate::net::library::ends_connection;
use crate::net::outgoing::Outgoing;
use crate::net::service::Answer;
use crate::net::stream::{Phase, Stream};

/// How many requests of a connection are answered together: then others have their turn.
const TOGETHER_MAX: usize = 32;
/// For how long a date is not written anew.
const DATE_AGE_MAX: Duration = Duration::from_secs(1);

thread_local! {
    static DATE: RefCell<Option<(Duration, String)>> = const { RefCell::new(None) };
}

/// Answers that are yet to be sent.
#[derive(Default)]
pub(super) struct Answers {
    text: Vec<u8>,
    count: usize,
    have_waited: bool,
    /// The connection ends with the last of them.
    end: bool,
}

impl Answers {
    /// Puts an answer behind the others; the last one of a node that stops, or where it says so itself.
    pub(super) fn put(&mut self, answer: &Answer, taken: Moment, is_stopping: bool) {
        self.end = is_stopping || ends_connection(&answer.response);
        self.count += 1;
        put_answer(&mut self.text, answer, taken, self.end);
    }

    /// They have waited with a request, and do not wait with another.
    pub(super) fn have_waited(&mut self) {
        self.have_waited = true;
    }

    /// Whether they go out before another request is taken.
    pub(super) fn are_due(&self) -> bool {
        self.have_waited || self.end || self.count >= TOGETHER_MAX
    }

    /// Sends them, once the requests that are ready by now have been taken. `None`: the connection ends with them.
    pub(super) async fn send(&mut self, stream: &mut Stream) -> Option<()> {
        let Self { text, end, .. } = std::mem::take(self);
        if text.is_empty() {
            return Some(());
        }
        yield_to_ready().await;
        stream.enter(Phase::Idle);
        stream.write_all(&text).await.ok()?;
        // A line with TLS can hold what the socket does not take.
        stream.flush().await.ok().filter(|()| !end)
    }
}

/// Writes an answer behind others, as it is sent.
pub(in crate::net) fn put_answer(text: &mut Vec<u8>, answer: &Answer, now: Moment, is_last: bool) {
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

#[cfg(test)]
mod tests;
