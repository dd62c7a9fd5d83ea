//! Answers that several calls give alike.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use protocol::fault::Malformed;

use crate::http::error::{ApiError, Body};

/// A JSON document.
pub(crate) fn json_response(status: StatusCode, document: &impl ToString) -> Response<Body> {
    let mut response = Response::new(Full::from(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// What is told of a body that cannot be used.
pub(crate) fn refuse_body(malformed: Malformed) -> ApiError {
    match malformed {
        Malformed::Unreadable(error) => ApiError::Unreadable(format!("The body cannot be used: {error}")),
        Malformed::Invalid(faults) => ApiError::Invalid(faults),
    }
}
