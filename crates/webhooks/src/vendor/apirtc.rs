//! ApiRTC: one hook of a company, as its console asks for it: `{enabled, url, headers}`.

use protocol::fault::{Faults, Malformed};
use protocol::id::CustomerId;
use serde_json::{Value, json};

use super::{Part, document, of};
use crate::engine::{Headers, Shown};
use crate::header::{HEADERS_MAX, header_fault};
use crate::profile::APIRTC;
use crate::subscription::{ALL_TOPICS, Asker, Wish};

/// The hook of a company: none where it has no URL.
///
/// # Errors
/// [`Malformed`], with every fault.
pub fn read(body: &[u8], company: CustomerId, asker: &Asker<'_>) -> Result<Option<(Wish, Headers)>, Malformed> {
    let (value, mut faults) = document(body)?;
    let (whole, faults) = (Part::whole(&value), &mut faults);
    whole.knows(&["enabled", "url", "headers"], faults);
    let enabled = whole.member("enabled").flag(faults).unwrap_or(false);
    let url = whole.member("url");
    let given = url.given().is_some_and(|url| *url != "");
    let (headers, url) = (headers(&whole.member("headers"), faults), if given { url.url(&APIRTC, asker, faults) } else { None });
    if !given && enabled {
        whole.member("url").fault(faults, "is required where enabled is true");
    }
    if !given && !headers.is_empty() {
        whole.member("headers").fault(faults, "cannot be kept without a url");
    }
    if !faults.is_empty() {
        return Err(Malformed::Invalid(std::mem::take(faults)));
    }
    let wish = |url: &str| Wish {
        url: url.to_owned(),
        topic_ids: vec![ALL_TOPICS.to_owned()],
        customer_ids: vec![company],
        active: enabled,
        profile: APIRTC.name.to_owned(),
        ..Wish::default()
    };
    Ok(url.map(|url| (wish(url), headers)))
}

fn headers(part: &Part<'_>, faults: &mut Faults) -> Headers {
    let Some(given) = part.given() else { return Vec::new() };
    let Some(members) = given.as_object() else {
        part.fault(faults, "must be an object: names and values");
        return Vec::new();
    };
    if members.len() > HEADERS_MAX {
        part.fault(faults, format_args!("must hold up to {HEADERS_MAX} headers, got {}", members.len()));
    }
    let mut headers = Headers::new();
    for name in members.keys() {
        let member = part.member(name);
        let Some(value) = member.text(faults) else { continue };
        if let Some(fault) = header_fault(name, value) {
            member.fault(faults, fault);
        } else if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            member.fault(faults, "is given twice");
        } else {
            headers.push((name.clone(), value.to_owned()));
        }
    }
    headers
}

/// A company's hook as it is shown: of headers the names alone.
#[must_use]
pub fn show(hook: Option<&Shown>) -> Value {
    match hook {
        Some(hook) => json!({
            "enabled": hook.active, "url": hook.url, "headers": of(&hook.native, "/headers"),
            "subscriptionId": hook.id,
        }),
        None => json!({"enabled": false, "url": null, "headers": {}}),
    }
}
