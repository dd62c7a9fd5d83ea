//! How the store is to behave.

use std::time::Duration;

/// How the store is to behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// For how long missed calls are kept. Default 30 days; longer costs disk only.
    pub keep_age: Duration,
    /// How many missed calls of one negotiator are kept; the oldest go first. Default 1,000.
    pub keep_count: u32,
    /// How many writes can wait for the writer; beyond that they are refused. Default 4,096.
    pub queue_max: usize,
    /// How many reads run at once. Default 4; more helps only where the disk is slow to read.
    pub readers: usize,
    /// How long a write or a read can take before it is given up. Default 10 s.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep_age: Duration::from_secs(30 * 24 * 3600),
            keep_count: 1000,
            queue_max: 4096,
            readers: 4,
            timeout: Duration::from_secs(10),
        }
    }
}
