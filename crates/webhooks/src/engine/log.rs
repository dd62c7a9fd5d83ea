//! Attempts and deliveries for those who ask, and one more attempt for those who want it.

use std::fmt;

use jiff::Timestamp;
use protocol::id::ClientId;
use protocol::time;
use serde_json::{Value, json};
use store::error::StoreError;
use store::webhooks::{AttemptRow, AttemptsPage, DeliveryState, Requeue};

use super::attempt::Record;
use crate::engine::{Engine, Owner};
use crate::event::TopicEvent;

/// A delivery: an event for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryId {
    event: i64,
    endpoint: i64,
}

impl DeliveryId {
    /// Reads what [`DeliveryId`] is written as.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (event, endpoint) = text.split_once('-')?;
        let number = |text: &str| text.parse().ok().filter(|number: &i64| *number > 0 && number.to_string() == text);
        Some(Self { event: number(event)?, endpoint: number(endpoint)? })
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.event, self.endpoint)
    }
}

/// Which attempts are asked for.
#[derive(Debug, Clone, Default)]
pub struct AttemptsQuery {
    /// Only those before this attempt.
    pub before: Option<i64>,
    /// Only those that began at this moment or later, and before the other.
    pub since: Option<Timestamp>,
    /// Only those that began before this moment.
    pub until: Option<Timestamp>,
    /// Only `success` or `failure`.
    pub outcome: Option<String>,
    /// Only those of this topic.
    pub topic: Option<String>,
    /// How many.
    pub size: u32,
}

/// Attempts, newest first.
#[derive(Debug, Clone)]
pub struct Attempts {
    /// As they are shown.
    pub shown: Vec<Value>,
    /// The attempt to go on before, where there may be more.
    pub next: Option<i64>,
}

/// What became of the wish to send a delivery once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It is due now.
    Queued,
    /// There is none that the owner sees.
    Unknown,
    /// Its subscription takes nothing now.
    Closed,
}

/// A delivery as it is shown.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// As it is shown.
    pub shown: Value,
}

impl Engine {
    /// Attempts of a subscription, newest first; `None` where the owner sees none such. Without an owner, an operator asks, who is told
    /// what stands in the network.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn attempts(&self, id: &str, owner: Option<&Owner>, query: AttemptsQuery) -> Result<Option<Attempts>, StoreError> {
        let Some(endpoint) = self.seen(id, owner) else { return Ok(None) };
        let number = endpoint.subscription.number;
        let before = query.until.map_or(i64::MAX, Timestamp::as_microsecond).min(query.before.unwrap_or(i64::MAX));
        let since = query.since.map_or(i64::MIN, Timestamp::as_microsecond);
        let page = AttemptsPage { before, since, outcome: query.outcome, topic: query.topic, size: query.size };
        let (rows, next) = self.shared.store.attempts(number, page).await?;
        let shown = rows.iter().map(|row| show_attempt(row, number, owner.is_none())).collect();
        Ok(Some(Attempts { shown, next }))
    }

    /// A delivery with its attempts; `None` where the owner sees none such.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn delivery(&self, id: DeliveryId, owner: Option<&Owner>) -> Result<Option<Delivery>, StoreError> {
        let endpoint = self.book().numbered(id.endpoint).cloned();
        let Some(endpoint) = endpoint.and_then(|endpoint| self.seen(&endpoint.subscription.id, owner)) else { return Ok(None) };
        let Some(row) = self.shared.store.delivery(id.event, id.endpoint).await? else { return Ok(None) };
        let event = TopicEvent::read(&row.document);
        let event = event.inspect_err(|error| tracing::error!(event = id.event, %error, "an event cannot be read"));
        let Ok(event) = event else { return Ok(None) };
        let body = (endpoint.profile.render)(&event, row.sends.max(1));
        let state = match row.state {
            DeliveryState::Queued => "queued",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Cancelled => "cancelled",
            DeliveryState::Suppressed => "suppressed",
        };
        let attempts: Vec<_> = row.attempts.iter().map(|row| show_attempt(row, id.endpoint, owner.is_none())).collect();
        let shown = json!({
            "id": id.to_string(), "subscriptionId": endpoint.subscription.id, "eventId": event.change, "webhookId": event.id,
            "topicId": event.topic, "customerId": event.customer, "entityId": event.entity, "eventTime": time::millis(event.time),
            "taken": time::millis(row.taken), "state": state, "sends": row.sends, "nextAttemptAt": row.due.map(time::millis),
            "request": {
                "method": "POST", "url": endpoint.url.to_string(), "contentType": endpoint.profile.content_type,
                "body": String::from_utf8_lossy(&body),
            },
            "attempts": attempts,
        });
        Ok(Some(Delivery { shown }))
    }

    /// Sends a delivery once more, now, whatever became of it.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn retry(&self, id: DeliveryId, owner: &Owner) -> Result<Retried, StoreError> {
        if self.delivery(id, Some(owner)).await?.is_none() {
            return Ok(Retried::Unknown);
        }
        if !self.book().numbered(id.endpoint).is_some_and(|endpoint| endpoint.is_open()) {
            return Ok(Retried::Closed);
        }
        let now = self.now();
        let DeliveryId { event, endpoint } = id;
        let hastened = self.shared.store.hasten(event, endpoint, now).await?;
        let requeue = Requeue { endpoint, events: vec![event], due: now, replay: None };
        let queued = if hastened { 0 } else { self.shared.store.requeue(requeue).await? };
        let millis = now.as_millisecond();
        self.lock().requeued(endpoint, i64::try_from(queued).unwrap_or(0), millis, millis);
        self.shared.woken.notify_one();
        Ok(Retried::Queued)
    }

    /// How many requests were sent for an application, by day, from one day to another.
    ///
    /// # Errors
    /// Any [`StoreError`] but `Full`.
    pub async fn sends(&self, application: &ClientId, from: String, to: String) -> Result<Vec<(String, i64)>, StoreError> {
        self.shared.store.sends(application.to_string(), from, to).await
    }
}

fn show_attempt(row: &AttemptRow, endpoint: i64, for_operator: bool) -> Value {
    let id = row.number.to_string();
    let delivery_id = DeliveryId { event: row.event, endpoint }.to_string();
    let mut record: Record = match serde_json::from_str(&row.document) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(attempt = row.number, endpoint, %error, "an attempt cannot be read");
            return json!({"id": id, "deliveryId": delivery_id, "error": "unreadable"});
        }
    };
    if !for_operator {
        record.for_its_owner();
    }
    let mut shown = json!(record);
    if let Value::Object(shown) = &mut shown {
        shown.insert("id".to_owned(), Value::from(id));
        shown.insert("deliveryId".to_owned(), Value::from(delivery_id));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_cannot_be_read_says_so() {
        let row = AttemptRow { number: 7, event: 3, document: "{}".to_owned() };
        let unreadable = json!({"id": "7", "deliveryId": "3-1", "error": "unreadable"});
        assert_eq!(show_attempt(&row, 1, false), unreadable);
        assert_eq!(show_attempt(&row, 1, true), unreadable);
    }
}
