//! Whole calls as vendors tell them: in order, in any order, and with everything said twice.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use connectors::action::Action;
use connectors::callback::Callback;
use connectors::fact::Note;
use connectors::people::People;
use connectors::state::ConnectorState;
use connectors::vendor::{Vendor, read};
use jiff::Timestamp;
use proptest::prelude::*;
use protocol::directory::Directory;
use protocol::envelope::Envelope;
use protocol::id::Product;
use serde_json::{Value, json};

/// A call as a vendor tells it, with what is to be done after each callback.
struct Sequence {
    name: String,
    document: Value,
    vendor: Vendor,
    directory: Option<Directory>,
    negotiators: Vec<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../protocol/examples/connectors"))
}

fn sequences() -> Vec<Sequence> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let read = |path: PathBuf| {
        let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let directory = document.get("directory").map(|value| serde_json::from_value(value.clone()).unwrap());
        let negotiators = document.get("negotiators").map(|value| serde_json::from_value(value.clone()).unwrap());
        Sequence {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            vendor: Vendor::of(document["vendor"].as_str().unwrap()).unwrap(),
            directory,
            negotiators: negotiators.unwrap_or_default(),
            document,
        }
    };
    files.into_iter().map(read).collect()
}

impl Sequence {
    fn callbacks(&self) -> &[Value] {
        self.document["callbacks"].as_array().unwrap()
    }

    /// What is done after each of these callbacks.
    fn run(&self, callbacks: &[Value]) -> Vec<Vec<Action>> {
        let mut state = ConnectorState::default();
        let people = self.directory.as_ref().map_or(People::Ids, People::Directory);
        let run = |callback: &Value| {
            let body = callback["body"].to_string();
            let event = callback.pointer("/headers/X-Benemen-Event").and_then(Value::as_str);
            let callback = Callback { event, body: body.as_bytes(), received: Timestamp::UNIX_EPOCH };
            let Ok(reading) = read(self.vendor, callback, people, &self.negotiators) else { return Vec::new() };
            let Some(plan) = state.plan(reading, people, Duration::ZERO) else { return Vec::new() };
            let actions = plan.actions.clone();
            state.keep(plan, Duration::ZERO);
            actions
        };
        callbacks.iter().map(run).collect()
    }
}

fn written(action: &Action) -> Value {
    match action {
        Action::Post(post) => post.envelope(&["AgencyCloud"]),
        Action::Retract { negotiator, call } => json!({"retract": {"negotiatorId": negotiator, "call": call}}),
    }
}

/// A negotiator's view of a call.
type At = (String, String);

/// Who has missed which call in the end, and whose screen shows a call as what.
fn outcome(actions: &[Action]) -> (BTreeSet<At>, BTreeMap<At, &'static str>) {
    let (mut missed, mut screens) = (BTreeSet::new(), BTreeMap::new());
    for action in actions {
        match action {
            Action::Retract { negotiator, call } => {
                assert!(missed.remove(&(negotiator.clone(), call.clone())), "nothing to take back");
            }
            Action::Post(post) => {
                for target in &post.targets {
                    let at = (target.clone(), post.call.clone());
                    if post.sub_type.name() == "missedCall" {
                        assert!(missed.insert(at.clone()), "missed twice");
                    }
                    let shows = match post.sub_type.name() {
                        "incomingCall" => "rings",
                        "answeredCall" => "talks",
                        _ => "nothing",
                    };
                    screens.insert(at, shows);
                }
            }
        }
    }
    (missed, screens)
}

#[test]
fn each_call_becomes_what_its_document_says() {
    for sequence in sequences() {
        let actions = sequence.run(sequence.callbacks());
        for (place, (callback, actions)) in sequence.callbacks().iter().zip(&actions).enumerate() {
            let actions: Vec<_> = actions.iter().map(written).collect();
            assert_eq!(json!(actions), callback["actions"], "{}, callback {place}", sequence.name);
        }
    }
}

#[test]
fn what_they_become_are_good_envelopes() {
    let products = [Product::parse("AgencyCloud").unwrap()].iter().collect();
    for sequence in sequences() {
        let actions = sequence.run(sequence.callbacks()).concat();
        for action in actions.iter().filter(|action| matches!(action, Action::Post(_))) {
            let body = written(action).to_string();
            assert!(Envelope::parse(body.as_bytes(), &products).is_ok(), "{}: {body}", sequence.name);
        }
    }
}

#[test]
fn said_twice_they_are_done_once() {
    for sequence in sequences() {
        let twice: Vec<_> = sequence.callbacks().iter().flat_map(|callback| [callback.clone(), callback.clone()]).collect();
        let again = [sequence.callbacks(), sequence.callbacks()].concat();
        let once: Vec<_> = sequence.run(sequence.callbacks()).concat();
        assert_eq!(sequence.run(&twice).concat(), once, "{}", sequence.name);
        assert_eq!(sequence.run(&again).concat(), once, "{}", sequence.name);
    }
}

proptest! {
    #[test]
    fn in_any_order_they_end_the_same(seed in any::<[u8; 32]>(), twice in any::<bool>()) {
        for sequence in sequences() {
            // Who serves a queue is no part of a call, and said before.
            let is_of_call = |callback: &&Value| callback["body"]["EventType"] != "QueueAttachedUsers";
            let (mut shuffled, before): (Vec<_>, Vec<_>) = sequence.callbacks().iter().partition(is_of_call);
            if twice {
                shuffled.extend(shuffled.clone());
            }
            for place in (1..shuffled.len()).rev() {
                shuffled.swap(place, usize::from(seed[place % 32]) % (place + 1));
            }
            let callbacks: Vec<_> = before.into_iter().chain(shuffled).cloned().collect();
            let actions = sequence.run(&callbacks).concat();
            prop_assert_eq!(
                outcome(&actions), outcome(&sequence.run(sequence.callbacks()).concat()), "{}: {:?}", sequence.name, callbacks
            );
            if sequence.vendor == Vendor::Avaya {
                let is_live = |action: &Action| matches!(action, Action::Post(post) if post.sub_type.name() != "missedCall");
                prop_assert!(actions.iter().all(is_live), "nothing waits for the disk: {actions:?}");
            }
        }
    }

    #[test]
    fn nothing_that_comes_in_panics(body in any::<Vec<u8>>(), event in proptest::option::of(".*")) {
        for vendor in Vendor::ALL {
            let callback = Callback { event: event.as_deref(), body: &body, received: Timestamp::UNIX_EPOCH };
            drop(read(vendor, callback, People::Names, &[]));
        }
    }

    #[test]
    fn no_change_to_a_call_panics_or_makes_a_bad_envelope(
        which in any::<proptest::sample::Index>(),
        callback in any::<proptest::sample::Index>(),
        place in any::<proptest::sample::Index>(),
        value in prop_oneof![
            Just(json!(null)), Just(json!([])), Just(json!({})), any::<i64>().prop_map(|n| json!(n)), any::<f64>().prop_map(|n| json!(n)),
            ".*".prop_map(|text| json!(text)), Just(json!("9".repeat(5000))), Just(json!([{"UserId": []}])),
        ],
    ) {
        let sequences = sequences();
        let sequence = which.get(&sequences);
        let mut callbacks = sequence.callbacks().to_vec();
        let changed = callback.index(callbacks.len());
        let mut places = Vec::new();
        pointers(&callbacks[changed]["body"], "", &mut places);
        *callbacks[changed]["body"].pointer_mut(&places[place.index(places.len())]).unwrap() = value;
        let products = [Product::parse("AgencyCloud").unwrap()].iter().collect();
        for action in sequence.run(&callbacks).concat() {
            if let Action::Post(_) = action {
                let body = written(&action).to_string();
                prop_assert!(Envelope::parse(body.as_bytes(), &products).is_ok(), "{body}");
            }
        }
    }
}

/// The place of every value within this one.
fn pointers(value: &Value, at: &str, places: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, inner)| (name.clone(), inner)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(place, inner)| (place.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    for (name, inner) in inner {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        pointers(inner, &at, places);
        places.push(at);
    }
}

#[test]
fn what_is_left_out_is_said() {
    let notes = |vendor, event: Option<&str>, body: Value, people: People<'_>| {
        let body = body.to_string();
        read(vendor, Callback { event, body: body.as_bytes(), received: Timestamp::UNIX_EPOCH }, people, &[]).unwrap().notes
    };
    let nobody = Directory::default();
    let call = |more: Value| {
        let mut body = json!({"CallId": "c", "Timestamp": "2018-01-01T08:01:23.45", "CallerNumber": "1", "TargetNumber": "2"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let event = Some("UserCallInUserAllocated");
    for (event, body, expected) in [
        (Some("UserCallInSomething"), call(json!({})), vec![Note::UnknownEvent]),
        (Some("UserCallOutGoing"), call(json!({})), vec![Note::NoTelephony]),
        (event, json!({"UserId": "u"}), vec![Note::NoCall]),
        (event, call(json!({"UserId": "u"})), vec![Note::UnknownUser]),
        (None, call(json!({"EventType": "QueueCallInDisconnected", "Timestamp": "soon"})), vec![Note::NoTime]),
        (Some("QueueCallInDisconnected"), call(json!({"CallerNumber": "*72"})), vec![Note::NoNumber]),
    ] {
        assert_eq!(notes(Vendor::Enreach, event, body.clone(), People::Directory(&nobody)), expected, "{body}");
    }
    let unreadable =
        read(Vendor::Avaya, Callback { event: None, body: b"[", received: Timestamp::UNIX_EPOCH }, People::Names, &[]);
    assert_eq!(unreadable.unwrap().notes, [Note::Unreadable], "Avaya is never refused");
    for vendor in [Vendor::Enreach, Vendor::Apirtc] {
        let callback = Callback { event: None, body: b"{}", received: Timestamp::UNIX_EPOCH };
        let error = read(vendor, callback, People::Names, &[]).unwrap_err().to_string();
        assert!(error.ends_with("is missing or is no text"), "{error}");
        for body in [&b"["[..], b"[]", b"\xff"] {
            assert!(read(vendor, Callback { body, ..callback }, People::Names, &[]).is_err());
        }
    }
}
