//! A subscription: which topics and customers go to a URL, and how. What its owner asks for is read here, every fault at once.

use hyper::header::HeaderName;
use jiff::Timestamp;
use protocol::fault::{Faults, Malformed, Members, shown};
use protocol::id::{ClientId, CustomerId};
use protocol::json::{self, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::guard::Guard;
use crate::profile::{PROFILES, Profile, Proof, STANDARD};
use crate::report::SANDBOX;
use crate::sign::Secret;
use crate::url::{CallbackUrl, Host, Schemes, UrlFault, UrlRule};
use catalogues::{Catalogues, Topic, is_uuid};

/// Customers that a subscription can name.
pub const CUSTOMERS_MAX: usize = 1000;
const DESCRIPTION_CHARACTERS_MAX: usize = 1000;

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

/// Which contract a body follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// bellwire's own, after the model of Reapit's portal.
    Native,
    /// Reapit's public `/resthooks`: no customers, the profile is `reapit`.
    Resthooks,
}

const NATIVE: [&str; 10] = [
    "url",
    "description",
    "topicIds",
    "customerIds",
    "active",
    "ignoreEtagOnlyChanges",
    "profile",
    "asymmetric",
    "secret",
    "applicationId",
];
const RESTHOOKS: [&str; 5] = ["url", "description", "topicIds", "active", "ignoreEtagOnlyChanges"];

impl Wish {
    /// Reads what a body asks for, and a secret where it brings one. In a change, what is left out is as in `before`, and the profile
    /// stays.
    ///
    /// # Errors
    /// [`Malformed`], with every fault.
    pub fn read(
        body: &[u8],
        contract: Contract,
        before: Option<&Self>,
        asker: &Asker<'_>,
    ) -> Result<(Self, Option<Secret>), Malformed> {
        let json = json::read(body)?;
        let mut faults = Faults::default();
        let known: &[&str] = match contract {
            Contract::Native => &NATIVE,
            Contract::Resthooks => &RESTHOOKS,
        };
        let read = Members::open(json, "", known, &mut faults).and_then(|members| {
            let mut reading = Reading { members, faults: &mut faults, asker };
            reading.wish(contract, before)
        });
        match read {
            Some(read) if faults.is_empty() => Ok(read),
            _ => Err(Malformed::Invalid(faults)),
        }
    }
}

struct Reading<'a, 'f> {
    members: Members<'a>,
    faults: &'f mut Faults,
    asker: &'f Asker<'f>,
}

impl Reading<'_, '_> {
    fn wish(&mut self, contract: Contract, before: Option<&Wish>) -> Option<(Wish, Option<Secret>)> {
        // What else is wrong is told all the same.
        let profile = self.profile(contract, before).unwrap_or(&STANDARD);
        let url = self.url(profile, before);
        if self.own(contract, "applicationId").is_some_and(|id| id != self.asker.application.as_str()) {
            // The model of Reapit's portal has it; here it can only be the one who asks.
            self.faults.add("applicationId", format!("can only be {}, the application of the token", self.asker.application));
        }
        let description =
            self.text("description").or_else(|| before.map(|before| before.description.clone())).unwrap_or_default();
        if description.chars().count() > DESCRIPTION_CHARACTERS_MAX {
            self.faults.add("description", format!("must have up to {DESCRIPTION_CHARACTERS_MAX} characters"));
        }
        let topic_ids = self.topics(profile, before);
        let customer_ids = self.customers(contract, before);
        let active = self.flag("active").or(before.map(|before| before.active)).unwrap_or(true);
        let ignore = self.flag("ignoreEtagOnlyChanges").or(before.map(|before| before.ignore_etag_only_changes));
        let given = if contract == Contract::Native { self.flag("asymmetric") } else { None };
        let asymmetric = given.or(before.map(|before| before.asymmetric)).unwrap_or(false);
        let secret = self.secret(contract, profile, before);
        if asymmetric && !profile.proofs.contains(&Proof::StandardWebhooks) {
            self.faults.add("asymmetric", format!("the profile {} is always signed with the application's key", profile.name));
        }
        let wish = Wish {
            url: url?,
            description,
            topic_ids: topic_ids?,
            customer_ids: customer_ids?,
            active,
            ignore_etag_only_changes: ignore.unwrap_or(true),
            profile: profile.name.to_owned(),
            asymmetric,
            ..Wish::default()
        };
        Some((wish, secret))
    }

    fn profile(&mut self, contract: Contract, before: Option<&Wish>) -> Option<&'static Profile> {
        let default = match contract {
            Contract::Native => STANDARD.name,
            Contract::Resthooks => "reapit",
        };
        let kept = before.map_or(default, |before| before.profile.as_str());
        let name = self.own(contract, "profile").unwrap_or_else(|| kept.to_owned());
        let found = Profile::find(&name);
        let is_kept = before.is_none() || name == kept;
        if !is_kept {
            self.faults.add("profile", format!("cannot be changed: it is {kept}; make another subscription"));
        } else if found.is_none() {
            let known: Vec<_> =
                PROFILES.iter().filter(|profile| profile.made_with.is_none()).map(|profile| profile.name).collect();
            self.faults.add("profile", format!("must be one of {}, got {}", known.join(", "), shown(&name)));
        }
        let found = found.filter(|_| is_kept)?;
        if let Some(call) = found.made_with {
            self.faults.add("profile", format!("is {name}: its subscriptions are made and changed with {call}"));
            return None;
        }
        Some(found)
    }

    fn url(&mut self, profile: &Profile, before: Option<&Wish>) -> Option<String> {
        let given = match before {
            Some(before) => self.members.take("url").unwrap_or_else(|| Json::String(before.url.clone().into())),
            None => self.members.require("url", self.faults)?,
        };
        let text = match given {
            Json::String(text) => text.into_owned(),
            Json::Array(_) => {
                self.faults.add("url", "must be one URL, got a list: make a subscription for each");
                return None;
            }
            other => {
                self.faults.add("url", format!("must be a string, got {}", other.kind()));
                return None;
            }
        };
        match url_fault(&text, profile, self.asker) {
            Some(fault) => self.faults.add("url", fault),
            None => return Some(text),
        }
        None
    }

    fn topics(&mut self, profile: &Profile, before: Option<&Wish>) -> Option<Vec<String>> {
        let given = match (self.list("topicIds")?, before) {
            (Some(given), _) => given,
            (None, Some(before)) => before.topic_ids.iter().cloned().enumerate().collect(),
            (None, None) => Vec::new(),
        };
        if given.is_empty() {
            self.faults.add("topicIds", "must name at least one topic; GET /webhooks/topics lists them");
            return None;
        }
        let mut topics: Vec<String> = Vec::with_capacity(given.len());
        for (place, id) in given {
            let fault = match self.asker.catalogues.topic(&id) {
                None => Some(self.unknown_topic(&id)),
                Some(topic) => {
                    topic_fault(topic, profile, self.asker).or(topics.contains(&id).then(|| "is given twice".to_owned()))
                }
            };
            match fault {
                Some(fault) => self.faults.add(format!("topicIds[{place}]"), fault),
                None => topics.push(id),
            }
        }
        Some(topics)
    }

    fn unknown_topic(&self, id: &str) -> String {
        let near = self.asker.catalogues.nearest(id).filter(|topic| is_permitted(topic, self.asker));
        let hint = near.map(|near| format!("; did you mean {}?", near.id)).unwrap_or_default();
        format!("is no topic: {}{hint}", shown(id))
    }

    fn customers(&mut self, contract: Contract, before: Option<&Wish>) -> Option<Vec<CustomerId>> {
        let asked = if contract == Contract::Native { self.list("customerIds")? } else { None };
        let given = match (asked, before, self.asker.bound_to) {
            (Some(given), _, None) => given,
            (Some(given), _, Some(own)) => {
                if given.iter().any(|(_, customer)| *customer != own.as_str()) {
                    self.faults.add("customerIds", format!("can only be {own}: the request speaks for that customer alone"));
                }
                vec![(0, own.to_string())]
            }
            (None, _, Some(own)) => vec![(0, own.to_string())],
            (None, Some(before), None) => return Some(before.customer_ids.clone()),
            (None, None, None) => Vec::new(),
        };
        if given.len() > CUSTOMERS_MAX {
            self.faults.add("customerIds", format!("must name up to {CUSTOMERS_MAX} customers, got {}", given.len()));
            return None;
        }
        let mut customers = Vec::with_capacity(given.len());
        for (place, text) in &given {
            let path = format!("customerIds[{place}]");
            match CustomerId::parse(text) {
                Err(error) => self.faults.add(path, format!("{error}, got {}", shown(text))),
                Ok(customer) if customers.contains(&customer) => self.faults.add(path, "is given twice"),
                Ok(customer) if text != SANDBOX && !(self.asker.installed)(&customer) => {
                    self.faults.add(path, format!("{customer} has not installed this application"));
                }
                Ok(customer) => customers.push(customer),
            }
        }
        Some(customers)
    }

    fn secret(&mut self, contract: Contract, profile: &Profile, before: Option<&Wish>) -> Option<Secret> {
        let text = self.own(contract, "secret")?;
        if before.is_some() {
            self.faults.add("secret", "is changed with POST …/secret/rotate, so that the old one stays valid for a while");
            return None;
        }
        if !profile.proofs.contains(&Proof::StandardWebhooks) {
            self.faults.add("secret", format!("the profile {} has none", profile.name));
            return None;
        }
        let secret = Secret::parse(&text);
        if secret.is_none() {
            self.faults.add("secret", "must be whsec_ and 24 to 64 bytes in base64");
        }
        secret
    }

    /// A text that only bellwire's own contract knows; in another it was told as unknown already.
    fn own(&mut self, contract: Contract, name: &str) -> Option<String> {
        if contract == Contract::Native { self.text(name) } else { None }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.members.take(name)? {
            Json::String(text) => Some(text.into_owned()),
            other => {
                self.faults.add(name, format!("must be a string, got {}", other.kind()));
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        match self.members.take(name)? {
            Json::Bool(flag) => Some(flag),
            other => {
                self.faults.add(name, format!("must be true or false, got {}", other.kind()));
                None
            }
        }
    }

    /// A list of strings with their places; `None` where it is something else, `Some(None)` where it is not there.
    #[expect(clippy::option_option, reason = "faulty, absent and there are three things")]
    fn list(&mut self, name: &str) -> Option<Option<Vec<(usize, String)>>> {
        let Some(json) = self.members.take(name) else { return Some(None) };
        let Json::Array(list) = json else {
            self.faults.add(name, format!("must be an array, got {}", json.kind()));
            return None;
        };
        let mut texts = Vec::with_capacity(list.len());
        for (place, json) in list.into_iter().enumerate() {
            match json {
                Json::String(text) => texts.push((place, text.into_owned())),
                other => self.faults.add(format!("{name}[{place}]"), format!("must be a string, got {}", other.kind())),
            }
        }
        Some(Some(texts))
    }
}

/// Headers that a receiver's owner cannot have sent: the server's own, those of the connection and of the body.
const HEADERS_OWN: [&str; 12] = [
    "host",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "user-agent",
    "x-signature",
    "accept-encoding",
    "range",
];
/// The same, by how they begin.
const HEADERS_OWN_BEGIN: [&str; 5] = ["content-", "proxy-", "webhook-", "x-benemen-", "reapit-webhook-"];
/// What is shown in place of a value that lets in who has it.
pub const HIDDEN: &str = "***";
/// Headers that a request can be made to carry.
pub const HEADERS_MAX: usize = 20;
const HEADER_BYTES_MAX: usize = 1024;

/// What is wrong with a header that each request is to carry.
#[must_use]
pub fn header_fault(name: &str, value: &str) -> Option<String> {
    let Ok(parsed) = name.parse::<HeaderName>() else {
        return Some("is no name of a header: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 §5.6.2)".to_owned());
    };
    let parsed = parsed.as_str();
    if HEADERS_OWN.contains(&parsed) || HEADERS_OWN_BEGIN.iter().any(|begin| parsed.starts_with(begin)) {
        return Some("is set by the server".to_owned());
    }
    value_fault(name, value)
}

/// What is wrong with the value of a header.
#[must_use]
pub fn value_fault(name: &str, value: &str) -> Option<String> {
    if value == HIDDEN {
        return Some("stands for a value that is not shown; give the value itself".to_owned());
    }
    let is_plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && value.trim() == value;
    if !is_plain || name.len() + value.len() > HEADER_BYTES_MAX {
        return Some(format!("must be visible ASCII without space at its ends, up to {HEADER_BYTES_MAX} bytes with its name"));
    }
    None
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
