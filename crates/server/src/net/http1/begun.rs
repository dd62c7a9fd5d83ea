//! What bytes begin with: a whole request that is frequent and plain, part of one, or something for the library.

use httparse::{EMPTY_HEADER, Header, Status};
use hyper::Method;

use super::buffer::BUFFER_BYTES;
use super::remembered::{Known, Remembered};
use crate::net::headers::Headers;

/// As many headers as a plain request can have.
pub(super) const HEADERS_MAX: usize = 24;
/// Room for the headers of a request, made when they are read: a known head needs none.
pub(super) type Room<'a> = Option<[Header<'a>; HEADERS_MAX]>;

/// How the first line of a plain request ends.
const VERSION: &[u8] = b" HTTP/1.1\r\n";
/// A first line that needs more room is not plain.
const LINE_BYTES_MAX: usize = 4096;

/// What bytes begin with.
#[derive(Debug)]
pub(super) enum Begun<'a> {
    Whole(Whole<'a>),
    /// Perhaps a request, of which something is missing.
    Part,
    Other,
}

/// A request, whole.
#[derive(Debug)]
pub(super) struct Whole<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: Headers<'a>,
    pub(super) body: &'a [u8],
    /// Of head and body.
    pub(super) bytes: usize,
    /// Whether the head is that of the request before.
    pub(super) is_same: bool,
}

impl<'a> Begun<'a> {
    /// Reads a request of a frequent kind; `before` is the head of the one before, if it can be said again.
    pub(super) fn read(
        bytes: &'a [u8],
        room: &'a mut Room<'a>,
        before: Option<&'a Remembered>,
        is_frequent: impl FnOnce(&Method, &str) -> bool,
    ) -> Self {
        if let Some(before) = before
            && let Some(Known { head_bytes, body_bytes }) = before.find(bytes)
        {
            let head = Found { line: before.line(), headers: before.headers(), head_bytes, body_bytes, is_same: true };
            return head.with_body(bytes);
        }
        let line = match Line::read(bytes) {
            Ok(line) if is_frequent(&line.method, line.path) => line,
            Err(Incomplete::Part) => return Self::Part,
            Ok(_) | Err(Incomplete::Other) => return Self::Other,
        };
        let lines = room.insert([EMPTY_HEADER; HEADERS_MAX]);
        match httparse::parse_headers(bytes.get(line.bytes..).unwrap_or_default(), lines) {
            Ok(Status::Complete((headers_bytes, lines))) => match plain_length(&line.method, lines) {
                Some(body_bytes) => {
                    let head_bytes = line.bytes + headers_bytes;
                    Found { line, headers: Headers::Lines(lines), head_bytes, body_bytes, is_same: false }.with_body(bytes)
                }
                None => Self::Other,
            },
            Ok(Status::Partial) => Self::Part,
            Err(_) => Self::Other,
        }
    }
}

/// A head, of which the body may be missing.
struct Found<'a> {
    line: Line<'a>,
    headers: Headers<'a>,
    head_bytes: usize,
    body_bytes: usize,
    is_same: bool,
}

impl<'a> Found<'a> {
    fn with_body(self, bytes: &'a [u8]) -> Begun<'a> {
        let Self { line: Line { method, path, query, .. }, headers, head_bytes, body_bytes, is_same } = self;
        let end = head_bytes + body_bytes;
        match bytes.get(head_bytes..end) {
            Some(body) => Begun::Whole(Whole { method, path, query, headers, body, bytes: end, is_same }),
            None if end > BUFFER_BYTES => Begun::Other,
            None => Begun::Part,
        }
    }
}

/// The first line of a request.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// With what ends it.
    pub(super) bytes: usize,
}

/// Why there is no first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incomplete {
    Part,
    Other,
}

impl<'a> Line<'a> {
    /// Reads a line whose target is a path and perhaps a query, of characters that the library takes in a query as well.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Incomplete> {
        let begin = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
        let Some(end) = begin.iter().position(|byte| *byte == b'\n') else {
            let can_be_one =
                bytes.len() < LINE_BYTES_MAX && begin.iter().all(|byte| *byte == b'\r' || (b' '..=b'~').contains(byte));
            return Err(if can_be_one { Incomplete::Part } else { Incomplete::Other });
        };
        let line = begin.get(..=end).and_then(|line| line.strip_suffix(VERSION)).ok_or(Incomplete::Other)?;
        let line = std::str::from_utf8(line).map_err(|_no_text| Incomplete::Other)?;
        let (method, target) = line.split_once(' ').ok_or(Incomplete::Other)?;
        let is_plain = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>".contains(&byte));
        let method = Method::from_bytes(method.as_bytes()).ok().filter(|_| is_plain).ok_or(Incomplete::Other)?;
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Ok(Self { method, path, query, bytes: end + 1 })
    }
}

/// How long the body is, where the head is plain: one request with a body of this length, or an upgrade without one, and nothing that
/// says more of the connection than that it stays. When in doubt the library has it.
fn plain_length(method: &Method, lines: &[Header<'_>]) -> Option<usize> {
    let (mut length, mut upgrades) = (None, false);
    for line in lines {
        let is = |name: &str| line.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let is_number = length.is_none() && line.value.iter().all(u8::is_ascii_digit);
            length = Some(std::str::from_utf8(line.value).ok().filter(|_| is_number)?.parse().ok()?);
        } else if is("upgrade") || (is("connection") && line.value.eq_ignore_ascii_case(b"upgrade")) {
            upgrades = true;
        } else if is("connection") {
            line.value.eq_ignore_ascii_case(b"keep-alive").then_some(())?;
        } else if ["transfer-encoding", "expect"].into_iter().any(is) {
            return None;
        }
    }
    match (length, method == Method::GET) {
        (None, true) => Some(0),
        (Some(length), false) if !upgrades && length <= BUFFER_BYTES => Some(length),
        (Some(_) | None, _) => None,
    }
}

#[cfg(test)]
mod tests;
