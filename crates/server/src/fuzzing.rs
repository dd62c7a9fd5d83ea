//! What the fuzz targets (`crates/fuzz`) call of what is private here; beside theirs only tests are built with it, so that it
//! stays whole.

use std::sync::Arc;

use clock::Clock;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use protocol::authorise::Caller;

use crate::auth::Authenticator;
use crate::config::{Config, Flags, Issuer};
use crate::metrics::Metrics;

/// Verifies tokens, at any time.
#[derive(Debug)]
pub struct Verifier {
    authenticator: Authenticator,
    clock: Clock,
}

impl Verifier {
    /// Trusts `issuers`; `None` where that is refused.
    #[must_use]
    pub fn trusting(issuers: Vec<Issuer>) -> Option<Self> {
        let clock = Clock::stepped(Timestamp::UNIX_EPOCH);
        let flags = Flags { dev: true, ..Flags::default() };
        let config = Config { issuers, ..Config::from_parts("", std::iter::empty(), &flags).ok()? };
        let authenticator = Authenticator::new(&config, clock.clone(), &Metrics::register(&mut Registry::default())).ok()?;
        Some(Self { authenticator, clock })
    }

    /// Who brings `token` at `now`, and whether it was verified before; else why it is not good.
    ///
    /// # Errors
    /// The text that the one who sent it is told.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<(Arc<Caller>, bool), String> {
        self.clock.jump(now.duration_since(self.clock.now()));
        match self.authenticator.authenticate(token) {
            Ok(good) => Ok((good.verified.caller, good.known)),
            Err(refusal) => Err(refusal.to_string()),
        }
    }
}
