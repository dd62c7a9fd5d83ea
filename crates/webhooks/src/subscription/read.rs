//! A body of bellwire's own contract, or of Reapit's → what is asked for, every fault at once.

use protocol::fault::{Faults, Malformed, Members, shown};
use protocol::id::CustomerId;
use protocol::json::{self, Json};

use super::{Asker, Wish, is_permitted, topic_fault, url_fault};
use crate::profile::{PROFILES, Profile, Proof, STANDARD};
use crate::report::SANDBOX;
use crate::sign::Secret;

/// Customers that a subscription can name.
pub const CUSTOMERS_MAX: usize = 1000;
const DESCRIPTION_CHARACTERS_MAX: usize = 1000;

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
