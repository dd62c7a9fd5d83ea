//! The headers of a request, whoever has read it.

use httparse::Header;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, ValueIter};

/// Headers as the one or the other reader has them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Headers<'a> {
    /// As they stand in the request.
    Lines(&'a [Header<'a>]),
    /// As they stood in the request before, which had the same.
    Known(&'a [KnownHeader]),
    /// As the library keeps them.
    Map(&'a HeaderMap),
}

/// A header that is kept: its name and its value.
pub(crate) type KnownHeader = (Box<str>, Box<[u8]>);

/// The values of one header.
pub(crate) enum Values<'a, 'n> {
    Lines(&'a [Header<'a>], &'n str),
    Known(&'a [KnownHeader], &'n str),
    Map(ValueIter<'a, HeaderValue>),
}

impl<'a> Headers<'a> {
    /// The values of all headers of this name, in their order.
    pub(crate) fn all<'n>(self, name: &'n HeaderName) -> Values<'a, 'n> {
        match self {
            // Once, and not for each line.
            Self::Lines(lines) => Values::Lines(lines, name.as_str()),
            Self::Known(lines) => Values::Known(lines, name.as_str()),
            Self::Map(map) => Values::Map(map.get_all(name).iter()),
        }
    }

    /// Whether there is one of this name.
    pub(crate) fn has(self, name: &HeaderName) -> bool {
        match self {
            Self::Lines(lines) => lines.iter().any(|line| is_called(line.name, name.as_str())),
            Self::Known(lines) => lines.iter().any(|(known, _)| is_called(known, name.as_str())),
            Self::Map(map) => map.contains_key(name),
        }
    }

    /// The names of all headers.
    #[cfg(feature = "otlp")]
    pub(crate) fn names(self) -> Vec<&'a str> {
        match self {
            Self::Lines(lines) => lines.iter().map(|line| line.name).collect(),
            Self::Known(lines) => lines.iter().map(|(name, _)| &**name).collect(),
            Self::Map(map) => map.keys().map(HeaderName::as_str).collect(),
        }
    }

    /// The value of the first header of this name.
    pub(crate) fn first(self, name: &HeaderName) -> Option<&'a [u8]> {
        match self {
            Self::Lines(lines) => lines.iter().find(|line| is_called(line.name, name.as_str())).map(|line| line.value),
            Self::Known(lines) => lines.iter().find(|(known, _)| is_called(known, name.as_str())).map(|(_, value)| &**value),
            Self::Map(map) => map.get(name).map(HeaderValue::as_bytes),
        }
    }
}

impl<'a> Iterator for Values<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            Self::Lines(lines, name) => {
                let place = lines.iter().position(|line| is_called(line.name, name));
                let (line, rest) = place.and_then(|place| lines.get(place..)?.split_first()).unzip();
                *lines = rest.unwrap_or_default();
                line.map(|line| line.value)
            }
            Self::Known(lines, name) => {
                let place = lines.iter().position(|(known, _)| is_called(known, name));
                let (line, rest) = place.and_then(|place| lines.get(place..)?.split_first()).unzip();
                *lines = rest.unwrap_or_default();
                line.map(|(_, value)| &**value)
            }
            Self::Map(values) => values.next().map(HeaderValue::as_bytes),
        }
    }
}

fn is_called(own: &str, name: &str) -> bool {
    own.len() == name.len() && own.eq_ignore_ascii_case(name)
}

/// The members of a header that is a list, over all its lines (RFC 9110 §5.6.1).
pub(crate) fn listed<'a>(headers: Headers<'a>, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.all(name).filter_map(text).flat_map(|value| value.split(',')).map(str::trim)
}

/// A value in ASCII, as nearly all are; control characters are in none (RFC 9110 §5.5).
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| text.is_ascii())
}
