//! What the fuzz targets (`crates/fuzz`) call of what is private here; beside theirs only tests are built with it, so that it
//! stays whole.

use crate::ws::heard;

/// What a session hears of bytes that come in these parts, as words, up to the first fault or close.
#[must_use]
pub fn heard(parts: &[&[u8]]) -> Vec<String> {
    heard::heard(parts)
}

/// What a session and what tungstenite hear of the same bytes, where they should agree and do not.
#[must_use]
pub fn difference(bytes: &[u8]) -> Option<[Vec<String>; 2]> {
    heard::difference(bytes)
}
