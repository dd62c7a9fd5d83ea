//! A subscription as it is shown to its owner and to operators.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use protocol::id::{ClientId, CustomerId};
use serde_json::{Value, json};

use crate::book::Endpoint;
use crate::engine::Engine;
use crate::header::HIDDEN;
use crate::health::Standing;
use crate::profile::{Profile, Statuses};
use crate::sign::Secret;
use crate::subscription::Subscription;

/// A subscription as it is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its id.
    pub id: String,
    /// Where deliveries go.
    pub url: String,
    /// Whose it is.
    pub application: ClientId,
    /// As bellwire's own API shows it.
    pub native: Value,
    /// As Reapit's `/resthooks` shows it.
    pub resthook: Value,
    /// When it was last changed.
    pub modified: Timestamp,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it takes anything, by its owner's wish.
    pub active: bool,
    /// Its profile's name.
    pub profile: &'static str,
    /// What was asked for in a vendor's own words.
    pub vendor: Value,
    /// The customers that it is for.
    pub customers: Vec<CustomerId>,
}

impl Engine {
    /// Shows a subscription, with its secret where it is new.
    pub(super) fn show(&self, endpoint: &Endpoint, secret: Option<&Secret>) -> Shown {
        let Subscription { id, application, wish, secrets, created, modified, number, .. } = &endpoint.subscription;
        let resthook = json!({
            "id": id, "created": created, "modified": modified, "url": wish.url, "description": wish.description,
            "topicIds": wish.topic_ids, "active": wish.active, "ignoreEtagOnlyChanges": wish.ignore_etag_only_changes,
        });
        let mut native = resthook.clone();
        let key = self.app_key(application);
        let rotating = secrets.iter().filter_map(|secret| secret.until).filter(|until| *until > self.now()).max();
        // The names alone: values let in who has them.
        let headers: BTreeMap<_, _> = endpoint.headers.iter().map(|(name, _)| (name.as_str(), HIDDEN)).collect();
        let own = json!({
            "applicationId": application, "customerIds": wish.customer_ids, "profile": wish.profile,
            "filters": wish.filters, "insecureTls": wish.insecure_tls, "headers": headers,
            "asymmetric": wish.asymmetric, "signingKeyId": key.as_ref().map(|key| key.id().to_owned()),
            "publicKey": key.as_ref().filter(|_| wish.asymmetric).map(|key| key.public_standard()),
            "oldSecretUntil": rotating, "queued": self.lock().queued(*number), "health": self.show_health(endpoint),
            "effectivePolicy": policy(endpoint.profile),
        });
        if let (Value::Object(native), Value::Object(own)) = (&mut native, own) {
            native.extend(own);
            native.extend(secret.map(|secret| ("secret".to_owned(), Value::from(secret.shown()))));
        }
        let (profile, active) = (endpoint.profile.name, wish.active);
        let (vendor, customers) = (wish.vendor.clone(), wish.customer_ids.clone());
        let (id, url, application) = (id.clone(), wish.url.clone(), *application);
        let (modified, created) = (*modified, *created);
        Shown { id, url, application, native, resthook, modified, created, active, profile, vendor, customers }
    }

    fn show_health(&self, endpoint: &Endpoint) -> Value {
        let now = self.now();
        let paused = self.lock().closed_until(endpoint.subscription.number, now.as_millisecond());
        let paused = paused.map(|pause| now + SignedDuration::try_from(pause).unwrap_or_default());
        let all = self.health();
        let standing = endpoint.profile.health.zip(all.get(&endpoint.health_id));
        match standing.map(|(policy, health)| health.standing(policy, now)) {
            None | Some(Standing::Healthy) => json!({"state": "healthy", "pausedUntil": paused}),
            Some(Standing::Unhealthy(since, until)) => {
                json!({"state": "unhealthy", "since": since, "disabledAt": until, "pausedUntil": paused})
            }
            Some(Standing::Disabled(since, until)) => json!({"state": "disabled", "since": since, "deletedAt": until}),
            Some(Standing::Deleted(_)) => json!({"state": "deleted"}),
        }
    }
}

/// How a profile behaves, for its subscriber.
fn policy(profile: &Profile) -> Value {
    let seconds = |duration: Duration| duration.as_secs();
    json!({
        "success": ranges(profile.success), "retry": ranges(profile.retry), "final": ranges(profile.final_),
        "gone": ranges(profile.gone), "attempts": profile.schedule.len() + 1,
        "scheduleSeconds": profile.schedule.iter().copied().map(seconds).collect::<Vec<_>>(),
        "jitterPercent": profile.jitter_percent, "retryAfterMaxSeconds": profile.retry_after_max.map(seconds),
        "responseTimeoutSeconds": seconds(profile.response_timeout), "retrySandbox": profile.retry_sandbox,
        "unhealthyAfterFailures": profile.health.map(|health| health.failures),
        "unhealthyAfterSeconds": profile.health.map(|health| seconds(health.over)),
        "disabledAfterSeconds": profile.health.map(|health| seconds(health.disabled_after)),
        "deletedAfterSeconds": profile.health.and_then(|health| health.deleted_after).map(seconds),
    })
}

fn ranges(statuses: Statuses) -> Vec<String> {
    statuses.0.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") }).collect()
}
