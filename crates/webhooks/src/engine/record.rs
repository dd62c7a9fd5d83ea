//! Outcomes → disk, a batch at a time; and the health of callback URLs, which follows from them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use protocol::id::{ClientId, CustomerId};
use serde_json::json;
use store::documents::Kind;
use store::error::StoreError;
use store::webhooks::{Outcome, Outcomes, State};

use crate::book::Endpoint;
use crate::engine::{AGAIN_AFTER, Engine, OwnEvent};
use crate::health::{Health, Standing};
use crate::profile::HealthPolicy;
use crate::subscription::Subscription;
use crate::verdict::Next;

/// Who stands for the customer where a subscription is for all.
const NO_CUSTOMER: &str = "none";
/// How long outcomes gather before they are written: what a crash repeats at most.
const GATHER: Duration = Duration::from_millis(20);
/// Outcomes of one commit at most.
const BATCH_MAX: usize = 1024;
const SECONDS_A_DAY: i64 = 24 * 3600;

/// What the passing of time did to a callback URL.
#[derive(Debug, Clone, Copy)]
enum Passed {
    Disabled,
    Expiring,
    Deleted,
}

/// Outcomes that wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    outcomes: Vec<Outcome>,
    /// How many requests an application had sent on a day, counted from 1970.
    sends: HashMap<(ClientId, i64), u32>,
    health: HashMap<String, Health>,
    /// How many are being written.
    writing: usize,
}

impl Engine {
    /// Takes in an outcome; and a request that was sent for an application.
    pub(super) fn gather(&self, outcome: Outcome, sent_for: Option<&ClientId>) {
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
        let batch = Outcomes {
            outcomes: outcomes.clone(),
            sends: sends.iter().map(|((application, at), count)| (application.to_string(), day(*at), *count)).collect(),
            health: health.iter().map(|(id, health)| (id.clone(), serde_json::to_string(health).unwrap_or_default())).collect(),
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
                for Outcome { endpoint, event, next, .. } in outcomes {
                    schedule.settled(endpoint, event, next.ok().map(jiff::Timestamp::as_millisecond), now);
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

    /// Notes a success or a failure of a callback URL.
    pub(super) fn note_health(&self, endpoint: &Endpoint, next: &Next) {
        let Some(policy) = endpoint.profile.health else { return };
        let id = &endpoint.health_id;
        // What was on its way when the last subscription with the URL was changed or went says nothing of who comes later.
        if !self.is_used(id) {
            return;
        }
        let mut all = self.health();
        if *next == Next::Delivered && !all.contains_key(id) {
            return;
        }
        let health = all.entry(id.clone()).or_default();
        let (now, before) = (self.now(), health.clone());
        match next {
            Next::Delivered => health.succeed(),
            Next::Retry(_) | Next::Dead => health.fail(policy, now),
            Next::Gone => health.end(now),
        }
        let after = health.clone();
        if after.is_blank() {
            all.remove(id);
        }
        drop(all);
        if after != before {
            self.outcomes().health.insert(id.clone(), after.clone());
        }
        let standing = after.standing(policy, now);
        match (before.standing(policy, now), standing) {
            (Standing::Healthy, Standing::Unhealthy(_, until)) => {
                let (subscription, url) = (&endpoint.subscription.id, endpoint.url.authority());
                tracing::warn!(%subscription, url, disabled_at = %until, "receiver unhealthy");
                self.tell_owners(id, "webhook.unhealthy", standing);
            }
            (Standing::Unhealthy(..), Standing::Healthy) => {
                let (subscription, url) = (&endpoint.subscription.id, endpoint.url.authority());
                tracing::info!(%subscription, url, "receiver healthy again");
            }
            _ => {}
        }
        if after.is_disabled() && !before.is_disabled() {
            self.disable(id, standing);
        }
    }

    /// Lets time pass for callback URLs that fail, also where nothing is queued for them.
    pub(super) async fn pass_health(&self) {
        let now = self.now();
        let book = self.book();
        let policies: HashMap<&str, HealthPolicy> =
            book.endpoints().filter_map(|endpoint| Some((endpoint.health_id.as_str(), endpoint.profile.health?))).collect();
        let mut due = Vec::new();
        for (id, before) in self.health().iter() {
            let Some(policy) = policies.get(id.as_str()) else { continue };
            let mut health = before.clone();
            if health.pass(*policy, now) {
                due.push((id.clone(), before.clone(), health, Passed::Disabled));
            } else if health.warn(*policy, now) {
                due.push((id.clone(), before.clone(), health, Passed::Expiring));
            } else if matches!(health.standing(*policy, now), Standing::Deleted(_)) {
                due.push((id.clone(), before.clone(), health, Passed::Deleted));
            }
        }
        for (id, before, health, passed) in due {
            let Some(policy) = policies.get(id.as_str()) else { continue };
            let (text, standing) = (serde_json::to_string(&health).unwrap_or_default(), health.standing(*policy, now));
            // On disk first: what the disk refuses, or what has changed meanwhile, is seen again at the next look.
            if self.shared.store.put_document(Kind::Health, id.clone(), text).await.is_err()
                || !self.exchange(&id, &before, health)
            {
                continue;
            }
            match passed {
                Passed::Disabled => self.disable(&id, standing),
                Passed::Expiring => self.tell_owners(&id, "webhook.expiring", standing),
                Passed::Deleted => {
                    self.tell_owners(&id, "webhook.deleted", standing);
                    self.delete_all_of(&id).await;
                }
            }
        }
    }

    /// Puts a health in place of the one that it was made from, if that is still the one; gives whether.
    fn exchange(&self, id: &str, before: &Health, after: Health) -> bool {
        let mut all = self.health();
        let current = all.get_mut(id).filter(|current| *current == before);
        current.map(|current| *current = after).is_some()
    }

    pub(super) fn forget_gathered_health(&self, id: &str) {
        self.outcomes().health.remove(id);
    }

    /// Tells the owners of all subscriptions that share a callback URL's health how it is, if they ask.
    fn tell_owners(&self, health_id: &str, topic: &'static str, standing: Standing) {
        if !self.is_asked_for(topic) {
            return;
        }
        let (since, until) = match standing {
            Standing::Unhealthy(since, until) => (since, Some(until)),
            Standing::Disabled(since, until) => (since, until),
            Standing::Deleted(since) => (since, None),
            Standing::Healthy => (self.now(), None),
        };
        let book = self.book();
        let sharing = book.endpoints().filter(|endpoint| endpoint.health_id == health_id);
        let hand_overs = sharing.filter_map(|endpoint| {
            let Subscription { id, application, wish, .. } = &endpoint.subscription;
            let data = json!({
                "applicationId": application, "subscriptionId": id, "profile": endpoint.profile.name, "url": wish.url,
                "since": since, "until": until,
            });
            // A subscription for all customers is about none of them.
            let customer = wish.customer_ids.first().copied().or_else(|| CustomerId::parse(NO_CUSTOMER).ok())?;
            let (change, time, data) = (self.new_id(), self.now(), data.to_string());
            self.own(OwnEvent { topic, id: change, customer, entity: id, time, data: &data, in_order: true })
        });
        for hand_over in hand_overs.collect::<Vec<_>>() {
            let (store, now) = (self.shared.store.clone(), self.now());
            let telling = async move {
                if let Err(error) = store.hand_over(hand_over, None, now).await {
                    tracing::warn!(%error, topic, "an owner is not told");
                }
            };
            self.shared.tasks.spawn(telling);
        }
    }

    /// Sends nothing more to a callback URL: all subscriptions that share it take nothing any more.
    fn disable(&self, health_id: &str, standing: Standing) {
        self.shared.metrics.disabled.inc();
        self.tell_owners(health_id, "webhook.disabled", standing);
        let book = self.book();
        let sharing: Vec<_> = book.endpoints().filter(|endpoint| endpoint.health_id == health_id).cloned().collect();
        let url = sharing.first().map(|endpoint| endpoint.url.authority().to_owned()).unwrap_or_default();
        tracing::warn!(subscriptions = sharing.len(), url, "callback URL disabled: its subscriptions take nothing");
        self.rebuild();
        for endpoint in sharing {
            self.lock().stop(endpoint.subscription.number);
            self.end_queue(&endpoint, State::Suppressed);
        }
    }

    /// Ends what is queued for an endpoint, step by step; of one that was taken away, all traces.
    pub(super) fn end_queue(&self, endpoint: &Arc<Endpoint>, state: State) {
        let (engine, endpoint) = (self.clone(), endpoint.clone());
        let ending = async move {
            let number = endpoint.subscription.number;
            let mut upto = None;
            while !engine.shared.stop.is_cancelled() {
                match engine.shared.store.settle(number, state, upto).await {
                    Ok(settled) if settled.is_done => {
                        engine.lock().emptied(number, settled.upto, settled.queued);
                        if state == State::Cancelled {
                            engine.forget(&endpoint).await;
                        }
                        return;
                    }
                    Ok(settled) => upto = Some(settled.upto),
                    Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
            }
        };
        self.shared.tasks.spawn(ending);
    }

    /// Cancels what was queued for an endpoint that is forgotten.
    pub(super) fn cancel_late(&self, number: i64) {
        let engine = self.clone();
        let cancelling = async move {
            while !engine.shared.stop.is_cancelled() {
                match engine.shared.store.settle(number, State::Cancelled, None).await {
                    Ok(settled) if settled.is_done => return,
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                }
            }
        };
        self.shared.tasks.spawn_on(cancelling, &self.shared.runtime);
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
