//! How the receivers behind callback URLs are: what attempts and the passing of time do to it, and who is told.

use std::collections::HashMap;

use protocol::id::CustomerId;
use protocol::json::encode;
use serde_json::json;
use store::documents::Kind;
use store::error::StoreError;
use store::webhooks::DeliveryState;

use crate::book::Endpoint;
use crate::engine::{ChangeError, Engine, OwnEvent};
use crate::health::{Health, Standing};
use crate::profile::HealthPolicy;
use crate::subscription::Subscription;
use crate::verdict::Decision;

/// Who stands for the customer where a subscription is for all.
const NO_CUSTOMER: &str = "none";

/// What the passing of time did to a callback URL.
#[derive(Debug, Clone, Copy)]
enum Passed {
    Disabled,
    Expiring,
    Deleted,
}

impl Engine {
    /// Notes a success or a failure of a callback URL.
    pub(super) fn note_health(&self, endpoint: &Endpoint, decision: &Decision) {
        let Some(policy) = endpoint.profile.health else { return };
        let id = &endpoint.health_id;
        // What was on its way when the last subscription with the URL was changed or went says nothing of who comes later.
        let is_used = self.is_used(id);
        let mut all = self.health();
        if !is_used || (*decision == Decision::Delivered && !all.contains_key(id)) {
            return;
        }
        let health = all.entry(id.clone()).or_default();
        let now = self.now();
        let before = health.clone();
        match decision {
            Decision::Delivered => health.succeed(),
            Decision::Retry(_) | Decision::Dead => health.fail(policy, now),
            Decision::Gone => health.end(now),
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
                let subscription = &endpoint.subscription.id;
                let url = endpoint.url.authority();
                tracing::warn!(%subscription, url, disabled_at = %until, "receiver unhealthy");
                self.tell_owners(id, "webhook.unhealthy", standing);
            }
            (Standing::Unhealthy(..), Standing::Healthy) => {
                let subscription = &endpoint.subscription.id;
                let url = endpoint.url.authority();
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
            let text = encode(&health);
            let standing = health.standing(*policy, now);
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

    /// Puts a health in place of the one that it was made from, if that is still the one, and returns whether it was.
    fn exchange(&self, id: &str, before: &Health, after: Health) -> bool {
        let mut all = self.health();
        let current = all.get_mut(id).filter(|current| *current == before);
        current.map(|current| *current = after).is_some()
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
        let enqueues = book.sharing(health_id).iter().filter_map(|endpoint| {
            let Subscription { id, application, wish, .. } = &endpoint.subscription;
            let data = json!({
                "applicationId": application, "subscriptionId": id, "profile": endpoint.profile.name, "url": wish.url,
                "since": since, "until": until,
            });
            // A subscription for all customers is about none of them.
            let customer = wish.customer_ids.first().copied().or_else(|| CustomerId::parse(NO_CUSTOMER).ok())?;
            let change = self.new_id();
            let time = self.now();
            let data = data.to_string();
            self.match_own(OwnEvent { topic, id: change, customer, entity: id, time, data: &data, in_order: true })
        });
        for enqueue in enqueues.collect::<Vec<_>>() {
            let store = self.shared.store.clone();
            let now = self.now();
            let telling = async move {
                if let Err(error) = store.enqueue(enqueue, None, now).await {
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
        let sharing = book.sharing(health_id);
        let url = sharing.first().map(|endpoint| endpoint.url.authority().to_owned()).unwrap_or_default();
        tracing::warn!(subscriptions = sharing.len(), url, "callback URL disabled: its subscriptions take nothing");
        self.rebuild();
        for endpoint in sharing {
            self.lock().stop(endpoint.subscription.number);
            self.end_queue(endpoint, DeliveryState::Suppressed);
        }
    }

    /// By the health itself: the book follows it a moment later.
    pub(super) fn check_revivable(&self, endpoint: &Endpoint) -> Result<(), ChangeError> {
        let is_over = !endpoint.profile.revivable && self.is_disabled(&endpoint.health_id);
        if is_over { Err(ChangeError::NotRevivable) } else { Ok(()) }
    }

    /// Begins anew with a callback URL that was disabled: all subscriptions that share it take events again.
    pub(super) async fn revive(&self, health_id: &str) -> Result<(), StoreError> {
        self.forget_health(health_id).await?;
        self.rebuild();
        let book = self.book();
        let now = self.now().as_millisecond();
        for endpoint in book.sharing(health_id).iter().filter(|endpoint| endpoint.is_open()) {
            self.lock().open(endpoint.clone(), Some(now), None, now);
        }
        self.shared.woken.notify_one();
        Ok(())
    }

    async fn forget_health(&self, health_id: &str) -> Result<(), StoreError> {
        self.outcomes().health.remove(health_id);
        self.shared.store.remove_document(Kind::Health, health_id.to_owned()).await?;
        self.health().remove(health_id);
        Ok(())
    }

    /// Forgets the health of a callback URL that no subscription has any more: who comes later begins anew.
    pub(super) async fn forget_unused(&self, health_id: &str) -> Result<(), StoreError> {
        if self.is_used(health_id) { Ok(()) } else { self.forget_health(health_id).await }
    }

    /// Whether a subscription has the callback URL that a health is of.
    fn is_used(&self, health_id: &str) -> bool {
        self.book().sharing(health_id).iter().any(|endpoint| endpoint.subscription.deleted.is_none())
    }

    /// Forgets what a run before this one has left of callback URLs that no subscription has.
    pub(super) async fn forget_all_unused(&self) -> Result<(), StoreError> {
        let known: Vec<String> = self.health().keys().cloned().collect();
        for id in known {
            self.forget_unused(&id).await?;
        }
        Ok(())
    }

    pub(super) fn is_disabled(&self, health_id: &str) -> bool {
        let all = self.health();
        all.get(health_id).is_some_and(Health::is_disabled)
    }
}
