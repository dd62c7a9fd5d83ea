//! The bytes of the head before, so that the same head is known again without being read.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Status, parse_headers};
use hyper::Method;
use hyper::header::CONTENT_LENGTH;

use super::begun::{HEADERS_MAX, Line};
use super::buffer::BUFFER_BYTES;
use crate::memo::is_same;
use crate::net::headers::{Headers, KnownHeader};

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
    /// All but the length.
    lines: Box<[KnownHeader]>,
}

/// The same head again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) head_bytes: usize,
    pub(super) body_bytes: usize,
}

impl Remembered {
    /// Remembers a head that was learned from, if it is not large.
    pub(super) fn new(head: &[u8]) -> Option<Self> {
        let length = lines(head).find(|line| head.get(line.clone()).is_some_and(|line| begins_with(line, LENGTH)))?;
        let line = head.get(length.clone())?;
        let digits = line.iter().position(u8::is_ascii_digit)?;
        let (before, rest) = head.split_at_checked(length.start + digits)?;
        let behind = rest.iter().position(|byte| !byte.is_ascii_digit()).and_then(|end| rest.get(end..))?;
        let first = Line::read(head).ok().filter(|_| head.len() <= HEAD_BYTES_MAX)?;
        let mut parsed = [EMPTY_HEADER; HEADERS_MAX];
        let Ok(Status::Complete((_, parsed))) = parse_headers(head.get(first.bytes..)?, &mut parsed) else { return None };
        let lasting = parsed.iter().filter(|line| !line.name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str()));
        let lines = lasting.map(|line| (line.name.into(), line.value.into())).collect();
        let Line { method, path, query, .. } = first;
        Some(Self {
            before: before.into(),
            behind: behind.into(),
            method,
            path: path.into(),
            query: query.map(Into::into),
            lines,
        })
    }

    /// How long head and body are, if `bytes` begin with the same head.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<Known> {
        let (before, rest) = bytes.split_at_checked(self.before.len())?;
        let digits = rest.iter().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
        let (length, rest) = rest.split_at_checked(digits)?;
        let (behind, _body) = rest.split_at_checked(self.behind.len())?;
        let body_bytes = std::str::from_utf8(length).ok()?.parse().ok().filter(|length| *length <= BUFFER_BYTES)?;
        let is_known = is_same(before, &self.before) && is_same(behind, &self.behind);
        is_known.then_some(Known { head_bytes: before.len() + digits + behind.len(), body_bytes })
    }

    /// Returns the headers, all but the length.
    pub(super) fn headers(&self) -> Headers<'_> {
        Headers::Known(&self.lines)
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

#[cfg(test)]
mod tests;
