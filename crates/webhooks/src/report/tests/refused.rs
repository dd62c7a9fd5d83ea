//! What cannot be used: every fault with its path, and nothing is taken.

use super::*;

#[test]
fn a_catalogue_that_is_not_there_or_bellwire_s_own_is_refused() {
    let expected = "must be one that others report to (apirtc, avaya, enreach, reapit), got";
    assert_fault(&with(&json!({"catalogue": "avaia"})), "catalogue", &format!("{expected} \"avaia\""));
    let own = with(&json!({"catalogue": "bellwire", "topic": "telephony.missedCall"}));
    assert_fault(&own, "catalogue", &format!("{expected} \"bellwire\""));
    assert_fault(&with(&json!({"catalogue": null})), "catalogue", "is required");
    assert_fault(&with(&json!({"catalogue": ["reapit"]})), "catalogue", "must be a string, got an array");
}

#[test]
fn an_unknown_topic_is_refused_with_the_one_that_was_meant() {
    let said = fault(&with(&json!({"topic": "contacts.modfied"})));
    let expected = r#"is not in the catalogue reapit: "contacts.modfied"; did you mean contacts.modified?"#;
    assert_eq!(said, ("topic".to_owned(), expected.to_owned()));
    let said = fault(&with(&json!({"topic": "telephony.missedCall"})));
    let expected = r#"is not in the catalogue reapit: "telephony.missedCall""#;
    assert_eq!(said, ("topic".to_owned(), expected.to_owned()), "what is of another catalogue is not advised");
    assert_fault(&with(&json!({"topic": null})), "topic", "is required");
}

#[test]
fn a_malformed_customer_entity_or_time_is_refused() {
    for customer in ["", "A", "a b", "ABC-", "AB/CD", "ÄB"] {
        let expected =
            format!("must be 2 to 16 letters and digits, optionally followed by - and 2 to 16 more, got {}", json!(customer));
        assert_fault(&with(&json!({"customerId": customer})), "customerId", &expected);
    }
    assert_fault(&with(&json!({"customerId": 7})), "customerId", "must be a string, got a number");
    assert_fault(&with(&json!({"customerId": null})), "customerId", "is required");
    for time in ["2020-05-13", "yesterday", "2020-13-13T09:33:16Z", "2020-05-13T09:33:16,5Z", "2020-05-13 09:33:16Z"] {
        let expected = format!("must be a time such as 2020-05-13T09:33:16.8811358Z, got {}", json!(time));
        assert_fault(&with(&json!({"occurredAt": time})), "occurredAt", &expected);
    }
    assert_fault(&with(&json!({"occurredAt": 1_589_362_396})), "occurredAt", "must be a string, got a number");
    assert_fault(&with(&json!({"occurredAt": null})), "occurredAt", "is required");
    for entity in [String::new(), "ä".repeat(129), "A\n1".to_owned()] {
        assert_fault(&with(&json!({"entityId": entity})), "entityId", "must be 1 to 128 characters without control characters");
    }
    assert_eq!(taken(&with(&json!({"entityId": "ä".repeat(128)}))).events.len(), 1);
}

#[test]
fn an_environment_is_production_or_sandbox() {
    assert_fault(&with(&json!({"environment": "test"})), "environment", "must be production or sandbox, got \"test\"");
    assert_fault(&with(&json!({"environment": true})), "environment", "must be a string, got a boolean");
}

#[test]
fn a_change_has_a_version_before_or_after() {
    assert_fault(&with(&json!({"old": null, "new": null})), "new", "is required, or old where the entity is gone");
    let created = with(&json!({"topic": "contacts.created"}));
    assert_fault(&created, "old", "must be absent: what is created was not there before");
    assert_fault(&with(&json!({"new": "A1"})), "new", "must be an object, got a string");
    assert_fault(&with(&json!({"old": []})), "old", "must be an object, got an array");
    let data = with(&json!({"data": {"id": "A1"}}));
    assert_fault(&data, "data", "is not used by topics of the catalogue reapit: old and new are");
}

#[test]
fn an_entity_that_is_not_as_its_schema_says_is_refused_where_it_is_wrong() {
    assert_fault(&with(&json!({"new": {"id": ""}})), "new.id", "shorter than 1 character");
    assert_fault(&with(&json!({"new": {"surname": "Jones"}})), "new", "\"id\" is a required property");
    assert_fault(&with(&json!({"old": {"id": "A1", "officeIds": ["A", 5]}})), "old.officeIds[1]", "5 is not of type \"string\"");
    assert_fault(
        &with(&json!({"new": {"id": "A1", "primaryAddress": {"postcode": 7}}})),
        "new.primaryAddress.postcode",
        "7 is not",
    );
    assert_fault(&with(&json!({"new": {"id": "A1", "marketingConsent": "no"}})), "new.marketingConsent", "\"no\" is not one of");
}

#[test]
fn an_unknown_or_repeated_member_is_refused() {
    assert_fault(&with(&json!({"customerID": "DEM"})), "customerID", "is not known here; did you mean customerId?");
    assert_fault(&with(&json!({"colour": "red"})), "colour", "is not known here; known are catalogue, topic, customerId");
    let text = good().to_string().replacen('{', r#"{"topic":"contacts.modified","#, 1);
    assert_eq!(faults_of(&text), [("topic".to_owned(), "is given more than once".to_owned())]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let body = json!({
        "catalogue": "reapit", "topic": "contacts.created", "customerId": "?", "entityId": "", "occurredAt": "now", "environment": "x",
        "old": {"id": "A1"}, "new": {"id": 7}, "data": {}, "related": {}, "more": 1,
    });
    let paths: Vec<_> = faults_of(&body.to_string()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["more", "customerId", "entityId", "occurredAt", "environment", "data", "old", "new.id", "related"]);
}

#[test]
fn what_is_wrong_with_a_related_entity_is_told_with_its_place() {
    let one = |related: Value| fault(&with(&json!({"related": [entity("vendors.modified", "V1"), related]})));
    let mut bad = entity("vendors.modified", "V1");
    bad["new"]["id"] = json!(7);
    assert_eq!(one(bad).0, "related[1].new.id");
    assert_eq!(one(json!(7)), ("related[1]".to_owned(), "must be an object, got a number".to_owned()));
    let (path, said) = one(entity("vendor.modified", "V1"));
    assert!(
        path == "related[1].topic" && said.starts_with(r#"is not in the catalogue reapit: "vendor.modified"; did you mean "#),
        "{said}"
    );
    assert_eq!(one(entity("session.opened", "V1")).0, "related[1].topic", "bellwire's own are not reported this way either");
    let created = json!({"topic": "vendors.created", "entityId": "V1", "old": {"id": "V1"}, "new": {"id": "V1"}});
    assert_eq!(one(created).0, "related[1].old");
    assert_eq!(one(json!({"topic": "vendors.modified", "entityId": "V1"})).0, "related[1].new");
    assert_eq!(
        one(json!({"topic": "vendors.modified", "new": {"id": "V1"}})),
        ("related[1].entityId".to_owned(), "is required".to_owned())
    );
    let (path, said) = one(json!({"topic": "vendors.modified", "entityId": "V1", "new": {"id": "V1"}, "customerId": "DEM"}));
    assert_eq!(
        (path.as_str(), said.as_str()),
        ("related[1].customerId", "is not known here; known are topic, entityId, old, new")
    );
}

#[test]
fn up_to_20_entities_are_related() {
    let related = |count: usize| with(&json!({"related": vec![entity("vendors.modified", "V1"); count]}));
    assert_eq!(taken(&related(RELATED_MAX)).events.len(), 1 + RELATED_MAX);
    assert_fault(&related(RELATED_MAX + 1), "related", "must hold up to 20 entities, got 21");
    assert_eq!(taken(&with(&json!({"related": []}))).events.len(), 1);
}

#[test]
fn a_list_holds_1_to_500_reports() {
    assert_fault(&json!([]), "$", "must hold 1 to 500 events, got 0");
    assert_fault(&Value::from(vec![good(); BATCH_MAX + 1]), "$", "must hold 1 to 500 events, got 501");
    assert_eq!(taken(&Value::from(vec![good(); BATCH_MAX])).events.len(), BATCH_MAX);
}

#[test]
fn of_a_list_with_one_bad_report_nothing_is_taken_and_its_place_is_told() {
    assert_fault(
        &json!([good(), with(&json!({"topic": "contacts.modfied"})), good()]),
        "[1].topic",
        "did you mean contacts.modified?",
    );
    assert_fault(&json!([good(), with(&json!({"new": {"id": ""}}))]), "[1].new.id", "shorter");
    assert_fault(&json!([good(), 7]), "[1]", "must be an object, got a number");
    let related = with(&json!({"related": [{"topic": "vendors.modified", "entityId": "V1", "new": {"id": 1}}]}));
    assert_fault(&json!([related]), "[0].related[0].new.id", "is not of type");
}

#[test]
fn what_is_no_report_and_no_list_is_refused() {
    for (body, kind) in [(json!("x"), "a string"), (json!(1), "a number"), (Value::Null, "null"), (json!(true), "a boolean")] {
        assert_fault(&body, "$", &format!("must be an object, got {kind}"));
    }
}

#[test]
fn a_report_has_256_kib_at_most() {
    let of = |bytes: usize| {
        let padded = |padding: usize| with(&json!({"new": {"id": "A1", "notes": "x".repeat(padding)}})).to_string();
        padded(bytes - padded(0).len())
    };
    assert_eq!(of(EVENT_BYTES_MAX).len(), EVENT_BYTES_MAX);
    assert_eq!(read_text(&of(EVENT_BYTES_MAX)).map(|reports| reports.events.len()).ok(), Some(1));
    let expected = "has 262145 bytes, 262144 are allowed".to_owned();
    assert_eq!(faults_of(&of(EVENT_BYTES_MAX + 1)), [("$".to_owned(), expected.clone())]);
    let list = format!("[{}, {}]", good(), of(EVENT_BYTES_MAX + 1));
    assert_eq!(faults_of(&list), [("[1]".to_owned(), expected)]);
}

#[test]
fn broken_json_is_unreadable_with_line_and_column() {
    assert_eq!(unreadable(b"{\"catalogue\": \"reapit\",\n  topic}"), "key must be a string at line 2 column 3");
    assert_eq!(unreadable(b""), "EOF while parsing a value at line 1 column 0");
    assert_eq!(unreadable(b"[1,]"), "trailing comma at line 1 column 4");
    assert_eq!(unreadable(b"{} {}"), "trailing characters at line 1 column 4");
    assert!(unreadable(b"{\"a\":\"\xff\"}").contains("invalid unicode code point at line 1"));
    assert!(unreadable(b"{\"a\":1e999}").contains("number out of range at line 1"));
    assert!(unreadable(br#"{"a":"\ud800"}"#).contains("at line 1"));
}

#[test]
fn what_is_nested_more_than_32_levels_deep_is_unreadable() {
    let nested = |levels: usize| {
        let value = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        good().to_string().replace(r#""surname":"Jones""#, &format!(r#""surname":"Jones","x":{value}"#))
    };
    // The report is the first level and the entity the second.
    assert_eq!(read_text(&nested(json::DEPTH_MAX - 2)).map(|reports| reports.events.len()).ok(), Some(1));
    let said = unreadable(nested(json::DEPTH_MAX - 1).as_bytes());
    assert!(said.starts_with("nested more than 32 levels deep at line 1 column "), "{said}");
}
