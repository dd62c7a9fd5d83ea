//! What a topic asks of a report.

use catalogues::{Entity, ReportContent, Topic, is_uuid};
use protocol::fault::{Faults, shown};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Versions;

/// What a topic's event must have, and what must not stand in it.
pub(super) fn check(topic: &Topic, versions: Versions<'_>, data: Option<&RawValue>, faults: &mut Faults) {
    match topic.told {
        ReportContent::Versions => check_versions(topic, versions, data, faults),
        ReportContent::Data => check_data(topic, versions, data, faults),
    }
}

fn check_data(topic: &Topic, versions: Versions<'_>, data: Option<&RawValue>, faults: &mut Faults) {
    for (name, _) in [("old", versions.old), ("new", versions.new)].iter().filter(|(_, version)| version.is_some()) {
        faults.add(*name, format!("is not used by topics of the catalogue {}: data is", topic.catalogue));
    }
    let Some(data) = data.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()) else {
        if !topic.data_optional {
            faults.add("data", "is required");
        }
        return;
    };
    for name in topic.reserved.iter().filter(|name| data.get(name.as_str()).is_some()) {
        faults.add(format!("data.{name}"), "must not be given: it follows from the topic, the entity and the time");
    }
    topic.check(&data, "data", faults);
}

/// What the id of an entity must be by its catalogue.
pub(super) fn check_entity(topic: &Topic, entity: Option<&str>, path: &str, faults: &mut Faults) {
    let Some(entity) = entity else { return };
    let fault = match topic.entity {
        Entity::Text => None,
        // Written without a sign and without zeros in front, so that it is a JSON number.
        Entity::Integer if entity.parse::<u64>().is_ok_and(|number| number.to_string() == entity) => None,
        Entity::Uuid if is_uuid(entity) => None,
        Entity::Integer => Some("must be a whole number in digits"),
        Entity::Uuid => Some("must be a UUID"),
    };
    if let Some(fault) = fault {
        faults.add(path, format!("{fault}, got {}", shown(entity)));
    }
}

fn check_versions(topic: &Topic, versions: Versions<'_>, data: Option<&RawValue>, faults: &mut Faults) {
    if versions.old.is_none() && versions.new.is_none() {
        faults.add("new", "is required, or old where the entity is gone");
    }
    if data.is_some() {
        faults.add("data", format!("is not used by topics of the catalogue {}: old and new are", topic.catalogue));
    }
    if topic.id.ends_with(".created") && versions.old.is_some() {
        faults.add("old", "must be absent: what is created was not there before");
    }
    for (name, version) in [("old", versions.old), ("new", versions.new)] {
        if let Some(value) = version.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()) {
            topic.check(&value, name, faults);
        }
    }
}
