//! The head of a request before. Many providers send the same one again and again with another length, and what it says stays said: to
//! find that out anew had a sixth of the instructions of an event. What may change meanwhile is asked each time: whether the token
//! still holds, what the application may, and the rates.

use std::ops::Range;

use jiff::Timestamp;
use protocol::id::CustomerId;

use super::BUFFER_BYTES;
use crate::api::request::REQUEST_ID;
use crate::auth::Verified;

const LENGTH: &[u8] = b"content-length:";
/// As many digits as the length of a usual request can have.
const DIGITS_MAX: usize = 5;

/// An idle connection keeps no more: a token of an identity provider, and its neighbours.
const HEAD_BYTES_MAX: usize = 4096;

/// What a head said that was good, and can be said again.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) verified: Verified,
    pub(crate) customer: CustomerId,
    /// Whether the caller asks what became of the event.
    pub(crate) represent: bool,
}

/// A head, before and behind the length of the body.
#[derive(Debug)]
pub(super) struct Remembered {
    before: Box<[u8]>,
    behind: Box<[u8]>,
    said: Said,
}

impl Remembered {
    /// Remembers a head of which all was well, without its first line, if it is not large. One that brings an id is another each time.
    pub(super) fn new(head: &[u8], said: Said) -> Option<Self> {
        let has_id = lines(head).any(|line| head.get(line).is_some_and(|line| begins_with(line, REQUEST_ID.as_str().as_bytes())));
        let length = lines(head).find(|line| head.get(line.clone()).is_some_and(|line| begins_with(line, LENGTH)))?;
        let line = head.get(length.clone())?;
        let digits = line.iter().position(u8::is_ascii_digit)?;
        let (before, rest) = head.split_at_checked(length.start + digits)?;
        let behind = rest.iter().position(|byte| !byte.is_ascii_digit()).and_then(|end| rest.get(end..))?;
        (!has_id && head.len() <= HEAD_BYTES_MAX).then(|| Self { before: before.into(), behind: behind.into(), said })
    }

    /// Where the body begins and how long it is, if `bytes` begin with the same head.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let (before, rest) = bytes.split_at_checked(self.before.len())?;
        let digits = rest.iter().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
        let (length, rest) = rest.split_at_checked(digits)?;
        let (behind, _body) = rest.split_at_checked(self.behind.len())?;
        let length = std::str::from_utf8(length).ok()?.parse().ok().filter(|length| *length <= BUFFER_BYTES)?;
        let is_same = is_equal(before, &self.before) && is_equal(behind, &self.behind);
        is_same.then_some((before.len() + digits + behind.len(), length))
    }

    /// Whether it was said with this token.
    pub(super) fn is_of(&self, verified: &Verified) -> bool {
        self.said.verified.is(verified)
    }

    /// What it said, if the token still holds.
    pub(super) fn said_still(&self, now: Timestamp) -> Option<&Said> {
        Some(&self.said).filter(|said| said.verified.is_good(now))
    }
}

/// The places of the lines of a head.
fn lines(head: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut begin = 0;
    head.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let range = begin..begin + line.len();
        begin = range.end;
        range
    })
}

fn begins_with(line: &[u8], name: &[u8]) -> bool {
    line.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

/// Looks at all of both, so that the time that it takes does not tell how much of a token was guessed.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

#[cfg(test)]
mod tests;
