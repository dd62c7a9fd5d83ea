//! The door of the fuzz targets (`crates/fuzz`) to what is private here; no other build has it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::authorise::Caller;

use crate::auth::Authenticator;

/// Who brings `token` at `now`, and whether it was verified before; else why it is not good.
///
/// # Errors
/// The text that the one who sent it is told.
pub fn authenticate(authenticator: &Authenticator, token: &str, now: Timestamp) -> Result<(Arc<Caller>, bool), String> {
    match authenticator.authenticate(token, now, Duration::ZERO) {
        Ok(good) => Ok((good.caller, good.known)),
        Err(refusal) => Err(refusal.to_string()),
    }
}
