use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::json;

use super::*;

/// Loading them takes a while.
static CATALOGUES: LazyLock<Catalogues> = LazyLock::new(|| Catalogues::load().unwrap_or_else(|error| panic!("{error}")));

/// The ids that a catalogue's file lists and whether each came later, in a reading of its own.
fn listed(catalogue: &str) -> Vec<(String, bool)> {
    let file: Value = serde_json::from_str(text(&format!("{catalogue}/catalogue.json")).unwrap()).unwrap();
    let entry = |topic: &Value| (topic["id"].as_str().unwrap().to_owned(), topic.get("later").is_some_and(|later| later == true));
    file["topics"].as_array().unwrap().iter().map(entry).collect()
}

fn example(topic: &Topic) -> Value {
    serde_json::from_str(topic.example).unwrap_or_else(|error| panic!("{}: {error}", topic.id))
}

/// A version of the entity in an example; `None` where it is absent or null.
fn version<'e>(example: &'e Value, name: &str) -> Option<&'e Value> {
    example.get(name).filter(|version| !version.is_null())
}

/// The ids of what a change fires besides the topic that it is reported under.
fn fired(reported: &str, old: Option<&Value>, new: &Value) -> Vec<String> {
    let reported = CATALOGUES.topic(reported).unwrap_or_else(|| panic!("{reported}"));
    let statuses = CATALOGUES.statuses(reported).into_iter();
    statuses.filter(|(_, when)| when.fires(old, new)).map(|(topic, _)| topic.id.clone()).collect()
}

/// What is wrong with a value of a topic that stands at `new`.
fn faults(topic: &str, value: &Value) -> Vec<(String, String)> {
    let mut faults = Faults::default();
    CATALOGUES.topic(topic).unwrap_or_else(|| panic!("{topic}")).check(value, "new", &mut faults);
    faults.as_slice().iter().map(|fault| (fault.field.clone(), fault.message.clone())).collect()
}

#[test]
fn the_catalogues_have_as_many_topics_as_are_documented() {
    let count = |catalogue: &str, later: bool| listed(catalogue).iter().filter(|(_, is_later)| *is_later == later).count();
    assert_eq!((count("reapit", false), count("reapit", true)), (48, 5));
    assert_eq!((count("bellwire", false), count("bellwire", true)), (10, 0));
    let of = |catalogue: &str| CATALOGUES.topics().filter(|topic| topic.catalogue == catalogue).count();
    assert_eq!((of("reapit"), of("bellwire"), of("apirtc"), of("avaya"), of("enreach")), (53, 10, 9, 6, 34));
    assert_eq!(CATALOGUES.names().count(), 5);
    let begins = |begin: &str| listed("enreach").iter().filter(|(id, _)| id.starts_with(begin)).count();
    assert_eq!((begins("User"), begins("Queue"), begins("Callback")), (20, 12, 2));
}

#[test]
fn an_id_stands_once_in_all_catalogues() {
    let names: Vec<_> = CATALOGUES.names().map(str::to_owned).collect();
    let all: Vec<_> = names.iter().flat_map(|name| listed(name)).map(|(id, _)| id).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    assert_eq!(CATALOGUES.topics().count(), all.len());
    for id in all {
        assert_eq!(CATALOGUES.topic(&id).map(|topic| &topic.id), Some(&id));
    }
}

#[test]
fn every_file_of_a_catalogue_is_used() {
    for catalogue in ["reapit", "bellwire", "apirtc", "avaya", "enreach"] {
        let stems = |folder: &str| -> BTreeSet<String> {
            let files = FILES.get_dir(format!("{catalogue}/{folder}")).unwrap().files();
            files.map(|file| file.path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let file: Value = serde_json::from_str(text(&format!("{catalogue}/catalogue.json")).unwrap()).unwrap();
        let named = |member: &str| -> BTreeSet<String> {
            file["topics"].as_array().unwrap().iter().map(|topic| topic[member].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(stems("examples"), named("id"), "{catalogue}");
        assert_eq!(stems("schemas"), named("schema"), "{catalogue}");
    }
}

#[test]
fn every_example_of_bellwire_is_as_its_schema_says() {
    for topic in CATALOGUES.topics().filter(|topic| topic.catalogue == OWN) {
        let example = example(topic);
        assert_eq!((&example["catalogue"], &example["topic"]), (&json!(OWN), &json!(topic.id)));
        let mut faults = Faults::default();
        topic.check(&example["data"], "data", &mut faults);
        assert!(faults.is_empty(), "{}: {faults:?}", topic.id);
    }
}

#[test]
fn r05_installations_need_no_scope_and_concern_one_application() {
    for id in ["application.install", "application.uninstall"] {
        let topic = CATALOGUES.topic(id).unwrap();
        assert_eq!((topic.scope.as_deref(), topic.application.as_deref()), (None, Some("/applicationId")), "{id}");
        let named = example(topic)["new"].pointer("/applicationId").and_then(Value::as_str).map(str::len);
        assert!(named.is_some_and(|length| length > 0), "{id}");
    }
    let others = |topic: &&Topic| !["application.", "webhook."].iter().any(|begin| topic.id.starts_with(begin));
    for topic in CATALOGUES.topics().filter(others) {
        assert!(topic.scope.is_some() && topic.application.is_none(), "{}", topic.id);
    }
}

#[test]
fn r06_a_modified_tenancy_needs_the_scope_to_write() {
    let scope = |id: &str| CATALOGUES.topic(id).unwrap().scope.clone().unwrap();
    assert_eq!((scope("tenancies.created"), scope("tenancies.modified")), ("tenancies.read".into(), "tenancies.write".into()));
    let others = CATALOGUES.topics().filter(|topic| topic.id != "tenancies.modified");
    assert!(others.filter_map(|topic| topic.scope.as_deref()).all(|scope| scope.ends_with(".read")));
}

#[test]
fn every_rule_fires_on_its_own_example() {
    let ruled: Vec<_> = CATALOGUES.topics().filter(|topic| topic.when.is_some()).collect();
    assert_eq!(ruled.len(), 18);
    for topic in ruled {
        let example = example(topic);
        let (old, new) = (version(&example, "old"), version(&example, "new").unwrap());
        assert!(topic.when.as_ref().unwrap().fires(old, new), "{}", topic.id);
        assert!(!topic.when.as_ref().unwrap().fires(Some(new), new), "{}: what was so before is nothing new", topic.id);
        // Works orders have no topic for a new one: what is raised is reported as that.
        let entity = topic.id.split('.').next().unwrap();
        let reported = format!("{entity}.{}", if old.is_some() { "modified" } else { "created" });
        if let Some(reported) = CATALOGUES.topic(&reported) {
            assert!(fired(&reported.id, old, new).contains(&topic.id), "{} by {}", topic.id, reported.id);
        }
    }
}

#[test]
fn r29_an_appointment_that_is_created_cancelled_fires_cancelled() {
    let new = json!({"id": "A", "cancelled": true, "negotiatorConfirmed": true, "attendeeConfirmed": false});
    assert_eq!(fired("appointments.created", None, &new), ["appointments.cancelled"]);
    assert_eq!(fired("appointments.created", None, &json!({"id": "A", "cancelled": false})), [""; 0]);
    let confirmed = json!({"id": "A", "cancelled": true, "negotiatorConfirmed": true, "attendeeConfirmed": null});
    assert_eq!(fired("appointments.created", None, &confirmed), ["appointments.cancelled", "appointments.confirmed"]);
}

#[test]
fn one_change_fires_all_that_it_is_in_the_order_of_their_ids() {
    let old = json!({"id": "A", "selling": {"status": "valuation", "price": 1}, "lostInstructionDate": null});
    let new = json!({"id": "A", "selling": {"status": "underOffer", "price": 2}, "lostInstructionDate": "2026-03-01"});
    let all = ["properties.selling.askingpricechanged", "properties.selling.lostinstruction", "properties.selling.underoffer"];
    assert_eq!(fired("properties.modified", Some(&old), &new), all);
    assert_eq!(fired("properties.created", None, &new), all[1..]);
    assert_eq!(fired("properties.modified", Some(&new), &new), [""; 0]);
}

#[test]
fn instructed_depends_on_the_status_before() {
    let with = |status: &str| json!({"id": "A", "selling": {"status": status}});
    let instructed = |old: &str, new: &str| fired("properties.modified", Some(&with(old)), &with(new));
    for before in ["preAppraisal", "valuation", "paidValuation"] {
        assert_eq!(instructed(before, "forSale"), ["properties.selling.instructed"], "{before}");
        assert_eq!(instructed(before, "forSaleUnavailable"), ["properties.selling.instructed"], "{before}");
    }
    for before in ["underOffer", "withdrawn", "forSaleUnavailable", "exchanged"] {
        assert_eq!(instructed(before, "forSale"), [""; 0], "{before}");
    }
    assert_eq!(instructed("forSale", "valuation"), [""; 0]);
    assert_eq!(fired("properties.created", None, &with("forSale")), ["properties.selling.instructed"]);
}

#[test]
fn what_was_accepted_or_rejected_from_the_begin_fires_only_where_the_topic_says_so() {
    let new = json!({"id": "A", "status": "rejected"});
    assert_eq!(fired("offers.created", None, &new), ["offers.rejected"]);
    assert_eq!(fired("enquiries.created", None, &json!({"id": 1, "status": "rejected"})), [""; 0]);
    let old = json!({"id": 1, "status": "submitted"});
    assert_eq!(fired("enquiries.modified", Some(&old), &json!({"id": 1, "status": "rejected"})), ["enquiries.rejected"]);
}

#[test]
fn only_what_is_created_or_modified_fires_and_only_within_its_entity() {
    let (old, new) = (json!({"id": "A", "cancelled": false}), json!({"id": "A", "cancelled": true}));
    assert_eq!(fired("appointments.confirmed", Some(&old), &new), [""; 0]);
    assert_eq!(fired("contacts.landlorddetails.updated", None, &json!({"id": "A", "marketingConsent": "deny"})), [""; 0]);
    // Of a property's images nothing fires that is of properties.
    assert_eq!(fired("propertyimages.created", None, &json!({"id": "A", "lostInstructionDate": "2026-03-01"})), [""; 0]);
}

#[test]
fn the_nearest_topic_is_the_one_that_was_meant() {
    let nearest = |id: &str| CATALOGUES.nearest(id).map(|topic| topic.id.as_str());
    for (written, meant) in [
        ("contacts.modfied", "contacts.modified"),
        ("Contacts.Modified", "contacts.modified"),
        ("contacts.optout", "contacts.optedout"),
        ("properties.selling.instruct", "properties.selling.instructed"),
        ("telephony.incomingcall", "telephony.incomingCall"),
        ("tenancies.modify", "tenancies.modified"),
        ("worksorders.completed", "worksorders.complete"),
    ] {
        assert_eq!(nearest(written), Some(meant), "{written}");
    }
    for written in ["", "xyz", "ünknown", "to", "customers.created"] {
        assert_eq!(nearest(written), None, "{written}");
    }
}

#[test]
fn a_singular_is_taken_for_its_plural() {
    let nearest = |id: &str| CATALOGUES.nearest(id).map(|topic| topic.id.as_str());
    assert_eq!(nearest("contact.modified"), Some("contacts.modified"));
    assert_eq!(nearest("offer.accepted"), Some("offers.accepted"));
}

#[test]
fn the_path_of_a_fault_is_dotted() {
    let one = |topic: &str, value: Value| match faults(topic, &value).as_slice() {
        [one] => one.clone(),
        others => panic!("{others:?}"),
    };
    let (path, message) = one("contacts.modified", json!({"id": "A", "primaryAddress": {"postcode": 7}}));
    assert_eq!(path, "new.primaryAddress.postcode");
    assert!(message.contains("not of type") || message.contains("not of types"), "{message}");
    assert_eq!(one("contacts.modified", json!({"id": "A", "officeIds": ["B", 5]})).0, "new.officeIds[1]");
    assert_eq!(one("contacts.modified", json!({"id": ""})).0, "new.id");
    let (path, message) = one("contacts.modified", json!({"forename": "John"}));
    assert_eq!((path.as_str(), message.as_str()), ("new", "\"id\" is a required property"));
    assert_eq!(one("contacts.modified", json!([])).0, "new");
    assert_eq!((dotted("/a~1b/c~0d"), dotted("/0/x/12"), dotted("")), (".a/b.c~d".into(), "[0].x[12]".into(), String::new()));
}

#[test]
fn a_schema_lets_members_pass_that_it_does_not_name() {
    assert_eq!(faults("contacts.modified", &json!({"id": "A", "metadata": {"mine": [1, {}]}, "_links": null})), []);
}

#[test]
fn of_many_faults_20_are_told_with_200_characters_each() {
    let many = faults("contacts.modified", &json!({"id": "A", "officeIds": vec![7; 30]}));
    assert_eq!(many.len(), FAULTS_MAX);
    let long = faults("contacts.modified", &json!({"id": "A", "forename": vec!["ä".repeat(100); 10]}));
    assert_eq!(long.len(), 1);
    assert_eq!(long[0].1.chars().count(), MESSAGE_CHARACTERS_MAX);
}
