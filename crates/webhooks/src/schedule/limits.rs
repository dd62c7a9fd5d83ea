//! How much is on its way at once.

use super::Lane;

/// Of all slots, the second lane has one in so many.
const SLOW_PART: usize = 4;

/// How much is on its way at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendLimits {
    /// Requests at once, in all. Default 1,024.
    pub in_flight_max: usize,
    /// Requests at once to one endpoint. Default 32; reached step by step while it answers.
    pub per_endpoint_max: usize,
    /// Requests at once to one host. Default 64.
    pub per_host_max: usize,
    /// Bytes of all windows; beyond it deliveries are read from disk a few at a time. Default 64 MiB.
    pub window_bytes_max: usize,
}

impl Default for SendLimits {
    fn default() -> Self {
        Self { in_flight_max: 1024, per_endpoint_max: 32, per_host_max: 64, window_bytes_max: 64 * 1024 * 1024 }
    }
}

impl SendLimits {
    /// The slots of a lane.
    pub(super) fn slots(&self, lane: Lane) -> usize {
        let slow = (self.in_flight_max / SLOW_PART).max(1);
        match lane {
            Lane::Answering => (self.in_flight_max - slow).max(1),
            Lane::Slow => slow,
        }
    }
}
