//! Enreach (formerly Benemen): the configuration that its support would load, for one organization.
//!
//! A document is an endpoint with its subscriptions; a configuration is one document or a list of them, and is the whole of what the
//! organization has. Two names of the vendor's own sample are not among its events: they are taken for the ones that are meant.

use catalogues::is_uuid;
use protocol::fault::{Faults, Malformed};
use protocol::id::CustomerId;
use serde_json::{Value, json};

use super::{Part, document};
use crate::engine::Headers;
use crate::header::{HIDDEN, value_fault};
use crate::profile::ENREACH;
use crate::subscription::{Asker, Filter, Wish};

/// Documents of one configuration at most.
pub const DOCUMENTS_MAX: usize = 100;
/// Subscriptions of one document at most.
pub const SUBSCRIPTIONS_MAX: usize = 1000;
const TOKEN_HEADER: &str = "X-Benemen-Token";
const ALIASES: [(&str, &str); 2] =
    [("QueueCallInConnected", "QueueCallInUserConnected"), ("QueueCallInAllocated", "QueueCallInUserAllocated")];

/// A configuration, read.
#[derive(Debug)]
pub struct Configuration {
    /// An endpoint each, with the headers that its requests carry.
    pub endpoints: Vec<(Wish, Headers)>,
    /// What was read otherwise than it was written.
    pub warnings: Vec<String>,
}

/// What is wrong with a configuration, and what was read otherwise than it was written.
struct Remarks {
    faults: Faults,
    warnings: Vec<String>,
}

/// Reads the configuration of a customer's organization.
///
/// # Errors
/// [`Malformed`], with every fault.
pub fn read(body: &[u8], customer: CustomerId, asker: &Asker<'_>) -> Result<Configuration, Malformed> {
    let (value, faults) = document(body)?;
    let mut remarks = Remarks { faults, warnings: Vec::new() };
    let whole = Part::whole(&value);
    let documents: Vec<_> = if value.is_array() { whole.items().collect() } else { vec![Part::whole(&value)] };
    if documents.len() > DOCUMENTS_MAX {
        whole.fault(&mut remarks.faults, format_args!("must hold up to {DOCUMENTS_MAX} documents, got {}", documents.len()));
        return Err(Malformed::Invalid(remarks.faults));
    }
    let mut endpoints: Vec<(Wish, Headers)> = Vec::new();
    for document in documents {
        let Some((wish, headers)) = endpoint(&document, customer, asker, &mut remarks) else { continue };
        if endpoints.iter().any(|(other, _)| other.url == wish.url) {
            document.member("Webhook").member("Endpoint").fault(&mut remarks.faults, "is given in two documents");
        }
        endpoints.push((wish, headers));
    }
    let Remarks { faults, warnings } = remarks;
    if faults.is_empty() { Ok(Configuration { endpoints, warnings }) } else { Err(Malformed::Invalid(faults)) }
}

fn endpoint(document: &Part<'_>, customer: CustomerId, asker: &Asker<'_>, remarks: &mut Remarks) -> Option<(Wish, Headers)> {
    let Remarks { faults, warnings } = remarks;
    if !document.knows(&["Webhook", "Subscriptions"], faults) {
        return None;
    }
    let webhook = document.member("Webhook");
    webhook.knows(&["Endpoint", "InsecureSSL", "Secret"], faults);
    let (endpoint, secret) = (webhook.member("Endpoint"), webhook.member("Secret"));
    if endpoint.given().is_none() {
        endpoint.fault(faults, "is required");
    }
    let url = endpoint.url(&ENREACH, asker, faults);
    let insecure_tls = webhook.member("InsecureSSL").flag(faults).unwrap_or(false);
    let token = secret.text(faults).filter(|token| !token.is_empty());
    if let Some(fault) = token.and_then(|token| value_fault(TOKEN_HEADER, token)) {
        secret.fault(faults, fault);
    }
    if insecure_tls {
        warnings.push(format!("{}: certificates of this endpoint are not checked", webhook.member("InsecureSSL").path));
    }
    let rules = subscriptions(&document.member("Subscriptions"), asker, remarks);
    let wish = Wish {
        url: url?.to_owned(),
        topic_ids: rules.iter().map(|rule| rule.topic.clone()).collect(),
        customer_ids: vec![customer],
        active: true,
        profile: ENREACH.name.to_owned(),
        filters: rules.iter().filter_map(Rule::filter).collect(),
        insecure_tls,
        vendor: vendor(url?, insecure_tls, token.is_some(), &rules),
        ..Wish::default()
    };
    let headers = token.map(|token| (TOKEN_HEADER.to_owned(), token.to_owned()));
    Some((wish, headers.into_iter().collect()))
}

/// What of a topic's events an endpoint is told.
struct Rule {
    topic: String,
    /// The entities that it is about; all where there are none.
    entities: Vec<String>,
}

impl Rule {
    fn filter(&self) -> Option<Filter> {
        let (topic, path, values) = (Some(self.topic.clone()), "/entity".to_owned(), self.entities.clone());
        (!values.is_empty()).then_some(Filter { topic, path, values, except: false })
    }
}

fn subscriptions(part: &Part<'_>, asker: &Asker<'_>, remarks: &mut Remarks) -> Vec<Rule> {
    let count = part.value.as_array().map_or(0, Vec::len);
    if !(1..=SUBSCRIPTIONS_MAX).contains(&count) {
        part.fault(&mut remarks.faults, format_args!("must be a list of 1 to {SUBSCRIPTIONS_MAX} subscriptions"));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for item in part.items() {
        item.knows(&["EventType", "EntityId", "AllEntities"], &mut remarks.faults);
        let topic = topic(&item.member("EventType"), asker, remarks);
        let faults = &mut remarks.faults;
        let (entity, all) = (item.member("EntityId").text(faults), item.member("AllEntities").flag(faults).unwrap_or(false));
        if entity.is_some_and(|entity| !is_uuid(entity)) {
            item.member("EntityId").fault(faults, "must be a UUID");
        }
        if entity.is_some() == all {
            item.fault(faults, "must have either EntityId or AllEntities: true");
        }
        let Some(topic) = topic else { continue };
        let entities: Vec<_> = entity.map(str::to_owned).into_iter().collect();
        match rules.iter_mut().find(|rule| rule.topic == topic) {
            None => rules.push(Rule { topic, entities }),
            // All there are and one of them are all there are.
            Some(rule) if rule.entities.is_empty() || entities.is_empty() => rule.entities.clear(),
            Some(rule) => rule.entities.extend(entities),
        }
    }
    rules
}

fn topic(part: &Part<'_>, asker: &Asker<'_>, remarks: &mut Remarks) -> Option<String> {
    let Remarks { faults, warnings } = remarks;
    if part.given().is_none() {
        part.fault(faults, "is required");
    }
    let name = part.text(faults)?;
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, meant)| *meant);
    if let Some(meant) = alias {
        warnings.push(format!("{}: {name} is not among the documented events; taken for {meant}", part.path));
    }
    let meant = alias.unwrap_or(name);
    let is_known = asker.catalogues.topic(meant).is_some_and(|topic| ENREACH.catalogue == Some(&topic.catalogue));
    if !is_known {
        part.fault(faults, format_args!("is no event of Enreach: {}", protocol::fault::shown(name)));
    }
    is_known.then(|| meant.to_owned())
}

/// The document as it is shown: with the names that were meant, and without the secret.
fn vendor(url: &str, insecure_tls: bool, has_secret: bool, rules: &[Rule]) -> Value {
    let subscriptions = rules.iter().flat_map(|rule| -> Vec<Value> {
        match rule.entities.as_slice() {
            [] => vec![json!({"EventType": rule.topic, "AllEntities": true})],
            entities => entities.iter().map(|entity| json!({"EventType": rule.topic, "EntityId": entity})).collect(),
        }
    });
    let subscriptions: Vec<_> = subscriptions.collect();
    let secret = has_secret.then_some(HIDDEN);
    json!({"Webhook": {"Endpoint": url, "InsecureSSL": insecure_tls, "Secret": secret}, "Subscriptions": subscriptions})
}
