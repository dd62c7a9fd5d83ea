//! `GET /negotiators`: the customer's directory in Reapit's shape and paging, for providers who map users by it.
//!
//! A customer without a directory has no negotiators here, which refuses nobody: see [`protocol::directory`].

use std::fmt::Write;
use std::sync::Arc;

use hyper::{Response, StatusCode};
use jiff::Timestamp;
use protocol::authorise::Scope;
use protocol::directory::{Directory, Person};
use protocol::id::NegotiatorId;
use protocol::json;
use protocol::time;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::json_response;
use super::call::Asking;
use super::faults::ApiError;
use super::identify::identify;
use super::paging::{Page, parameters};
use crate::net::outgoing::Outgoing;
use crate::net::request::Head;
use crate::node::Node;

/// How many ids can be asked for at once.
const IDS_MAX: usize = 100;

/// Which people are wanted.
#[derive(Debug, Default)]
struct Search {
    page: Page,
    descending: bool,
    ids: Vec<String>,
    email: Option<String>,
    name: Option<String>,
    active: Option<bool>,
    created: Span,
    modified: Span,
}

/// From this time, inclusive, to that.
#[derive(Debug, Default)]
struct Span {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// `GET /negotiators`
pub(super) async fn list(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let directory = directory(of.node, of.head).await?;
    let query = of.head.query.unwrap_or_default();
    let search = Search::read(query)?;
    let mut people: Vec<_> = directory.people.iter().filter(|person| search.wants(person)).collect();
    people.sort_by(|a, b| (&a.name, a.negotiator_id).cmp(&(&b.name, b.negotiator_id)));
    if search.descending {
        people.reverse();
    }
    let people: Vec<_> = people.into_iter().map(model).collect();
    Ok(json_response(StatusCode::OK, &search.page.of(&people, "/negotiators/", query)))
}

/// `GET /negotiators/{id}`
pub(super) async fn one(of: Asking<'_>) -> Result<Response<Outgoing>, ApiError> {
    let (directory, [id, _]) = (directory(of.node, of.head).await?, of.ids);
    let person = NegotiatorId::parse(id).ok().and_then(|id| directory.person(id));
    Ok(json_response(StatusCode::OK, &model(person.ok_or(ApiError::NoNegotiator)?)))
}

async fn directory(node: &Node, head: Head<'_>) -> Result<Arc<Directory>, ApiError> {
    let speaker = identify(node, head).await?;
    speaker.permit(Scope::NegotiatorsRead)?;
    Ok(node.directories.of(&speaker.customer).unwrap_or_default())
}

impl Search {
    fn read(query: &str) -> Result<Self, ApiError> {
        let mut search = Self::default();
        parameters(query, |name, value| search.take(name, value))?;
        Ok(search)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        if self.page.take(name, value)? {
            return Ok(());
        }
        match name.to_ascii_lowercase().as_str() {
            "sortby" => self.descending = descending(value)?,
            "id" if self.ids.len() < IDS_MAX => self.ids.push(value.to_owned()),
            "id" => return Err(format!("may be given at most {IDS_MAX} times")),
            "email" => self.email = Some(value.to_lowercase()),
            "name" => self.name = Some(value.to_lowercase()),
            "active" => self.active = Some(value.parse().map_err(|_not_bool| "must be true or false")?),
            "createdfrom" => self.created.from = Some(moment(value)?),
            "createdto" => self.created.to = Some(moment(value)?),
            "modifiedfrom" => self.modified.from = Some(moment(value)?),
            "modifiedto" => self.modified.to = Some(moment(value)?),
            // There is nothing to embed.
            "embed" => {}
            _ => {
                let known =
                    "pageSize, pageNumber, sortBy, id, email, name, active, createdFrom, createdTo, modifiedFrom, modifiedTo";
                return Err(format!("is not known here; known are {known}"));
            }
        }
        Ok(())
    }

    fn wants(&self, person: &Person) -> bool {
        let is_named = |wanted: &String| person.name.to_lowercase().contains(wanted);
        let has_email = |wanted: &String| person.email.as_ref().is_some_and(|email| email.to_lowercase() == *wanted);
        (self.ids.is_empty() || self.ids.iter().any(|id| id == person.negotiator_id.as_str()))
            && self.name.as_ref().is_none_or(is_named)
            && self.email.as_ref().is_none_or(has_email)
            && self.active.is_none_or(|active| active == person.active)
            && self.created.holds(person.created)
            && self.modified.holds(person.modified)
    }
}

impl Span {
    fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at <= to)
    }
}

fn descending(value: &str) -> Result<bool, String> {
    match value {
        // Nobody has an office here, so that their order is that of the names.
        "name" | "officeId" => Ok(false),
        "-name" | "-officeId" => Ok(true),
        _ => Err("must be name, officeId, or one of them behind a -".to_owned()),
    }
}

fn moment(value: &str) -> Result<Timestamp, String> {
    time::read(value).ok_or_else(|| "must be a time such as 2023-11-01T10:28:00Z".to_owned())
}

/// Reapit's `NegotiatorModel`; what a directory does not know is null or empty.
fn model(person: &Person) -> Value {
    let extensions = person.extensions.iter().map(|value| json!({"type": "Extension", "value": value}));
    let numbers = person.numbers.iter().skip(1).map(|value| json!({"type": "Phone", "value": value}));
    let contacts: Vec<_> = extensions.chain(numbers).collect();
    let id = person.negotiator_id;
    json!({
        "id": id,
        "created": time::millis(person.created),
        "modified": time::millis(person.modified),
        "name": person.name,
        "jobTitle": null,
        "officeId": null,
        "workPhone": person.numbers.first(),
        "mobilePhone": null,
        "email": person.email,
        "profileImageUrl": null,
        "active": person.active,
        "diaryNegotiatorIds": [],
        "diaryOfficeIds": [],
        "additionalContactDetails": contacts,
        "metadata": {},
        "_eTag": etag(person),
        "_links": {"self": {"href": format!("/negotiators/{id}")}},
        "_embedded": null,
    })
}

/// 32 upper-case hexadecimal digits, in quotes, as Reapit writes it.
fn etag(person: &Person) -> String {
    let digest = Sha256::digest(json::encode(person));
    let hex = digest.iter().take(16).fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02X}");
        text
    });
    format!("\"{hex}\"")
}
