//! The bytes of the head before, so that the same head is known again without being read.

use std::ops::Range;

use hyper::Method;

use super::begun::Line;
use super::buffer::BUFFER_BYTES;
use crate::net::service::REQUEST_ID;

const LENGTH: &[u8] = b"content-length:";
/// As many digits as the length of a plain request can have.
const DIGITS_MAX: usize = 5;
/// An idle connection keeps no more: a token of an identity provider, and its neighbours.
const HEAD_BYTES_MAX: usize = 4096;

/// A head, before and behind the length of the body.
#[derive(Debug)]
pub(super) struct Remembered {
    before: Box<[u8]>,
    behind: Box<[u8]>,
    method: Method,
    path: Box<str>,
    query: Option<Box<str>>,
}

/// The same head again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) head_bytes: usize,
    pub(super) body_bytes: usize,
}

impl Remembered {
    /// Remembers a head of which all was well, if it is not large. One that brings an id is another each time.
    pub(super) fn new(head: &[u8]) -> Option<Self> {
        let has_id = lines(head).any(|line| head.get(line).is_some_and(|line| begins_with(line, REQUEST_ID.as_str().as_bytes())));
        let length = lines(head).find(|line| head.get(line.clone()).is_some_and(|line| begins_with(line, LENGTH)))?;
        let line = head.get(length.clone())?;
        let digits = line.iter().position(u8::is_ascii_digit)?;
        let (before, rest) = head.split_at_checked(length.start + digits)?;
        let behind = rest.iter().position(|byte| !byte.is_ascii_digit()).and_then(|end| rest.get(end..))?;
        let Line { method, path, query, .. } = Line::read(head).ok().filter(|_| !has_id && head.len() <= HEAD_BYTES_MAX)?;
        Some(Self { before: before.into(), behind: behind.into(), method, path: path.into(), query: query.map(Into::into) })
    }

    /// How long head and body are, if `bytes` begin with the same head.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<Known> {
        let (before, rest) = bytes.split_at_checked(self.before.len())?;
        let digits = rest.iter().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
        let (length, rest) = rest.split_at_checked(digits)?;
        let (behind, _body) = rest.split_at_checked(self.behind.len())?;
        let body_bytes = std::str::from_utf8(length).ok()?.parse().ok().filter(|length| *length <= BUFFER_BYTES)?;
        let is_same = is_equal(before, &self.before) && is_equal(behind, &self.behind);
        is_same.then_some(Known { head_bytes: before.len() + digits + behind.len(), body_bytes })
    }

    /// Returns what the first line says.
    pub(super) fn line(&self) -> Line<'_> {
        Line { method: self.method.clone(), path: &self.path, query: self.query.as_deref(), bytes: 0 }
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
