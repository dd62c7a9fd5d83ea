//! Answers that several calls give alike.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::faults::ApiError;
use crate::net::outgoing::Outgoing;

/// A JSON document.
pub(crate) fn json_response(status: StatusCode, document: &impl ToString) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::default());
    *response.status_mut() = status;
    response
}

/// Reads a body into a structure. What is no JSON is told with line and column, what is not what it should be with its path. An empty
/// body is an object without members.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let unreadable = |error: serde_json::Error| ApiError::Unreadable(format!("The body cannot be used: {error}"));
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        if !error.is_data() {
            return unreadable(error);
        }
        let (field, message) = (if path == "." { "$" } else { &path }, error.to_string());
        ApiError::invalid(field, message.split(" at line ").next().unwrap_or_default())
    })?;
    reader.end().map_err(unreadable)?;
    Ok(read)
}
