//! The headers of a request, whoever has read it.

use hyper::header::{HeaderMap, HeaderName};

use crate::api::faults::ApiError;

/// What is asked of a request's headers.
pub(crate) trait Headers: Sync {
    /// The values of all headers of this name, in their order.
    fn all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]>;
}

impl Headers for HeaderMap {
    fn all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(|value| value.as_bytes())
    }
}

/// A header that may stand once, as text.
pub(crate) fn single<'a>(headers: &'a impl Headers, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(ApiError::Unreadable(format!("The header {name} is given more than once")));
    }
    let unreadable = || ApiError::Unreadable(format!("The header {name} holds other than visible ASCII characters"));
    first.map(|value| text(value).ok_or_else(unreadable)).transpose()
}

/// The members of a header that is a list, over all its lines (RFC 9110 §5.6.1).
pub(crate) fn listed<'a>(headers: &'a impl Headers, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.all(name).filter_map(text).flat_map(|value| value.split(',')).map(str::trim)
}

/// A value in ASCII, as nearly all are; control characters are in none (RFC 9110 §5.5).
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().filter(|text| text.is_ascii())
}
