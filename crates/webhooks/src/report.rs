//! What other systems report: the body of `POST /events` → events, or every fault with its path. Pure.
//!
//! One report of a change can be several events: of the topic that it names, of the status topics that it fires, and of the related
//! entities that it names. They share the id of the change.

mod check; // what a topic asks of a report

use std::borrow::Cow;

use catalogues::{Catalogues, OWN, ReportContent, Topic};
use jiff::Timestamp;
use protocol::fault::{Faults, Malformed, Members, shown};
use protocol::id::CustomerId;
use protocol::json::{self, Json, Unreadable};
use protocol::time;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::change::{diff, is_stamps_only};
use crate::event::TopicEvent;
use crate::report::check::{check, check_entity};

/// Bytes of one report at most.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a body at most.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Reports in one body at most.
pub const BATCH_MAX: usize = 500;
/// Related entities of one report at most.
pub const RELATED_MAX: usize = 20;
const ENTITY_CHARACTERS_MAX: usize = 128;
/// What is a sandbox whatever the report says: Reapit's own.
pub const SANDBOX: &str = "SBOX";

/// An event, ready to be kept, and what decides who is told.
#[derive(Debug)]
pub struct Reported {
    /// The topic's id.
    pub topic: String,
    /// Whose event it is.
    pub customer: CustomerId,
    /// Whether it comes from a sandbox.
    pub sandbox: bool,
    /// Whether nothing changed but what changes each time.
    pub stamps_only: bool,
    /// The one application that it concerns, where the topic says so.
    pub application: Option<String>,
    /// The id of the change that it is part of.
    pub change: String,
    /// Events with the same key reach an endpoint in order.
    pub key: Option<String>,
    /// The event.
    pub document: String,
}

/// What stands in a body.
#[derive(Debug, Default)]
pub struct Reports {
    /// The events in order.
    pub events: Vec<Reported>,
    /// The catalogue and the customer of each report, without repeats: who reports must be allowed to.
    pub spoken_for: Vec<(String, CustomerId)>,
}

/// Makes an id: called once for a change and once for each event.
pub type NewId<'a> = &'a dyn Fn() -> String;

/// Reads a body: one report, or a list of up to [`BATCH_MAX`]. All of it, or nothing.
///
/// # Errors
/// [`Malformed`].
pub fn read(body: &[u8], catalogues: &Catalogues, new_id: NewId<'_>) -> Result<Reports, Malformed> {
    let mut faults = Faults::default();
    let reports = match json::read(body)? {
        Json::Array(list) => {
            let raw: Vec<&RawValue> = serde_json::from_slice(body).map_err(Unreadable::from)?;
            if list.is_empty() || list.len() > BATCH_MAX {
                faults.add("$", format!("must hold 1 to {BATCH_MAX} events, got {}", list.len()));
                return Err(Malformed::Invalid(faults));
            }
            list.into_iter().zip(raw).enumerate().map(|(place, (json, raw))| (format!("[{place}]"), json, raw)).collect()
        }
        json => vec![(String::new(), json, serde_json::from_slice(body).map_err(Unreadable::from)?)],
    };
    let mut all = Reports::default();
    for (place, json, raw) in reports {
        let mut own = Faults::default();
        if let Some(report) = Report::read(json, raw, catalogues, &mut own) {
            report.events(catalogues, new_id, &mut all);
        }
        for fault in own.as_slice() {
            faults.add(format!("{place}{}", below(&place, &fault.field)), fault.message.clone());
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(Malformed::Invalid(faults)) }
}

/// A path within a report, behind that of the report.
fn below(place: &str, field: &str) -> String {
    match (place.is_empty(), field) {
        (true, field) => field.to_owned(),
        (false, "$") => String::new(),
        (false, field) => format!(".{field}"),
    }
}

/// One report, checked.
struct Report<'a> {
    own: Subject<'a>,
    customer: CustomerId,
    time: Timestamp,
    sandbox: bool,
    data: Option<&'a RawValue>,
    related: Vec<Subject<'a>>,
}

/// What is told of, and by which topic.
struct Subject<'a> {
    topic: &'a Topic,
    entity: Option<Cow<'a, str>>,
    versions: Versions<'a>,
}

/// An entity before and after.
#[derive(Clone, Copy, Default)]
struct Versions<'a> {
    old: Option<&'a RawValue>,
    new: Option<&'a RawValue>,
}

const KNOWN: [&str; 10] =
    ["catalogue", "topic", "customerId", "entityId", "occurredAt", "environment", "old", "new", "data", "related"];

impl<'a> Report<'a> {
    fn read(json: Json<'a>, raw: &'a RawValue, catalogues: &'a Catalogues, faults: &mut Faults) -> Option<Self> {
        if raw.get().len() > EVENT_BYTES_MAX {
            faults.add("$", format!("has {} bytes, {EVENT_BYTES_MAX} are allowed", raw.get().len()));
            return None;
        }
        let mut members = Members::open(json, "", &KNOWN, faults)?;
        let raws: std::collections::BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(raw.get()).ok()?;
        let catalogue = string(members.require("catalogue", faults), "catalogue", faults);
        let topic = string(members.require("topic", faults), "topic", faults);
        let topic = catalogue.zip(topic).and_then(|(catalogue, topic)| find(catalogues, &catalogue, &topic, faults));
        let customer = string(members.require("customerId", faults), "customerId", faults);
        let customer = customer.and_then(|text| {
            CustomerId::parse(&text).map_err(|error| faults.add("customerId", format!("{error}, got {}", shown(&text)))).ok()
        });
        // What concerns an application is about no entity.
        let has_entity = topic.is_none_or(|topic| topic.application.is_none());
        let entity = if has_entity { members.require("entityId", faults) } else { members.take("entityId") };
        let entity = entity.and_then(|json| self::entity(json, "entityId", faults));
        let time = string(members.require("occurredAt", faults), "occurredAt", faults);
        let time = time.and_then(|text| {
            let at = time::read(&text);
            if at.is_none() {
                faults.add("occurredAt", format!("must be a time such as 2020-05-13T09:33:16.8811358Z, got {}", shown(&text)));
            }
            at
        });
        let sandbox = environment(members.take("environment"), faults);
        let mut part =
            |name: &str| members.take(name).and_then(|json| object(&json, name, faults).then(|| raws.get(name).copied())?);
        let (versions, data) = (Versions { old: part("old"), new: part("new") }, part("data"));
        if let Some(topic) = topic {
            check(topic, versions, data, faults);
            check_entity(topic, entity.as_deref(), "entityId", faults);
        }
        let related = members.take("related").map(|json| related(json, raws.get("related").copied(), catalogues, topic, faults));
        let own = Subject { topic: topic?, entity, versions };
        let customer = customer?;
        let time = time?;
        let sandbox = sandbox? || customer.as_str() == SANDBOX;
        Some(Self { own, customer, time, sandbox, data, related: related.unwrap_or_default() })
    }

    fn events(&self, catalogues: &Catalogues, new_id: NewId<'_>, all: &mut Reports) {
        let change = new_id();
        let spoken_for = (self.own.topic.catalogue.clone(), self.customer);
        if !all.spoken_for.contains(&spoken_for) {
            all.spoken_for.push(spoken_for);
        }
        for subject in std::iter::once(&self.own).chain(&self.related) {
            for topic in std::iter::once(subject.topic).chain(subject.versions.fired(catalogues, subject.topic)) {
                all.events.push(self.event(topic, subject, &change, new_id()));
            }
        }
    }

    /// Returns the event of a topic: the subject's own, or one that the change fires.
    fn event(&self, topic: &Topic, subject: &Subject<'_>, change: &str, id: String) -> Reported {
        let Versions { old, new } = subject.versions;
        let both = old.zip(new).filter(|_| topic.id.ends_with(".modified"));
        let diff = both.and_then(|(old, new)| diff(old, new));
        let application = topic.concerned(new.or(self.data));
        let key = topic.ordered_by(self.data).map(|by| format!("{} {} {by}", topic.catalogue, self.customer));
        let event = TopicEvent {
            id: Cow::Owned(id),
            change: Cow::Borrowed(change),
            catalogue: Cow::Borrowed(&topic.catalogue),
            topic: Cow::Borrowed(&topic.id),
            customer: self.customer,
            entity: subject.entity.as_deref().map(Cow::Borrowed),
            time: self.time,
            sandbox: self.sandbox,
            key: key.as_deref().map(Cow::Borrowed),
            new,
            old,
            diff: diff.as_deref(),
            data: self.data,
        };
        Reported {
            topic: topic.id.clone(),
            customer: self.customer,
            sandbox: self.sandbox,
            stamps_only: diff.as_deref().is_some_and(is_stamps_only),
            application,
            change: change.to_owned(),
            document: event.encode(),
            key,
        }
    }
}

impl Versions<'_> {
    /// The status topics that the change fires.
    fn fired<'c>(&self, catalogues: &'c Catalogues, reported: &'c Topic) -> Vec<&'c Topic> {
        let mut statuses = catalogues.statuses(reported);
        if statuses.is_empty() {
            return Vec::new();
        }
        let read = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
        let (old, Some(new)) = (self.old.and_then(read), self.new.and_then(read)) else { return Vec::new() };
        statuses.retain(|(_, when)| when.fires(old.as_ref(), &new));
        statuses.into_iter().map(|(topic, _)| topic).collect()
    }
}

fn find<'c>(catalogues: &'c Catalogues, catalogue: &str, topic: &str, faults: &mut Faults) -> Option<&'c Topic> {
    let reportable = || catalogues.names().filter(|name| *name != OWN);
    if !reportable().any(|name| name == catalogue) {
        let known = reportable().collect::<Vec<_>>().join(", ");
        faults.add("catalogue", format!("must be one that others report to ({known}), got {}", shown(catalogue)));
        return None;
    }
    let found = catalogues.topic(topic).filter(|topic| topic.catalogue == catalogue);
    if found.is_none() {
        let near = catalogues.nearest(topic).filter(|topic| topic.catalogue == catalogue);
        let hint = near.map(|near| format!("; did you mean {}?", near.id)).unwrap_or_default();
        faults.add("topic", format!("is not in the catalogue {catalogue}: {}{hint}", shown(topic)));
    }
    found
}

fn string<'a>(json: Option<Json<'a>>, path: &str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    match json? {
        Json::String(text) => Some(text),
        other => {
            faults.add(path, format!("must be a string, got {}", other.kind()));
            None
        }
    }
}

fn entity<'a>(json: Json<'a>, path: &str, faults: &mut Faults) -> Option<Cow<'a, str>> {
    let text = string(Some(json), path, faults)?;
    let is_good = (1..=ENTITY_CHARACTERS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !is_good {
        faults.add(path, format!("must be 1 to {ENTITY_CHARACTERS_MAX} characters without control characters"));
    }
    is_good.then_some(text)
}

fn environment(json: Option<Json<'_>>, faults: &mut Faults) -> Option<bool> {
    let Some(json) = json else { return Some(false) };
    match string(Some(json), "environment", faults)?.as_ref() {
        "production" => Some(false),
        "sandbox" => Some(true),
        other => {
            faults.add("environment", format!("must be production or sandbox, got {}", shown(other)));
            None
        }
    }
}

fn object(json: &Json<'_>, path: &str, faults: &mut Faults) -> bool {
    let is_object = matches!(json, Json::Object(_));
    if !is_object {
        faults.add(path, format!("must be an object, got {}", json.kind()));
    }
    is_object
}

/// Other entities that the same change is told of: the roles of a contact whose name changed.
fn related<'a>(
    json: Json<'a>,
    raw: Option<&'a RawValue>,
    catalogues: &'a Catalogues,
    of: Option<&Topic>,
    faults: &mut Faults,
) -> Vec<Subject<'a>> {
    let Some(of) = of else { return Vec::new() };
    if of.told == ReportContent::Data {
        faults.add("related", format!("is not used by topics of the catalogue {}", of.catalogue));
        return Vec::new();
    }
    let Json::Array(list) = json else {
        faults.add("related", format!("must be an array, got {}", json.kind()));
        return Vec::new();
    };
    if list.len() > RELATED_MAX {
        faults.add("related", format!("must hold up to {RELATED_MAX} entities, got {}", list.len()));
        return Vec::new();
    }
    let Some(raw) = raw.and_then(|raw| serde_json::from_str::<Vec<&'a RawValue>>(raw.get()).ok()) else {
        faults.add("related", "cannot be read");
        return Vec::new();
    };
    let mut all = Vec::new();
    for (place, (json, raw)) in list.into_iter().zip(raw).enumerate() {
        let mut own = Faults::default();
        all.extend(related_one(json, raw, catalogues, &of.catalogue, &mut own));
        for fault in own.as_slice() {
            let place = format!("related[{place}]");
            faults.add(format!("{place}{}", below(&place, &fault.field)), fault.message.clone());
        }
    }
    all
}

fn related_one<'a>(
    json: Json<'a>,
    raw: &'a RawValue,
    catalogues: &'a Catalogues,
    catalogue: &str,
    faults: &mut Faults,
) -> Option<Subject<'a>> {
    let mut members = Members::open(json, "", &["topic", "entityId", "old", "new"], faults)?;
    let raws: std::collections::BTreeMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(raw.get()).ok()?;
    let topic = string(members.require("topic", faults), "topic", faults);
    let topic = topic.and_then(|topic| find(catalogues, catalogue, &topic, faults));
    let entity = members.require("entityId", faults).and_then(|json| entity(json, "entityId", faults));
    let mut part =
        |name: &str| members.take(name).and_then(|json| object(&json, name, faults).then(|| raws.get(name).copied())?);
    let versions = Versions { old: part("old"), new: part("new") };
    let topic = topic?;
    check(topic, versions, None, faults);
    Some(Subject { topic, entity: Some(entity?), versions })
}

#[cfg(test)]
mod tests;
