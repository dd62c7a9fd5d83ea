//! Outcomes → disk, a batch at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use protocol::id::ClientId;
use protocol::json;
use store::documents::Kind;
use store::error::StoreError;
use store::webhooks::{AttemptOutcome, DeliveryState, OutcomeBatch, Settled};

use crate::book::Endpoint;
use crate::engine::{AGAIN_AFTER, Engine};
use crate::health::Health;

/// How long outcomes gather before they are written: what a crash repeats at most.
const GATHER: Duration = Duration::from_millis(20);
/// Outcomes of one commit at most.
const BATCH_MAX: usize = 1024;
const SECONDS_A_DAY: i64 = 24 * 3600;

/// Outcomes that wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    outcomes: Vec<AttemptOutcome>,
    /// How many requests an application had sent on a day, counted from 1970.
    sends: HashMap<(ClientId, i64), u32>,
    pub(super) health: HashMap<String, Health>,
    /// How many are being written.
    writing: usize,
}

impl Engine {
    /// Takes in an outcome; and a request that was sent for an application.
    pub(super) fn gather(&self, outcome: AttemptOutcome, sent_for: Option<&ClientId>) {
        let day = self.now().as_second().div_euclid(SECONDS_A_DAY);
        let mut gathered = self.outcomes();
        gathered.outcomes.push(outcome);
        if let Some(application) = sent_for {
            *gathered.sends.entry((*application, day)).or_default() += 1;
        }
        drop(gathered);
        self.shared.gathered.notify_one();
    }

    pub(super) fn outcomes_waiting(&self) -> usize {
        let gathered = self.outcomes();
        gathered.outcomes.len() + gathered.writing
    }

    /// Writes what gathers, until the shutdown.
    pub(super) async fn record(self) {
        while !self.shared.stop.is_cancelled() {
            // Cancel safety: a notification that is lost concerns what the flush at the end writes.
            tokio::select! {
                () = self.shared.gathered.notified() => tokio::time::sleep(GATHER).await,
                () = self.shared.stop.cancelled() => {}
            }
            while self.outcomes_waiting() > 0 {
                if self.write().await.is_err() {
                    // The store has said why. What is not written is held, and nothing of it is sent again meanwhile.
                    tokio::time::sleep(AGAIN_AFTER).await;
                    if self.shared.stop.is_cancelled() {
                        return;
                    }
                }
            }
        }
    }

    /// Writes all that has gathered.
    pub async fn flush(&self) {
        while self.outcomes_waiting() > 0 && self.write().await.is_ok() {}
    }

    async fn write(&self) -> Result<(), StoreError> {
        let Gathered { outcomes, sends, health, .. } = self.batch();
        let day = |day: i64| {
            let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(day));
            date.unwrap_or(Date::constant(1970, 1, 1)).to_string()
        };
        let batch = OutcomeBatch {
            outcomes: outcomes.clone(),
            sends: sends.iter().map(|((application, at), count)| (application.to_string(), day(*at), *count)).collect(),
            health: health.iter().map(|(id, health)| (id.clone(), json::encode(health))).collect(),
        };
        let written = self.shared.store.record(batch).await;
        let mut gathered = self.outcomes();
        if written.is_err() {
            gathered.writing = 0;
        }
        match &written {
            Ok(()) => {
                drop(gathered);
                let now = self.now().as_millisecond();
                let mut schedule = self.lock();
                for AttemptOutcome { endpoint, event, disposition, .. } in outcomes {
                    schedule.settled(endpoint, event, disposition.due().map(Timestamp::as_millisecond), now);
                }
                drop(schedule);
                self.outcomes().writing = 0;
                self.shared.woken.notify_one();
            }
            Err(_) => {
                gathered.outcomes.splice(0..0, outcomes);
                for (who, count) in sends {
                    *gathered.sends.entry(who).or_default() += count;
                }
                for (id, health) in health {
                    gathered.health.entry(id).or_insert(health);
                }
            }
        }
        written
    }

    fn batch(&self) -> Gathered {
        let mut gathered = self.outcomes();
        let count = gathered.outcomes.len().min(BATCH_MAX);
        gathered.writing = count;
        let outcomes = gathered.outcomes.drain(..count).collect();
        let (sends, health) = (std::mem::take(&mut gathered.sends), std::mem::take(&mut gathered.health));
        Gathered { outcomes, sends, health, writing: 0 }
    }

    /// Ends what is queued for an endpoint; of one that was taken away, all traces.
    pub(super) fn end_queue(&self, endpoint: &Arc<Endpoint>, state: DeliveryState) {
        let (engine, endpoint) = (self.clone(), endpoint.clone());
        let ending = async move {
            let number = endpoint.subscription.number;
            let Some(settled) = engine.settle(number, state).await else { return };
            engine.lock().emptied(number, settled.upto, settled.queued);
            if state == DeliveryState::Cancelled {
                engine.forget(&endpoint).await;
            }
        };
        self.shared.tasks.spawn(ending);
    }

    /// Cancels what was queued for an endpoint that is forgotten.
    pub(super) fn cancel_late(&self, number: i64) {
        let engine = self.clone();
        let cancelling = async move { engine.settle(number, DeliveryState::Cancelled).await };
        self.shared.tasks.spawn_on(cancelling, &self.shared.runtime);
    }

    /// Ends what is queued for an endpoint now, step by step; `None` where the shutdown came first.
    async fn settle(&self, number: i64, state: DeliveryState) -> Option<Settled> {
        let mut upto = None;
        while !self.shared.stop.is_cancelled() {
            match self.shared.store.settle(number, state, upto).await {
                Ok(settled) if settled.is_done => return Some(settled),
                Ok(settled) => upto = Some(settled.upto),
                Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
            }
        }
        None
    }

    async fn forget(&self, endpoint: &Endpoint) {
        let number = endpoint.subscription.number;
        while !self.shared.stop.is_cancelled() {
            match self.shared.store.forget_endpoint(number).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
            }
        }
        // Were it not removed now, it would be after the next start.
        if self.shared.store.remove_document(Kind::Subscription, endpoint.subscription.id.clone()).await.is_ok() {
            self.lock().forget(number, self.now().as_millisecond());
            self.drop_endpoint(&endpoint.subscription.id);
        }
    }
}
