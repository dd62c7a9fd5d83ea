//! A subscription: which topics and customers go to a URL, and how.

mod read; // a body, read

use catalogues::{Catalogues, Topic, is_uuid};
use jiff::Timestamp;
use protocol::id::{ClientId, CustomerId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::guard::Guard;
use crate::profile::Profile;
use crate::url::{CallbackUrl, Host, Schemes, UrlFault, UrlRule};

pub use self::read::{CUSTOMERS_MAX, Contract};

/// A subscription as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The number of its endpoint: what its queue goes by.
    pub number: i64,
    /// Its id, a UUID.
    pub id: String,
    /// Whose it is.
    pub application: ClientId,
    /// The customer for whom alone the application made it; its token named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<CustomerId>,
    /// Whether operators made it: no application's grants count, and none can change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_operator: bool,
    /// What its owner asks for.
    #[serde(flatten)]
    pub wish: Wish,
    /// The secrets that deliveries are signed with, sealed; the newest first.
    pub secrets: Vec<KeptSecret>,
    /// Headers that its owner has each request carry, sealed: names and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// When it was taken away: what is queued for it is still to be ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
}

/// What the owner of a subscription asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    /// Where deliveries go.
    pub url: String,
    /// What it is for, in the owner's words.
    pub description: String,
    /// The topics.
    pub topic_ids: Vec<String>,
    /// The customers; all that have installed the application, but no sandbox, where there are none.
    pub customer_ids: Vec<CustomerId>,
    /// Whether it takes anything.
    pub active: bool,
    /// Whether a change of nothing but the stamps is kept back.
    pub ignore_etag_only_changes: bool,
    /// The name of its profile.
    pub profile: String,
    /// Whether an asymmetric signature (`v1a`) stands beside `v1`.
    pub asymmetric: bool,
    /// What of its topics it is about, where that is not all: every one of them must let an event pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Whether the receiver's certificate is taken unseen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_tls: bool,
    /// What was asked for in a vendor's own words, where it was asked for in them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub vendor: Value,
}

/// Stands for all topics of a catalogue, those that are yet to come included.
pub const ALL_TOPICS: &str = "*";

/// Lets some events of a topic pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// The topic that it is for; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Where the value stands that it goes by: a JSON pointer into the event as it is kept.
    pub path: String,
    /// The values that it is about.
    pub values: Vec<String>,
    /// Whether those are the ones that do not pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub except: bool,
}

impl Filter {
    fn lets_pass(&self, event: &Value) -> bool {
        let value = event.pointer(&self.path).and_then(Value::as_str).unwrap_or_default();
        let is_named = |named: &String| named == value || (is_uuid(named) && named.eq_ignore_ascii_case(value));
        self.values.iter().any(is_named) != self.except
    }
}

impl Wish {
    /// The topics that it is about, those of a whole catalogue one by one.
    pub fn topics<'c>(&self, catalogues: &'c Catalogues) -> Vec<&'c Topic> {
        match self.topic_ids.as_slice() {
            [all] if all == ALL_TOPICS => catalogues.topics().filter(|topic| self.is_about(topic)).collect(),
            named => named.iter().filter_map(|id| catalogues.topic(id)).collect(),
        }
    }

    /// Whether it is about a topic.
    #[must_use]
    pub fn is_about(&self, topic: &Topic) -> bool {
        let is_whole = || Profile::find(&self.profile).and_then(|profile| profile.catalogue) == Some(&topic.catalogue);
        self.topic_ids.iter().any(|id| *id == topic.id || (id == ALL_TOPICS && is_whole()))
    }

    /// Whether an event of a topic, as it is kept, passes.
    #[must_use]
    pub fn lets_pass(&self, topic: &str, event: &Value) -> bool {
        let mut of_topic = self.filters.iter().filter(|filter| filter.topic.as_deref().is_none_or(|of| of == topic));
        of_topic.all(|filter| filter.lets_pass(event))
    }
}

/// A secret as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSecret {
    /// The sealed secret.
    pub sealed: String,
    /// Until when it is good beside a newer one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What is known of the one who asks.
pub struct Asker<'a> {
    /// The application.
    pub application: ClientId,
    /// Which addresses may be sent to.
    pub guard: &'a Guard,
    /// All topics.
    pub catalogues: &'a Catalogues,
    /// The ports that the deployment allows; all where there are none.
    pub ports: &'a [u16],
    /// Whether receivers on this machine are allowed: development.
    pub loopback: bool,
    /// Whether the application has a scope.
    pub holds: &'a dyn Fn(&str) -> bool,
    /// Whether a customer has installed the application.
    pub installed: &'a dyn Fn(&CustomerId) -> bool,
    /// The customer for whom alone it asks.
    pub bound_to: Option<CustomerId>,
}

impl std::fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").field("bound_to", &self.bound_to).finish_non_exhaustive()
    }
}

fn topic_fault(topic: &Topic, profile: &Profile, asker: &Asker<'_>) -> Option<String> {
    if !is_permitted(topic, asker) {
        let scope = topic.scope.as_deref().unwrap_or_default();
        return Some(format!("{} needs the scope {scope}, which this application has not been granted", topic.id));
    }
    let foreign = profile.catalogue.filter(|catalogue| *catalogue != topic.catalogue)?;
    Some(format!("{} is of the catalogue {}, and the profile {} takes {foreign}", topic.id, topic.catalogue, profile.name))
}

/// Whether an application may subscribe to a topic.
#[must_use]
pub fn is_permitted(topic: &Topic, asker: &Asker<'_>) -> bool {
    topic.scope.as_deref().is_none_or(asker.holds)
}

/// Why the one who asks cannot have deliveries sent to a URL.
pub(crate) fn url_fault(text: &str, profile: &Profile, asker: &Asker<'_>) -> Option<String> {
    match callback_url(text, profile, asker.ports, asker.loopback) {
        Err(fault) => Some(fault.to_string()),
        Ok(url) => match url.host() {
            Host::Address(address) => {
                asker.guard.judge(*address).err().map(|refused| format!("nothing is sent there: {refused}"))
            }
            Host::Name(_) => None,
        },
    }
}

/// Reads a callback URL by the rules of a profile and of the deployment.
///
/// # Errors
/// [`UrlFault`].
pub fn callback_url(text: &str, profile: &Profile, ports: &[u16], loopback: bool) -> Result<CallbackUrl, UrlFault> {
    let rule = UrlRule { schemes: Schemes::Https, ports: profile.ports, ports_open: ports, loopback_http: loopback };
    CallbackUrl::parse(text, rule)
}

#[cfg(test)]
mod tests;
