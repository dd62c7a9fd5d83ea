//! Events → who is told: matched in memory, handed to the store in the commit of whoever took them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use catalogues::OWN;
use jiff::Timestamp;
use protocol::id::{CustomerId, EventId};
use serde_json::value::RawValue;
use store::webhooks::{Enqueue, NewDelivery, NewEvent};

use crate::book::Routing;
use crate::engine::Engine;
use crate::event::TopicEvent;
use crate::report::{Reported, SANDBOX};
use crate::schedule::{Item, Key};

/// Something that bellwire itself tells.
#[derive(Debug, Clone, Copy)]
pub struct OwnEvent<'a> {
    /// The topic of bellwire's catalogue.
    pub topic: &'a str,
    /// The id of the change.
    pub id: EventId,
    /// Whose event it is.
    pub customer: CustomerId,
    /// What it is about.
    pub entity: &'a str,
    /// When it happened.
    pub time: Timestamp,
    /// What there is to tell: a JSON object.
    pub data: &'a str,
    /// Whether events about the same are told in order.
    pub in_order: bool,
}

/// An event that is being written, and who is told as soon as it is on disk.
struct Offered {
    customer: CustomerId,
    key: Option<Key>,
    document: Arc<str>,
    deliveries: Vec<NewDelivery>,
}

impl Engine {
    /// Whether anybody has subscribed to a topic: a look-up, for who would have to make an event first.
    #[must_use]
    pub fn is_asked_for(&self, topic: &str) -> bool {
        self.book().has_topic(topic)
    }

    /// What is to be written for an event that bellwire itself tells; nothing where nobody is told.
    #[must_use]
    pub fn match_own(&self, own: OwnEvent<'_>) -> Option<Enqueue> {
        let event = self.own_event(own)?;
        let reported = Reported {
            topic: own.topic.to_owned(),
            customer: own.customer,
            sandbox: event.sandbox,
            stamps_only: false,
            application: self.concerned(&event),
            change: own.id.hyphenated(),
            key: event.key.as_deref().map(str::to_owned),
            document: event.encode(),
        };
        let enqueue = self.match_reports(vec![reported]);
        enqueue.events.iter().any(|event| !event.deliveries.is_empty()).then_some(enqueue)
    }

    fn own_event<'a>(&self, own: OwnEvent<'a>) -> Option<TopicEvent<'a>> {
        Some(TopicEvent {
            id: Cow::Owned(self.new_id().hyphenated()),
            change: Cow::Owned(own.id.hyphenated()),
            catalogue: Cow::Borrowed(OWN),
            topic: Cow::Borrowed(own.topic),
            customer: own.customer,
            entity: Some(Cow::Borrowed(own.entity)),
            time: own.time,
            sandbox: own.customer.as_str() == SANDBOX,
            key: own.in_order.then(|| Cow::Owned(format!("{} {}", own.customer, own.entity))),
            new: None,
            old: None,
            diff: None,
            data: Some(serde_json::from_str(own.data).ok()?),
        })
    }

    /// What is to be written for events that others report: all of them, for those who subscribe later as well.
    #[must_use]
    pub fn match_reports(&self, reported: Vec<Reported>) -> Enqueue {
        let (taken, book) = (self.now(), self.book());
        let mut items = Vec::with_capacity(reported.len());
        // What this batch brings for each endpoint, which the schedule does not know of yet.
        let mut brought: HashMap<i64, i64> = HashMap::new();
        let mut events = Vec::with_capacity(reported.len());
        for reported in reported {
            let due = self.next_due(taken);
            let matching = book.matching(&Routing::of_report(&reported), &self.shared.grants);
            let mut deliveries = Vec::with_capacity(matching.len());
            for endpoint in &matching {
                let number = endpoint.subscription.number;
                let brought = brought.entry(number).or_default();
                let has_room = endpoint.is_open() && self.lock().queued(number) + *brought < self.shared.config.queue_max;
                *brought += i64::from(has_room);
                self.shared.metrics.suppressed.inc_by(u64::from(!has_room));
                deliveries.push(NewDelivery { endpoint: number, due: has_room.then_some(due) });
            }
            let key = reported.key.as_deref().map(Item::key_of);
            let document = Arc::from(reported.document.as_str());
            items.push(Offered { customer: reported.customer, key, document, deliveries: deliveries.clone() });
            events.push(NewEvent { document: reported.document, taken, deliveries });
        }
        let engine = self.clone();
        let on_commit = move |numbers: &[i64]| engine.offer(numbers, items, taken);
        Enqueue { events, on_commit: Box::new(on_commit) }
    }

    /// Takes in what is on disk now. On the writer's thread: the turns are handed out elsewhere.
    fn offer(&self, numbers: &[i64], items: Vec<Offered>, taken: Timestamp) {
        let now = self.now().as_millisecond();
        let mut gone = HashSet::new();
        let mut schedule = self.lock();
        for (&event, offered) in numbers.iter().zip(items) {
            let Offered { customer, key, document, deliveries } = offered;
            for NewDelivery { endpoint, due } in deliveries {
                let Some(due) = due.map(Timestamp::as_millisecond) else { continue };
                let document = document.clone();
                let taken = taken.as_millisecond();
                let item = Item { event, due, failures: 0, sends: 0, taken, customer, key, document };
                if !schedule.offer(endpoint, item, now) {
                    gone.insert(endpoint);
                }
            }
        }
        drop(schedule);
        // It was deleted after the event was matched and before it was written.
        gone.into_iter().for_each(|number| self.cancel_late(number));
        self.shared.woken.notify_one();
    }

    /// Not earlier than that of the event before, whatever the clock does.
    fn next_due(&self, now: Timestamp) -> Timestamp {
        let now = now.as_millisecond();
        let last = self.shared.last_due.fetch_max(now, Ordering::AcqRel);
        Timestamp::from_millisecond(now.max(last)).unwrap_or(Timestamp::MAX)
    }

    /// The example of a topic of bellwire's own, as an event.
    pub(super) fn own_example(&self, example: &str) -> Option<String> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Example<'a> {
            topic: &'a str,
            customer_id: CustomerId,
            entity_id: &'a str,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let Example { topic, customer_id: customer, entity_id: entity, data } = serde_json::from_str(example).ok()?;
        let (id, time, data) = (self.new_id(), self.now(), data.get());
        let own = OwnEvent { topic, id, customer, entity, time, data, in_order: false };
        self.own_event(own).map(|event| event.encode())
    }
}
