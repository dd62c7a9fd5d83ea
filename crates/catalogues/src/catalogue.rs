//! The topics there are, as data: `protocol/catalogues/`, compiled in.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use jsonschema::Validator;
use protocol::fault::Faults;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::when::Trigger;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../protocol/catalogues");

/// The catalogue of what bellwire itself tells.
pub const OWN: &str = "bellwire";
/// How many faults of one value are told.
const FAULTS_MAX: usize = 20;
/// How many characters of a fault are told.
const MESSAGE_CHARACTERS_MAX: usize = 200;

/// A build whose catalogues cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue {name} of this build cannot be used: {fault}")]
pub struct CatalogueError {
    name: String,
    fault: String,
}

/// All topics.
#[derive(Debug)]
pub struct Catalogues {
    by_topic: BTreeMap<String, Topic>,
    names: Vec<String>,
}

/// A kind of event that can be subscribed to.
#[derive(Debug)]
pub struct Topic {
    /// Its id, unique over all catalogues: `contacts.modified`.
    pub id: String,
    /// Its catalogue.
    pub catalogue: String,
    /// A title.
    pub name: String,
    /// When it occurs.
    pub description: String,
    /// The scope that an application needs; none where there is none.
    pub scope: Option<String>,
    /// When it fires with a change of its entity that is reported under another topic.
    pub when: Option<Trigger>,
    /// Where in `new` or `data` the one application stands that it concerns.
    pub application: Option<String>,
    /// What a report of it tells.
    pub told: ReportContent,
    /// Whether `data` can be left out.
    pub data_optional: bool,
    /// What `entityId` is.
    pub entity: Entity,
    /// Where in `data` the value stands by which events are told in order.
    pub order: Option<Arc<str>>,
    /// JSON Schema of `old` and `new`, or of `data`.
    pub schema: Value,
    /// Members that `data` must not have, since the server puts them in.
    pub reserved: Arc<[String]>,
    /// An event of it, as `POST /events` takes it.
    pub example: &'static str,
    validator: Validator,
}

/// What a report of a topic tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReportContent {
    /// An entity before and after: `old` and `new`.
    #[default]
    Versions,
    /// What happened: `data`.
    Data,
}

/// Whether a text is a UUID, in either case.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let is_part = |(part, length): (&str, usize)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('-').count() == lengths.len() && text.split('-').zip(lengths).all(is_part)
}

/// What the id of an entity is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entity {
    /// Any text.
    #[default]
    Text,
    /// A whole number in digits.
    Integer,
    /// A UUID.
    Uuid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    catalogue: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(default)]
    told: ReportContent,
    #[serde(default)]
    order: Option<String>,
    #[serde(default)]
    reserved: Vec<String>,
    topics: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    id: String,
    name: String,
    description: String,
    scope: Option<String>,
    schema: String,
    when: Option<Trigger>,
    application: Option<String>,
    #[serde(default)]
    data_optional: bool,
    #[serde(default)]
    entity: Entity,
    #[serde(default, rename = "later")]
    _later: bool,
}

impl Catalogues {
    /// Reads what was compiled in.
    ///
    /// # Errors
    /// [`CatalogueError`]: a fault of the build.
    pub fn load() -> Result<Self, CatalogueError> {
        let mut catalogues = Self { by_topic: BTreeMap::new(), names: Vec::new() };
        for folder in FILES.dirs() {
            let name = folder.path().display().to_string();
            catalogues.add(&name).map_err(|fault| CatalogueError { name, fault })?;
        }
        Ok(catalogues)
    }

    fn add(&mut self, name: &str) -> Result<(), String> {
        let file: File = serde_json::from_str(text(&format!("{name}/catalogue.json"))?).map_err(|error| error.to_string())?;
        let (reserved, order): (Arc<[String]>, Option<Arc<str>>) = (file.reserved.into(), file.order.map(Arc::from));
        for entry in file.topics {
            let schema = text(&format!("{name}/schemas/{}.json", entry.schema))?;
            let schema: Value = serde_json::from_str(schema).map_err(|error| format!("{}: {error}", entry.schema))?;
            let validator = jsonschema::validator_for(&schema).map_err(|error| format!("{}: {error}", entry.schema))?;
            let example = text(&format!("{name}/examples/{}.json", entry.id))?;
            let Entry { id, name, description, scope, when, application, data_optional, entity, .. } = entry;
            let topic = Topic {
                id: id.clone(),
                catalogue: file.catalogue.clone(),
                name,
                description,
                scope,
                when,
                application,
                told: file.told,
                data_optional,
                entity,
                order: order.clone(),
                schema,
                reserved: reserved.clone(),
                example,
                validator,
            };
            if self.by_topic.insert(id.clone(), topic).is_some() {
                return Err(format!("{id} stands in two catalogues"));
            }
        }
        self.names.push(file.catalogue);
        Ok(())
    }

    /// The names of the catalogues.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// All topics by id.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.by_topic.values()
    }

    /// The topic with this id.
    #[must_use]
    pub fn topic(&self, id: &str) -> Option<&Topic> {
        self.by_topic.get(id)
    }

    /// The topic whose id is the most like this one.
    #[must_use]
    pub fn nearest(&self, id: &str) -> Option<&Topic> {
        let id = id.to_lowercase();
        let begins_alike = |topic: &&Topic| topic.id.get(..3).is_some_and(|begin| id.starts_with(&begin.to_lowercase()));
        self.topics().filter(begins_alike).min_by_key(|topic| strsim::osa_distance(&id, &topic.id.to_lowercase()))
    }

    /// The status topics that a change of an entity, reported as `reported`, can fire besides, and when each is.
    pub fn statuses<'c>(&'c self, reported: &'c Topic) -> Vec<(&'c Topic, &'c Trigger)> {
        let Some((entity, "created" | "modified")) = reported.id.rsplit_once('.') else { return Vec::new() };
        let of_entity = format!("{entity}.");
        let from_here = self.by_topic.range::<str, _>((Bound::Included(of_entity.as_str()), Bound::Unbounded));
        let topics = from_here.take_while(|(id, _)| id.starts_with(&of_entity)).map(|(_, topic)| topic);
        topics
            .filter(|topic| topic.catalogue == reported.catalogue)
            .filter_map(|topic| Some((topic, topic.when.as_ref()?)))
            .collect()
    }
}

impl Topic {
    /// The one application that an event of the topic concerns, by the entity as it is now or by what happened; none where the topic
    /// is for all.
    #[must_use]
    pub fn concerned(&self, told: Option<&RawValue>) -> Option<String> {
        let path = self.application.as_deref()?;
        let told = told.and_then(|told| serde_json::from_str::<Value>(told.get()).ok());
        Some(told.as_ref().and_then(|told| told.pointer(path)).and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// By what an event of the topic is told in order with others.
    #[must_use]
    pub fn ordered_by(&self, data: Option<&RawValue>) -> Option<String> {
        let (path, data) = (self.order.as_deref()?, data?);
        let data: Value = serde_json::from_str(data.get()).ok()?;
        data.pointer(path)?.as_str().map(str::to_owned)
    }

    /// Adds what is wrong with a value of the topic that stands at `path`.
    pub fn check(&self, value: &Value, path: &str, faults: &mut Faults) {
        for error in self.validator.iter_errors(value).take(FAULTS_MAX) {
            let message: String = error.to_string().chars().take(MESSAGE_CHARACTERS_MAX).collect();
            faults.add(format!("{path}{}", dotted(error.instance_path().as_str())), message);
        }
    }
}

/// A JSON pointer as the paths of faults are written: `/selling/prices/0` is `.selling.prices[0]`.
fn dotted(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, step| match step.parse::<usize>() {
        Ok(place) => format!("{path}[{place}]"),
        Err(_) => format!("{path}.{}", step.replace("~1", "/").replace("~0", "~")),
    })
}

fn text(path: &str) -> Result<&'static str, String> {
    let file = FILES.get_file(path).ok_or_else(|| format!("{path} is missing"))?;
    file.contents_utf8().ok_or_else(|| format!("{path} is no UTF-8"))
}

#[cfg(test)]
mod tests;
