//! Room for connections and sessions: so many at once, each given back when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

/// Of the connections, one in so many is kept for requests, so that sessions never shut a provider out.
const KEPT_FOR_REQUESTS: usize = 10;
/// Descriptors that are not for connections: files, listeners, what the runtime needs.
const DESCRIPTORS_KEPT: usize = 256;

/// The connections that a node has room for.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    counts: Arc<Counts>,
    open: Gauge,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    sessions: AtomicUsize,
}

/// Room for one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Counts>,
    open: Gauge,
}

/// Room for one session; given back when dropped.
#[derive(Debug)]
pub(crate) struct SessionSlot {
    counts: Arc<Counts>,
}

impl Slots {
    /// Room for `max` connections; 0: no limit.
    pub(crate) fn new(max: usize, open: Gauge) -> Self {
        let max = if max == 0 { usize::MAX } else { max };
        Self { max, counts: Arc::default(), open }
    }

    /// Takes room for a connection, if there is any.
    pub(crate) fn take(&self) -> Option<Slot> {
        take_below(&self.counts.connections, self.max)?;
        self.open.inc();
        Some(Slot { counts: self.counts.clone(), open: self.open.clone() })
    }

    /// Takes room for a session, if there is any.
    pub(crate) fn take_session(&self) -> Option<SessionSlot> {
        take_below(&self.counts.sessions, self.max - self.max / KEPT_FOR_REQUESTS)?;
        Some(SessionSlot { counts: self.counts.clone() })
    }
}

fn take_below(count: &AtomicUsize, max: usize) -> Option<()> {
    let taken = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < max).then_some(count + 1));
    taken.ok().map(|_before| ())
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.connections.fetch_sub(1, Ordering::AcqRel);
        self.open.dec();
    }
}

impl Drop for SessionSlot {
    fn drop(&mut self) {
        self.counts.sessions.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Raises the soft descriptor limit to the hard one, and returns how many connections it allows.
pub(crate) fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let descriptors = current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX);
    let connections = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(64);
    tracing::info!(descriptors, connections, "descriptor limit");
    connections
}
