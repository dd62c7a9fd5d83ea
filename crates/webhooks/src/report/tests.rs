use std::cell::Cell;
use std::sync::LazyLock;

use serde_json::json;

use super::*;
use crate::render;

mod refused; // each kind of bad input, with its path

/// Loading them takes a while.
static CATALOGUES: LazyLock<Catalogues> = LazyLock::new(|| Catalogues::load().unwrap_or_else(|error| panic!("{error}")));

/// Reads a body with the ids 1, 2, 3, …
fn read_text(body: &str) -> Result<Reports, Malformed> {
    let last = Cell::new(0);
    let new_id = || {
        last.set(last.get() + 1);
        last.get().to_string()
    };
    read(body.as_bytes(), &CATALOGUES, &new_id)
}

fn taken(body: &Value) -> Reports {
    read_text(&body.to_string()).unwrap_or_else(|error| panic!("{error:?}"))
}

fn event(reported: &Reported) -> TopicEvent<'_> {
    TopicEvent::read(&reported.document).unwrap_or_else(|error| panic!("{error}: {}", reported.document))
}

fn topics(reports: &Reports) -> Vec<&str> {
    reports.events.iter().map(|event| event.topic.as_str()).collect()
}

/// What is wrong with a body: paths and messages.
fn faults_of(body: &str) -> Vec<(String, String)> {
    match read_text(body) {
        Err(Malformed::Invalid(faults)) => {
            faults.as_slice().iter().map(|fault| (fault.field.clone(), fault.message.clone())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn unreadable(body: &[u8]) -> String {
    match read(body, &CATALOGUES, &String::new) {
        Err(Malformed::Unreadable(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The one fault of a body.
fn fault(body: &Value) -> (String, String) {
    match faults_of(&body.to_string()).as_slice() {
        [one] => one.clone(),
        others => panic!("{body}: {others:?}"),
    }
}

fn assert_fault(body: &Value, path: &str, message: &str) {
    let (field, said) = fault(body);
    assert!(field == path && said.contains(message), "{field}: {said}");
}

/// A report of a change that is good.
fn good() -> Value {
    json!({
        "catalogue": "reapit", "topic": "contacts.modified", "customerId": "DEM", "entityId": "A1",
        "occurredAt": "2026-03-02T09:15:40.5Z", "old": {"id": "A1", "surname": "Smith"}, "new": {"id": "A1", "surname": "Jones"},
    })
}

/// The good report with other members; those that are null are taken out.
fn with(changes: &Value) -> Value {
    let mut report = good();
    for (name, value) in changes.as_object().unwrap() {
        report[name] = value.clone();
    }
    report.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    report
}

fn entity(topic: &str, id: &str) -> Value {
    json!({"topic": topic, "entityId": id, "old": {"id": id, "_eTag": "1"}, "new": {"id": id, "_eTag": "2", "related": []}})
}

#[test]
fn a_report_is_an_event_of_its_topic() {
    let reports = taken(&good());
    assert_eq!(topics(&reports), ["contacts.modified"]);
    let (reported, event) = (&reports.events[0], event(&reports.events[0]));
    assert_eq!((reported.customer.as_str(), reported.sandbox, reported.stamps_only), ("DEM", false, false));
    assert_eq!(reported.application, None);
    assert_eq!((event.change.as_ref(), event.id.as_ref()), ("1", "2"));
    assert_eq!((event.catalogue.as_ref(), event.topic.as_ref()), ("reapit", "contacts.modified"));
    assert_eq!((event.customer.as_str(), event.entity.as_deref(), event.sandbox), ("DEM", Some("A1"), false));
    assert_eq!(event.time.to_string(), "2026-03-02T09:15:40.5Z");
    assert!(event.key.is_none() && event.data.is_none());
}

#[test]
fn r28_a_contact_s_new_name_is_told_of_its_roles_too_as_one_change_of_distinct_entities() {
    let related =
        json!([entity("applicants.modified", "P1"), entity("landlords.modified", "L1"), entity("vendors.modified", "V1")]);
    let reports = taken(&with(&json!({"related": related})));
    assert_eq!(topics(&reports), ["contacts.modified", "applicants.modified", "landlords.modified", "vendors.modified"]);
    let events: Vec<_> = reports.events.iter().map(event).collect();
    assert!(events.iter().all(|event| event.change == "1") && reports.events.iter().all(|reported| reported.change == "1"));
    assert_eq!(events.iter().map(|event| event.id.as_ref()).collect::<Vec<_>>(), ["2", "3", "4", "5"]);
    assert_eq!(events.iter().filter_map(|event| event.entity.as_deref()).collect::<Vec<_>>(), ["A1", "P1", "L1", "V1"]);
    assert_eq!(events[2].new.unwrap().get(), json!({"id": "L1", "_eTag": "2", "related": []}).to_string());
    assert_eq!(events[2].diff.unwrap().get(), r#"{"_eTag":["1","2"],"related":[null,[]]}"#);
    assert!(events.iter().all(|event| event.customer.as_str() == "DEM" && event.time == events[0].time));
}

#[test]
fn r28_two_reports_are_two_changes() {
    let reports = taken(&json!([good(), good()]));
    assert_eq!(reports.events.iter().map(|reported| reported.change.as_str()).collect::<Vec<_>>(), ["1", "3"]);
}

#[test]
fn a_related_change_fires_what_it_is_as_well() {
    let related =
        json!([{"topic": "offers.modified", "entityId": "O1", "old": {"id": "O1"}, "new": {"id": "O1", "status": "accepted"}}]);
    let reports = taken(&with(&json!({"related": related})));
    assert_eq!(topics(&reports), ["contacts.modified", "offers.modified", "offers.accepted"]);
    assert_eq!(event(&reports.events[2]).entity.as_deref(), Some("O1"));
}

#[test]
fn r29_an_appointment_that_is_created_cancelled_is_created_and_cancelled() {
    let new = json!({"id": "B1", "cancelled": true});
    let report = with(&json!({"topic": "appointments.created", "entityId": "B1", "old": null, "new": new}));
    let reports = taken(&report);
    assert_eq!(topics(&reports), ["appointments.created", "appointments.cancelled"]);
    for reported in &reports.events {
        let event = event(reported);
        assert_eq!((event.change.as_ref(), event.entity.as_deref()), ("1", Some("B1")));
        assert_eq!(
            (event.new.map(RawValue::get), event.old.is_none(), event.diff.is_none()),
            (Some(new.to_string().as_str()), true, true)
        );
    }
}

#[test]
fn r24_a_difference_stands_only_in_what_was_modified_and_has_both_versions() {
    let diff = |topic: &str, old: Value, new: Value| {
        let reports = taken(&with(&json!({"topic": topic, "old": old, "new": new})));
        reports
            .events
            .iter()
            .map(|reported| (reported.topic.clone(), event(reported).diff.map(|diff| diff.get().to_owned())))
            .collect::<Vec<_>>()
    };
    let (was, is) = (json!({"id": "A1", "marketingConsent": "grant"}), json!({"id": "A1", "marketingConsent": "deny"}));
    let changed = Some(r#"{"marketingConsent":["grant","deny"]}"#.to_owned());
    let both = diff("contacts.modified", was.clone(), is.clone());
    assert_eq!(both, [("contacts.modified".to_owned(), changed), ("contacts.optedout".to_owned(), None)]);
    assert_eq!(diff("contacts.optedout", was.clone(), is.clone()), [("contacts.optedout".to_owned(), None)]);
    assert_eq!(diff("contacts.created", Value::Null, was.clone()), [("contacts.created".to_owned(), None)]);
    assert_eq!(diff("contacts.modified", was, Value::Null), [("contacts.modified".to_owned(), None)], "deleted or archived");
}

#[test]
fn r24_the_version_that_there_is_not_is_absent() {
    let deleted = taken(&with(&json!({"new": null})));
    let event_of = event(&deleted.events[0]);
    assert!(event_of.new.is_none() && event_of.old.is_some());
    assert!(!deleted.events[0].document.contains("\"new\""));
    let body = String::from_utf8(render::reapit(&event_of, 1)).unwrap();
    assert!(body.ends_with(r#""new":null,"old":{"id":"A1","surname":"Smith"},"diff":null}"#), "{body}");
}

#[test]
fn instructed_is_told_where_the_status_before_says_so() {
    let report = |old: &str| {
        let version = |status: &str| json!({"id": "C1", "selling": {"status": status}});
        taken(&with(&json!({"topic": "properties.modified", "old": version(old), "new": version("forSale")})))
    };
    assert_eq!(topics(&report("valuation")), ["properties.modified", "properties.selling.instructed"]);
    assert_eq!(topics(&report("underOffer")), ["properties.modified"]);
}

#[test]
fn what_is_reported_as_a_status_is_that_alone() {
    let version = |status: &str| json!({"id": "C1", "status": status});
    let report = with(&json!({"topic": "offers.accepted", "old": version("pending"), "new": version("accepted")}));
    assert_eq!(topics(&taken(&report)), ["offers.accepted"]);
}

#[test]
fn r26_what_changes_nothing_but_stamps_is_known_and_r27_anything_else_is_not_that() {
    let stamps_only = |topic: &str, old: Value, new: Value| {
        taken(&with(&json!({"topic": topic, "old": old, "new": new})))
            .events
            .iter()
            .map(|event| event.stamps_only)
            .collect::<Vec<_>>()
    };
    let (was, is) = (
        json!({"id": "A1", "_eTag": "1", "modified": null}),
        json!({"id": "A1", "_eTag": "2", "modified": "2026-03-02T09:15:40Z"}),
    );
    assert_eq!(stamps_only("contacts.modified", was.clone(), is.clone()), [true]);
    assert_eq!(stamps_only("contacts.modified", was.clone(), json!({"id": "A1", "_eTag": "2", "email": "a@b.example"})), [false]);
    assert_eq!(stamps_only("contacts.optedout", was, is.clone()), [false], "a status is told whatever else changed");
    assert_eq!(stamps_only("contacts.created", Value::Null, is), [false]);
}

#[test]
fn r31_the_time_is_that_of_the_change_and_in_utc() {
    let time = |at: &str| {
        let reports = taken(&with(&json!({"occurredAt": at})));
        let body: Value = serde_json::from_slice(&render::reapit(&event(&reports.events[0]), 1)).unwrap();
        body["eventTime"].as_str().unwrap().to_owned()
    };
    assert_eq!(time("2020-05-13T09:33:16.8811358Z"), "2020-05-13T09:33:16.8811358Z");
    assert_eq!(time("2020-05-13T11:33:16.8811358+02:00"), "2020-05-13T09:33:16.8811358Z");
    assert_eq!(time("2020-05-13T09:33:16Z"), "2020-05-13T09:33:16.0000000Z");
    assert_eq!(time("2020-05-13T09:33:16.123456789Z"), "2020-05-13T09:33:16.1234567Z");
}

#[test]
fn r11_what_comes_from_sbox_is_a_sandbox_s_whatever_is_said() {
    let sandbox = |customer: &str, environment: Value| {
        let reports = taken(&with(&json!({"customerId": customer, "environment": environment})));
        assert_eq!(event(&reports.events[0]).sandbox, reports.events[0].sandbox);
        reports.events[0].sandbox
    };
    assert!(sandbox("SBOX", Value::Null) && sandbox("SBOX", json!("production")) && sandbox("DEM", json!("sandbox")));
    assert!(!sandbox("DEM", Value::Null) && !sandbox("DEM", json!("production")) && !sandbox("sbox", Value::Null));
}

#[test]
fn r05_an_installation_concerns_the_application_that_it_names() {
    let install = |new: Value| {
        let report = with(&json!({"topic": "application.install", "entityId": null, "old": null, "new": new}));
        taken(&report).events[0].application.clone()
    };
    assert_eq!(install(json!({"applicationId": "app-1"})).as_deref(), Some("app-1"));
    assert_eq!(install(json!({"applicationName": "Call Notes"})).as_deref(), Some(""), "it concerns nobody, not everybody");
}

#[test]
fn r17_r35_the_documented_contact_is_sent_in_the_documented_order() {
    #[derive(serde::Deserialize)]
    struct Example<'a> {
        #[serde(borrow)]
        old: &'a RawValue,
        new: &'a RawValue,
    }
    let example = CATALOGUES.topic("contacts.modified").unwrap().example;
    let reports = read_text(example).unwrap_or_else(|error| panic!("{error:?}"));
    let Example { old, new } = serde_json::from_str(example).unwrap();
    let diff = concat!(
        r#"{"modified":[null,"2020-05-13T09:33:10Z"],"mobilePhone":[null,"07123 456789"],"#,
        r#""primaryAddress":{"buildingNumber":["1","12"]},"#,
        r#""_eTag":["\"65D680519E9762519D203891A694B85B\"","\"4DF107A6EB05D792EEAFDF1432F6E275\""]}"#,
    );
    for sends in [1, 6] {
        let body = String::from_utf8(render::reapit(&event(&reports.events[0]), sends)).unwrap();
        let expected = format!(
            concat!(
                r#"{{"SendAttempts":{},"eventId":"1","entityId":"RPT20000029","customerId":"SBOX","#,
                r#""eventTime":"2020-05-13T09:33:16.8811358Z","topicId":"contacts.modified","new":{},"old":{},"diff":{}}}"#,
            ),
            sends,
            new.get(),
            old.get(),
            diff
        );
        assert_eq!(body, expected);
    }
}

#[test]
fn numbers_spaces_and_the_order_of_members_are_kept_as_they_were_written() {
    let new = r#"{ "z":1.10, "id":"A1","n":12345678901234567890123,"e":1E5,"deep":{"b":-0.0,"a":"\u00e9"} }"#;
    let old = r#"{"id":"A1","z":1.1}"#;
    let body = format!(
        r#"{{"new":{new},"old":{old},"catalogue":"reapit","topic":"contacts.modified","customerId":"DEM","entityId":"A1","occurredAt":"2026-03-02T09:15:40Z"}}"#
    );
    let reports = read_text(&body).unwrap_or_else(|error| panic!("{error:?}"));
    let document = &reports.events[0].document;
    assert!(document.contains(&format!(r#""new":{new},"old":{old},"diff":{{"#)), "{document}");
    let diff = event(&reports.events[0]).diff.unwrap().get().to_owned();
    assert_eq!(diff, r#"{"n":[null,12345678901234567890123],"e":[null,1E5],"deep":[null,{"b":-0.0,"a":"\u00e9"}]}"#);
}

#[test]
fn who_is_spoken_for_is_told_once_each() {
    let reports = taken(&json!([good(), with(&json!({"customerId": "SBOX"})), good()]));
    let spoken_for: Vec<_> =
        reports.spoken_for.iter().map(|(catalogue, customer)| (catalogue.as_str(), customer.as_str())).collect();
    assert_eq!(spoken_for, [("reapit", "DEM"), ("reapit", "SBOX")]);
    assert_eq!(reports.events.len(), 3);
}

#[test]
fn every_example_that_others_report_is_read_as_an_event_of_its_topic() {
    for topic in CATALOGUES.topics().filter(|topic| topic.catalogue != OWN) {
        let reports = read_text(topic.example).unwrap_or_else(|error| panic!("{}: {error:?}", topic.id));
        assert_eq!(topics(&reports).first(), Some(&topic.id.as_str()));
    }
}
