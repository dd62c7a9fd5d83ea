//! The body of `POST /notifications`: it is taken where `protocol/schemas` take it and only there, what is told of it says the same,
//! and every fault stands where it is said to stand.
#![no_main]

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use jsonschema::{Registry, Validator};
use libfuzzer_sys::fuzz_target;
use protocol::authorise::{Caller, Event, Grant, Identity, Scope, Stamp, authorise};
use protocol::envelope::{Envelope, KnownProducts};
use protocol::fault::{FAULTS_MAX, Fault, Malformed};
use protocol::frame::{encode, encode_notification, encode_told};
use protocol::id::{ClientId, CustomerId, EventId, Product};
use protocol::json::DEPTH_MAX;
use serde_json::{Value, json};

const SCHEMAS: [&str; 4] = [
    include_str!("../../../protocol/schemas/incomingCall.json"),
    include_str!("../../../protocol/schemas/answeredCall.json"),
    include_str!("../../../protocol/schemas/endedCall.json"),
    include_str!("../../../protocol/schemas/missedCall.json"),
];

static KNOWN: LazyLock<KnownProducts> =
    LazyLock::new(|| ["AgencyCloud", "PropertyCloud"].map(|name| Product::parse(name).unwrap()).iter().collect());
static PUBLISHED: LazyLock<Validator> = LazyLock::new(|| {
    let mut registry = Registry::new();
    for schema in SCHEMAS {
        let schema: Value = serde_json::from_str(schema).unwrap();
        registry = registry.add(schema["$id"].as_str().unwrap().to_owned(), schema).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let envelope = serde_json::from_str(include_str!("../../../protocol/schemas/envelope.json")).unwrap();
    jsonschema::options().with_registry(&registry).build(&envelope).unwrap()
});

/// An application that may say all.
static CALLER: LazyLock<Caller> = LazyLock::new(|| Caller {
    client_id: Some(Box::new(ClientId::parse("fuzz").unwrap())),
    scopes: [Scope::TelephonyWrite.name().to_owned()].into(),
    identity: Identity::Customer(CustomerId::parse("SBOX").unwrap()),
    expires: Timestamp::MAX,
});

/// The event of an envelope, from that application.
fn event(envelope: Envelope<'_>) -> Event<'_> {
    let customer = CustomerId::parse("SBOX").unwrap();
    let stamp = Stamp { id: EventId::new(1, [0; 10]), at: Timestamp::UNIX_EPOCH };
    authorise(&CALLER, customer, Grant::Everything, envelope, stamp).unwrap()
}

fn read(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// The document without members that are null, which are as good as absent, and without a product's repeats.
fn plain(mut json: Value) -> Value {
    json["payload"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let mut products: Vec<Value> = Vec::new();
    for product in json["products"].as_array().unwrap() {
        if !products.contains(product) {
            products.push(product.clone());
        }
    }
    json["products"] = json!(products);
    json
}

/// What is taken is told as it was said, to all who are told.
fn check_told(envelope: Envelope<'_>, json: Value) {
    let event = event(envelope.clone());
    let mut expected = plain(json);
    let told = encode_told(&event);
    assert_eq!(read(told.as_bytes()), expected, "what subscribers are told");
    assert_eq!(Envelope::parse(told.as_bytes(), &KNOWN).unwrap(), envelope, "written and read again");
    expected.as_object_mut().unwrap().remove("targets");
    let live = match &event {
        Event::Missed(missed) => {
            assert_eq!(read(encode_notification(missed).as_bytes()), expected, "what is kept");
            return;
        }
        Event::Live(live) => live,
    };
    let frame = encode(live);
    let message = read(&frame.text);
    assert_eq!(message["notification"], expected, "what sessions are told");
    assert_eq!(message["callId"].as_str(), Some(&*frame.call_id));
    assert_eq!(frame.call_id, event.call_id());
    assert!(frame.facts.expires.is_none_or(|end| end.duration_since(event.at()) == SignedDuration::from_secs(45)));
}

/// Whether the place of a fault is one that the document has, or that it lacks.
fn exists(json: &Value, fault: &Fault) -> bool {
    let (path, place) = match fault.field.strip_suffix(']').and_then(|field| field.rsplit_once('[')) {
        Some((path, place)) => (path, place.parse::<usize>().ok()),
        None => (&*fault.field, None),
    };
    let inner = path.split_once('.').filter(|(parent, _)| ["payload", "targets"].contains(parent));
    let (parent, name) = inner.map_or((json, path), |(parent, name)| (&json[parent], name));
    match place {
        _ if fault.message == "is required" => parent.is_object() && parent[name].is_null(),
        _ if fault.message.starts_with("is not known here") => has_unknown(json, &fault.field),
        Some(place) => parent[name].get(place).is_some(),
        None => path == "$" || parent.get(name).is_some(),
    }
}

/// Whether there is a member that is shown as `field`: cut after 40 characters, and without control characters.
fn has_unknown(json: &Value, field: &str) -> bool {
    let shown = |name: &str| -> String { name.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect() };
    let has =
        |object: &Value, field: &str| object.as_object().is_some_and(|members| members.keys().any(|name| shown(name) == field));
    let inner = |parent: &str| field.strip_prefix(parent).is_some_and(|name| has(&json[parent.trim_end_matches('.')], name));
    has(json, field) || inner("payload.") || inner("targets.")
}

fn depth(json: &Value) -> usize {
    match json {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|body: &[u8]| {
    let json = serde_json::from_slice::<Value>(body);
    match (Envelope::parse(body, &KNOWN), json) {
        (Ok(envelope), Ok(json)) => {
            assert!(PUBLISHED.is_valid(&json), "taken, but not published: {json}");
            check_told(envelope, json);
        }
        (Err(Malformed::Invalid(faults)), Ok(json)) => {
            let faults = faults.as_slice();
            assert!((1..=FAULTS_MAX).contains(&faults.len()));
            // Of a member given twice the document here has only the last.
            if !faults.iter().any(|fault| fault.message == "is given more than once") {
                assert!(!PUBLISHED.is_valid(&json), "published, but refused: {json}: {faults:?}");
                for fault in faults {
                    assert!(exists(&json, fault), "there is no {}: {fault:?} of {json}", fault.field);
                }
            }
        }
        (Err(Malformed::Unreadable(error)), Ok(json)) => assert!(depth(&json) > DEPTH_MAX, "readable: {error}"),
        (Err(Malformed::Unreadable(_)), Err(_)) => {}
        (outcome, json) => panic!("JSON or not: {outcome:?} of {json:?}"),
    }
});
