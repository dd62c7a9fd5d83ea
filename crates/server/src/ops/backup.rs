//! A copy of the store, sent to who asks for it.
//!
//! It is sent rather than written to a path on the node's machine: whoever may speak to this listener could else have files written
//! there, most nodes may write nowhere but into their data folder, and a copy on the same disk is none.

use hyper::Response;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use store::backup::{BackupError, Copied};

use crate::api::call::Asking;
use crate::api::faults::{ApiError, Unavailable};
use crate::net::outgoing::{FileBody, Outgoing};

/// `GET /backup`: the database as it is now, one file of SQLite's. Without the key that secrets are sealed with.
pub(super) async fn answer(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let acting = of.node.clone();
    let copied = of.node.store.back_up(move || !acting.is_draining()).await.map_err(|error| refuse(&error))?;
    tracing::info!(bytes = copied.bytes, "store copied for an operator");
    let Copied { file, bytes, turn } = copied;
    let mut response = Response::new(Outgoing::File(FileBody::read(file, bytes, turn)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3"));
    // What is sent takes its time: the connection is not counted as idle, and is not used again.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

fn refuse(error: &BackupError) -> ApiError {
    match error {
        BackupError::Running => ApiError::Conflict("Another backup is being made; only one can be at a time".to_owned()),
        BackupError::NoRoom => ApiError::Unavailable(Unavailable::StoreFull),
        BackupError::Stopped => ApiError::Unavailable(Unavailable::Draining),
        BackupError::File(_) | BackupError::Failed(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "the store cannot be copied");
            ApiError::Internal
        }
    }
}
