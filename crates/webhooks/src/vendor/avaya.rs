//! Avaya Experience Platform: digital webhook subscriptions of an account.
//!
//! The nine types that can be subscribed to stand for six types of events: `CUSTOMER_MESSAGES` and `CC_MESSAGES` arrive as `MESSAGES`,
//! and `ALL` stands for all, those that are yet to come included.

use protocol::fault::{Faults, Malformed};
use protocol::id::CustomerId;
use serde_json::{Value, json};

use super::{Part, document, of};
use crate::engine::Shown;
use crate::profile::AVAYA;
use crate::subscription::{ALL_TOPICS, Asker, Filter, Wish};

/// What can be subscribed to.
pub const TYPES: [&str; 9] = [
    "ENGAGEMENT_CREATED",
    "PARTICIPANT_ADDED",
    "PARTICIPANT_DISCONNECTED",
    "MESSAGES",
    "CUSTOMER_MESSAGES",
    "CC_MESSAGES",
    "TYPING",
    "ENGAGEMENT_ERROR",
    "ALL",
];
const TYPES_MAX: usize = 6;
const MESSAGES: &str = "MESSAGES";
/// Characters of a channel provider's id.
const PROVIDER_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=256;
/// What is told of an account.
pub const ACCOUNT_RULE: &str = "must match \"^[a-zA-Z]{6}$\"";
/// What is told of a member that is missing.
pub const MISSING: &str = "must not be null";

/// Whether a text is an account's id: six letters.
#[must_use]
pub fn is_account(id: &str) -> bool {
    id.len() == 6 && id.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// What a channel provider's id must be, where it is not.
#[must_use]
pub fn provider_fault(id: &str) -> Option<String> {
    let (first, last) = PROVIDER_CHARACTERS.into_inner();
    (!PROVIDER_CHARACTERS.contains(&id.chars().count())).then(|| format!("size must be between {first} and {last}"))
}

/// Reads what is asked for an account. Members that the contract does not name, such as `subscriptionId`, are left out.
///
/// # Errors
/// [`Malformed`], with every fault; the messages are those of the contract where it gives any.
pub fn read(body: &[u8], account: &str, customer: CustomerId, asker: &Asker<'_>) -> Result<Wish, Malformed> {
    let (value, mut faults) = document(body)?;
    let whole = Part::whole(&value);
    if !value.is_object() {
        whole.fault(&mut faults, "must be an object");
        return Err(Malformed::Invalid(faults));
    }
    let provider = required(&whole.member("channelProviderId"), &mut faults).and_then(|part| part.text(&mut faults));
    if let Some(fault) = provider.and_then(provider_fault) {
        whole.member("channelProviderId").fault(&mut faults, fault);
    }
    let url = required(&whole.member("callbackUrl"), &mut faults).and_then(|part| part.url(&AVAYA, asker, &mut faults));
    let types = types(&whole.member("eventTypes"), &mut faults);
    match (provider, url) {
        (Some(provider), Some(url)) if faults.is_empty() => Ok(Wish {
            url: url.to_owned(),
            topic_ids: topics(&types),
            customer_ids: vec![customer],
            active: true,
            profile: AVAYA.name.to_owned(),
            filters: filters(account, provider, &types),
            vendor: json!({"accountId": account, "channelProviderId": provider, "eventTypes": types}),
            ..Wish::default()
        }),
        _ => Err(Malformed::Invalid(faults)),
    }
}

fn required<'p, 'v>(part: &'p Part<'v>, faults: &mut Faults) -> Option<&'p Part<'v>> {
    if part.given().is_none() {
        part.fault(faults, MISSING);
    }
    part.given().map(|_| part)
}

fn types(part: &Part<'_>, faults: &mut Faults) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    if required(part, faults).is_none() {
        return types;
    }
    let count = part.value.as_array().map(Vec::len);
    if !count.is_some_and(|count| (1..=TYPES_MAX).contains(&count)) {
        part.fault(faults, format_args!("size must be between 1 and {TYPES_MAX}"));
        return types;
    }
    for item in part.items() {
        let Some(name) = required(&item, faults).and_then(|item| item.text(faults)) else { continue };
        if !TYPES.contains(&name) {
            item.fault(faults, format_args!("must be one of {}", TYPES.join(", ")));
        } else if types.iter().any(|other| other == name) {
            item.fault(faults, "is given twice");
        } else {
            types.push(name.to_owned());
        }
    }
    types
}

fn topics(types: &[String]) -> Vec<String> {
    if types.iter().any(|name| name == "ALL") {
        return vec![ALL_TOPICS.to_owned()];
    }
    let mut topics: Vec<String> = Vec::new();
    for name in types {
        let topic = if name.ends_with("_MESSAGES") { MESSAGES } else { name };
        if !topics.iter().any(|other| other == topic) {
            topics.push(topic.to_owned());
        }
    }
    topics
}

fn filters(account: &str, provider: &str, types: &[String]) -> Vec<Filter> {
    let one = |topic: Option<&str>, path: &str, value: &str, except| Filter {
        topic: topic.map(str::to_owned),
        path: path.to_owned(),
        values: vec![value.to_owned()],
        except,
    };
    let asked = |name: &str| types.iter().any(|other| other == name);
    let mut filters = vec![one(None, "/data/accountId", account, false), one(None, "/data/channelProviderId", provider, false)];
    let only_cc = asked("CC_MESSAGES");
    if !asked("ALL") && !asked(MESSAGES) && only_cc != asked("CUSTOMER_MESSAGES") {
        filters.push(one(Some(MESSAGES), "/data/senderParticipantType", "CUSTOMER", only_cc));
    }
    filters
}

/// A subscription in the contract's words, and how its callback URL is: `status`, and when it was disabled and will be deleted.
#[must_use]
pub fn show(shown: &Shown) -> Value {
    let (vendor, native) = (&shown.vendor, &shown.native);
    let status = if shown.active { of(native, "/health/state") } else { json!("inactive") };
    let mut subscription = json!({
        "subscriptionId": shown.id, "channelProviderId": of(vendor, "/channelProviderId"),
        "callbackUrl": shown.url, "eventTypes": of(vendor, "/eventTypes"), "status": status,
    });
    if status == "disabled"
        && let Value::Object(members) = &mut subscription
    {
        members.insert("disabledAt".to_owned(), of(native, "/health/since"));
        members.insert("deleteAt".to_owned(), of(native, "/health/deletedAt"));
    }
    subscription
}
