//! An error in one line. Where a value of `tracing` can hold the error itself, that is better: it tells the causes by itself.

use std::error::Error;

/// Returns what an error says, and what each of its causes says, the nearest first.
#[must_use]
pub fn with_causes(error: &(impl Error + ?Sized)) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
