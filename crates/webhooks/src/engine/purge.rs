//! Events of a customer, or of one negotiator, go: on disk, and with it from the windows of those they are queued for.

use store::error::StoreError;
use store::purge::Whose;
use store::webhooks::PurgeStep;

use crate::engine::Engine;

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgedEvents {
    /// Events.
    pub events: usize,
    /// Their deliveries, queued or over.
    pub deliveries: usize,
}

impl Engine {
    /// Takes away what is kept of events. A request that is on its way is not called back; nothing of it is recorded.
    ///
    /// # Errors
    /// Any [`StoreError`]; what was taken away until then is gone.
    pub async fn purge(&self, whose: Whose) -> Result<PurgedEvents, StoreError> {
        let (mut purged, mut after) = (PurgedEvents::default(), 0);
        loop {
            let engine = self.clone();
            // On the writer's thread, as what is enqueued: so the two never pass each other.
            let on_commit = move |step: &PurgeStep| {
                let now = engine.now().as_millisecond();
                let mut schedule = engine.lock();
                step.queued.iter().for_each(|(endpoint, events)| schedule.purged(*endpoint, events, now));
            };
            let step = self.shared.store.purge_webhooks(whose, after, on_commit).await?;
            purged.events += step.events;
            purged.deliveries += step.deliveries;
            match step.next {
                Some(next) => after = next,
                None => return Ok(purged),
            }
        }
    }
}
