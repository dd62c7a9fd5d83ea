//! All subscriptions, made ready: who is told of an event is a look-up in memory.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use catalogues::Catalogues;
use hyper::header::{HeaderName, HeaderValue};
use protocol::id::{ClientId, CustomerId};
use serde_json::Value;
use store::Store;

use crate::change::is_stamps_only;
use crate::event::TopicEvent;
use crate::profile::Profile;
use crate::report::{Reported, SANDBOX};
use crate::sign::Signer;
use crate::subscription::Subscription;
use crate::url::CallbackUrl;

/// A subscription that can be delivered to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The subscription.
    pub subscription: Subscription,
    /// How it is spoken to.
    pub profile: &'static Profile,
    /// Where deliveries go.
    pub url: CallbackUrl,
    /// Why nothing may be sent there any more, where the deployment's rules have changed.
    pub refusal: Option<String>,
    /// With what they are signed.
    pub signer: Signer,
    /// What its owner has each request carry.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose health it shares: owner and callback URL.
    pub health_id: String,
    /// Whether its callback URL is disabled.
    pub disabled: bool,
}

impl Endpoint {
    /// Whether it takes anything now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.subscription.wish.active && !self.disabled && self.subscription.deleted.is_none()
    }
}

/// All subscriptions. Replaced as a whole when one changes.
#[derive(Debug, Default)]
pub struct Book {
    by_id: BTreeMap<String, Arc<Endpoint>>,
    by_number: HashMap<i64, Arc<Endpoint>>,
    by_topic: HashMap<String, Vec<Arc<Endpoint>>>,
    by_health: HashMap<String, Vec<Arc<Endpoint>>>,
}

/// What decides who is told of an event.
#[derive(Debug)]
pub struct Routing<'a> {
    /// The topic's id.
    pub topic: &'a str,
    /// The event as it is kept.
    document: &'a str,
    /// The same, read when somebody's filters ask for it.
    read: OnceCell<Value>,
    /// Whose event it is.
    pub customer: CustomerId,
    /// Whether it comes from a sandbox.
    pub sandbox: bool,
    /// Whether nothing changed but the stamps.
    pub stamps_only: bool,
    /// The one application that it concerns.
    pub application: Option<&'a str>,
}

/// What an application may have now; asked at each event, since grants and installations change.
#[derive(Debug, Clone)]
pub struct Grants {
    /// Where applications are kept.
    pub store: Store,
    /// The topics with their scopes.
    pub catalogues: Arc<Catalogues>,
    /// Whether every application is granted everything and installed everywhere: development.
    pub everything: bool,
}

impl Grants {
    /// Whether an application may be told of an event of a customer; `concerned`: the one application that the event is about.
    ///
    /// Of its own installation an application is told whatever is installed: it may have just been taken away.
    pub(crate) fn allow(&self, application: &ClientId, topic: &str, customer: &CustomerId, concerned: Option<&str>) -> bool {
        self.holds(application, topic)
            && match concerned {
                Some(concerned) => concerned == application.as_str(),
                None => customer.as_str() == SANDBOX || self.installed(application, customer),
            }
    }

    fn holds(&self, application: &ClientId, topic: &str) -> bool {
        let scope = self.catalogues.topic(topic).and_then(|topic| topic.scope.as_deref());
        let granted = |scope| self.store.application(application).is_some_and(|application| application.scopes.contains(scope));
        self.everything || scope.is_none_or(granted)
    }

    fn installed(&self, application: &ClientId, customer: &CustomerId) -> bool {
        self.everything || self.store.application(application).is_some_and(|application| application.customers.contains(customer))
    }
}

impl<'a> Routing<'a> {
    /// What decides who is told of an event as it is kept.
    ///
    /// # Errors
    /// Where the document is no JSON: it has changed on disk.
    pub fn of(event: &'a TopicEvent<'a>, document: &'a str, application: Option<&'a str>) -> Result<Self, serde_json::Error> {
        Ok(Self {
            topic: &event.topic,
            document,
            read: OnceCell::from(serde_json::from_str::<Value>(document)?),
            customer: event.customer,
            sandbox: event.sandbox,
            stamps_only: event.diff.is_some_and(is_stamps_only),
            application,
        })
    }

    /// What decides who is told of a report.
    #[must_use]
    pub fn of_report(reported: &'a Reported) -> Self {
        Self {
            topic: &reported.topic,
            document: &reported.document,
            read: OnceCell::new(),
            customer: reported.customer,
            sandbox: reported.sandbox,
            stamps_only: reported.stamps_only,
            application: reported.application.as_deref(),
        }
    }

    fn event(&self) -> &Value {
        #[expect(
            clippy::expect_used,
            reason = "the document of a report is written by `TopicEvent::encode`, of parts that were read"
        )]
        self.read.get_or_init(|| serde_json::from_str(self.document).expect("an event of our own is JSON"))
    }
}

impl Book {
    /// A book of these.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<Endpoint>>, catalogues: &Catalogues) -> Self {
        let mut book = Self::default();
        for endpoint in endpoints {
            for topic in endpoint.subscription.wish.topics(catalogues) {
                book.by_topic.entry(topic.id.clone()).or_default().push(endpoint.clone());
            }
            book.by_health.entry(endpoint.health_id.clone()).or_default().push(endpoint.clone());
            book.by_number.insert(endpoint.subscription.number, endpoint.clone());
            book.by_id.insert(endpoint.subscription.id.clone(), endpoint);
        }
        book
    }

    /// All endpoints, by the ids of their subscriptions, which are in the order of the milliseconds in which they were made.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.by_id.values()
    }

    /// The endpoint of a subscription.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Arc<Endpoint>> {
        self.by_id.get(id)
    }

    /// The endpoint with this number.
    #[must_use]
    pub fn numbered(&self, number: i64) -> Option<&Arc<Endpoint>> {
        self.by_number.get(&number)
    }

    /// The endpoints that share a callback URL's health.
    #[must_use]
    pub fn sharing(&self, health_id: &str) -> &[Arc<Endpoint>] {
        self.by_health.get(health_id).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether anybody has subscribed to a topic.
    #[must_use]
    pub fn has_topic(&self, topic: &str) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// The endpoints that an event is for, those that take nothing now included.
    pub fn matching(&self, event: &Routing<'_>, grants: &Grants) -> Vec<Arc<Endpoint>> {
        let subscribed = self.by_topic.get(event.topic).map(Vec::as_slice).unwrap_or_default();
        subscribed.iter().filter(|endpoint| is_told(endpoint, event, grants)).cloned().collect()
    }
}

/// Whether an event is for an endpoint.
pub fn is_for(endpoint: &Endpoint, event: &Routing<'_>, grants: &Grants) -> bool {
    let topic = grants.catalogues.topic(event.topic);
    topic.is_some_and(|topic| endpoint.subscription.wish.is_about(topic)) && is_told(endpoint, event, grants)
}

/// Whether an endpoint is told of an event of one of its topics.
fn is_told(endpoint: &Endpoint, event: &Routing<'_>, grants: &Grants) -> bool {
    let Subscription { application, wish, by_operator, .. } = &endpoint.subscription;
    if event.stamps_only && wish.ignore_etag_only_changes {
        return false;
    }
    let names = |customer: &str| wish.customer_ids.iter().any(|named| named.as_str() == customer);
    let is_chosen = match event.sandbox {
        true => names(SANDBOX),
        false => wish.customer_ids.is_empty() || names(event.customer.as_str()),
    };
    let is_allowed = || *by_operator || grants.allow(application, event.topic, &event.customer, event.application);
    is_chosen && is_allowed() && (wish.filters.is_empty() || wish.lets_pass(event.topic, event.event()))
}
