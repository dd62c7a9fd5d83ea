//! Deliveries queued anew over a range of time: a job that goes step by step, remembers how far it is, and can be stopped.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::json;
use serde::{Deserialize, Serialize};
use store::documents::{Kind, readable};
use store::error::StoreError;
use store::webhooks::{Candidate, DeliveryState, Requeue, TakenRange};

use crate::book::{Endpoint, Routing, is_for};
use crate::engine::{AGAIN_AFTER, Engine};
use crate::event::TopicEvent;

/// Events that one step looks at.
const STEP_ROWS: u32 = 500;
/// A replay waits while its endpoint has more than this queued: what happens now comes before what happened.
const QUEUED_MAX: i64 = 2000;
const PACE: Duration = Duration::from_millis(50);
/// Replays that are remembered, those that are done included; the oldest go first.
const REMEMBERED_MAX: usize = 100;

/// Which events are queued anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// Those that were given up, cancelled, or came when nothing was taken.
    Failed,
    /// Those that the subscription would have been told, had it been there.
    Missing,
    /// All.
    All,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayRequest {
    /// From when, included.
    pub since: Timestamp,
    /// Until when, not included.
    pub until: Timestamp,
    /// Which events.
    pub status: Which,
}

/// A replay as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Its id, a UUID.
    pub id: String,
    /// The subscription.
    pub subscription_id: String,
    /// From when, by the time at which the broker took an event.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Which events.
    pub status: Which,
    /// `running`, `done` or `stopped`.
    pub state: String,
    /// Deliveries queued.
    pub queued: u64,
    /// How far it is, by the time of the event that was looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
    /// The number of the event that was looked at last.
    #[serde(default)]
    pub after: i64,
    /// When it was asked for.
    pub created: Timestamp,
}

impl Replay {
    fn is_running(&self) -> bool {
        self.state == "running"
    }
}

impl Engine {
    /// Begins a replay; of one subscription one at a time: `None` where one runs.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn replay(&self, subscription_id: &str, request: ReplayRequest) -> Result<Option<Replay>, StoreError> {
        let replay = Replay {
            id: self.new_id().hyphenated(),
            subscription_id: subscription_id.to_owned(),
            since: request.since,
            until: request.until,
            status: request.status,
            state: "running".to_owned(),
            queued: 0,
            reached: None,
            after: 0,
            created: self.now(),
        };
        let forgotten = {
            let mut all = self.replays();
            if all.values().any(|other| other.subscription_id == subscription_id && other.is_running()) {
                return Ok(None);
            }
            all.insert(replay.id.clone(), replay.clone());
            let oldest = all.values().filter(|other| !other.is_running()).map(|other| other.id.clone()).min();
            oldest.filter(|_| all.len() > REMEMBERED_MAX).and_then(|oldest| all.remove(&oldest))
        };
        if let Some(forgotten) = forgotten {
            self.shared.store.remove_document(Kind::Replay, forgotten.id).await?;
        }
        let text = json::encode(&replay);
        if let Err(error) = self.shared.store.put_document(Kind::Replay, replay.id.clone(), text).await {
            self.replays().remove(&replay.id);
            return Err(error);
        }
        self.shared.tasks.spawn(self.clone().run_replay(replay.id.clone()));
        Ok(Some(replay))
    }

    /// A replay.
    #[must_use]
    pub fn replay_of(&self, id: &str) -> Option<Replay> {
        self.replays().get(id).cloned()
    }

    /// Stops a replay; what it has queued stays queued. Returns it as it is then.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn stop_replay(&self, id: &str) -> Result<Option<Replay>, StoreError> {
        let stopped = {
            let mut all = self.replays();
            let Some(replay) = all.get_mut(id) else { return Ok(None) };
            if replay.is_running() {
                "stopped".clone_into(&mut replay.state);
            }
            replay.clone()
        };
        let text = json::encode(&stopped);
        self.shared.store.put_document(Kind::Replay, id.to_owned(), text).await?;
        Ok(Some(stopped))
    }

    pub(super) fn load_replays(&self, documents: Vec<(String, String)>) {
        let mut all = self.replays();
        let read = |(id, text): (String, String)| {
            let replay = readable(Kind::Replay, &id, serde_json::from_str(&text))?;
            Some((id, replay))
        };
        all.extend(documents.into_iter().filter_map(read));
    }

    /// Goes on with what a run before this one had begun.
    pub(super) fn resume_replays(&self) {
        let all = self.replays();
        for replay in all.values().filter(|replay| replay.is_running()) {
            self.shared.tasks.spawn(self.clone().run_replay(replay.id.clone()));
        }
    }

    async fn run_replay(self, id: String) {
        while let Some(replay) = self.replay_of(&id).filter(Replay::is_running) {
            if self.shared.stop.is_cancelled() {
                return;
            }
            let Some(endpoint) = self.find(&replay.subscription_id) else {
                drop(self.stop_replay(&id).await);
                return;
            };
            if self.lock().queued(endpoint.subscription.number) > QUEUED_MAX || !endpoint.is_open() {
                tokio::time::sleep(PACE).await;
                continue;
            }
            if self.step(&replay, &endpoint).await.is_err() {
                // The store has said why.
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }

    async fn step(&self, replay: &Replay, endpoint: &Arc<Endpoint>) -> Result<(), StoreError> {
        let number = endpoint.subscription.number;
        let range = TakenRange { since: replay.since, until: replay.until };
        let candidates = self.shared.store.candidates(number, replay.after, range, STEP_ROWS).await?;
        let mut next = replay.clone();
        if let Some(last) = candidates.last() {
            (next.after, next.reached) = (last.event, Some(last.taken));
        }
        if candidates.len() < STEP_ROWS as usize {
            "done".clone_into(&mut next.state);
        }
        let chosen = candidates.iter().filter(|candidate| self.is_chosen(candidate, replay.status, endpoint));
        let events: Vec<_> = chosen.map(|candidate| candidate.event).collect();
        next.queued += events.len() as u64;
        let now = self.now();
        let kept = (next.id.clone(), json::encode(&next));
        let queued = self.shared.store.requeue(Requeue { endpoint: number, events, due: now, replay: Some(kept) }).await?;
        self.note_step(next);
        self.lock().requeued(number, i64::try_from(queued).unwrap_or(0), now.as_millisecond(), now.as_millisecond());
        self.shared.woken.notify_one();
        Ok(())
    }

    /// A stop that was asked for meanwhile stands.
    fn note_step(&self, next: Replay) {
        let mut all = self.replays();
        if let Some(replay) = all.get_mut(&next.id) {
            let is_stopped = !replay.is_running();
            *replay = next;
            if is_stopped {
                "stopped".clone_into(&mut replay.state);
            }
        }
    }

    /// Whether an event is queued anew: it stands as is asked for, and the subscription would be told of it today.
    fn is_chosen(&self, candidate: &Candidate, which: Which, endpoint: &Endpoint) -> bool {
        let stands = match (which, candidate.state) {
            (_, Some(DeliveryState::Queued)) => false,
            (Which::All, _) => true,
            (Which::Failed, state) => {
                matches!(state, Some(DeliveryState::Dead | DeliveryState::Cancelled | DeliveryState::Suppressed))
            }
            (Which::Missing, state) => state.is_none(),
        };
        stands
            && self.would_be_told(candidate, endpoint).unwrap_or_else(|error| {
                tracing::error!(event = candidate.event, %error, "an event cannot be read, and is not queued anew");
                false
            })
    }

    fn would_be_told(&self, candidate: &Candidate, endpoint: &Endpoint) -> Result<bool, serde_json::Error> {
        let event = TopicEvent::read(&candidate.document)?;
        let concerned = self.concerned(&event);
        Ok(is_for(endpoint, &Routing::of(&event, &candidate.document, concerned.as_deref())?, &self.shared.grants))
    }
}
