use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use protocol::fault::Malformed;

use super::*;
use crate::sign::Secret;

/// Loading them takes a while.
static CATALOGUES: LazyLock<Catalogues> = LazyLock::new(|| Catalogues::load().unwrap_or_else(|error| panic!("{error}")));

/// The scopes that the application of these tests holds.
const SCOPES: [&str; 4] = ["contacts.read", "offers.read", "tenancies.read", "notifications.telephony.read"];
/// The customers that have installed it.
const INSTALLED: [&str; 2] = ["DEM", "COL-GMIO"];
const URL: &str = "https://hooks.example.com/a";

fn customer(text: &str) -> CustomerId {
    CustomerId::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn application() -> ClientId {
    ClientId::parse("app").unwrap()
}

fn read_as(
    body: &str,
    contract: Contract,
    before: Option<&Wish>,
    bound_to: Option<&str>,
) -> Result<(Wish, Option<Secret>), Malformed> {
    let asker = Asker {
        application: application(),
        guard: &Guard::new(Vec::new(), false),
        catalogues: &CATALOGUES,
        ports: &[443, 8443],
        loopback: false,
        holds: &|scope| SCOPES.contains(&scope),
        installed: &|customer| INSTALLED.contains(&customer.as_str()),
        bound_to: bound_to.map(customer),
    };
    Wish::read(body.as_bytes(), contract, before, &asker)
}

fn made(body: &Value) -> Wish {
    read_as(&body.to_string(), Contract::Native, None, None).unwrap_or_else(|error| panic!("{error:?}")).0
}

fn changed(before: &Wish, body: &Value) -> Wish {
    read_as(&body.to_string(), Contract::Native, Some(before), None).unwrap_or_else(|error| panic!("{error:?}")).0
}

fn told(malformed: Malformed) -> Vec<(String, String)> {
    match malformed {
        Malformed::Invalid(faults) => {
            faults.as_slice().iter().map(|fault| (fault.field.clone(), fault.message.clone())).collect()
        }
        Malformed::Unreadable(error) => panic!("{error}"),
    }
}

fn faults(body: &Value) -> Vec<(String, String)> {
    told(read_as(&body.to_string(), Contract::Native, None, None).unwrap_err())
}

fn assert_fault(body: &Value, path: &str, message: &str) {
    match faults(body).as_slice() {
        [(field, said)] => assert!(field == path && said.contains(message), "{field}: {said}"),
        others => panic!("{body}: {others:?}"),
    }
}

/// A good body with other members; those that are null are taken out.
fn with(changes: &Value) -> Value {
    let mut body = json!({"url": URL, "topicIds": ["contacts.modified"]});
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    body
}

#[test]
fn what_is_left_out_has_its_default() {
    let expected = Wish {
        url: URL.to_owned(),
        description: String::new(),
        topic_ids: vec!["contacts.modified".to_owned()],
        customer_ids: Vec::new(),
        active: true,
        ignore_etag_only_changes: true,
        profile: "standard".to_owned(),
        asymmetric: false,
        ..Wish::default()
    };
    assert_eq!(made(&with(&json!({}))), expected);
    let nulls = json!({"url": URL, "topicIds": ["contacts.modified"], "active": null, "profile": null, "customerIds": null});
    assert_eq!(made(&nulls), expected, "null is the same as absent");
}

#[test]
fn what_is_asked_for_is_taken() {
    let body = json!({
        "url": "https://Hooks.Example.com:8443/b?c=d", "description": "Ä", "topicIds": ["offers.accepted", "contacts.modified"],
        "customerIds": ["COL-GMIO", "DEM"], "active": false, "ignoreEtagOnlyChanges": false, "profile": "standard",
        "asymmetric": true, "applicationId": "app",
    });
    let wish = made(&body);
    assert_eq!(wish.url, "https://Hooks.Example.com:8443/b?c=d", "as it was written");
    assert_eq!((wish.description.as_str(), wish.profile.as_str()), ("Ä", "standard"));
    assert_eq!(wish.topic_ids, ["offers.accepted", "contacts.modified"]);
    assert_eq!(wish.customer_ids, [customer("COL-GMIO"), customer("DEM")]);
    assert!(!wish.active && !wish.ignore_etag_only_changes && wish.asymmetric);
}

#[test]
fn r01_http_is_refused_when_it_is_made_and_when_it_is_changed() {
    let body = with(&json!({"url": "http://hooks.example.com/a"}));
    assert_fault(&body, "url", "must begin with https://");
    let before = made(&with(&json!({})));
    let refused = told(read_as(&body.to_string(), Contract::Native, Some(&before), None).unwrap_err());
    assert_eq!(refused.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["url"]);
    assert_fault(&with(&json!({"url": "https://hooks.example.com:8080/"})), "url", "port 8080");
    assert_fault(&with(&json!({"url": "https://hooks.example.com/#a"})), "url", "must not have a fragment");
    let said = "nothing is sent there: 10.0.0.1 is a private address (RFC 1918)";
    assert_fault(&with(&json!({"url": "https://10.0.0.1/"})), "url", said);
}

#[test]
fn a_receiver_on_this_machine_is_for_development() {
    let body = with(&json!({"url": "http://127.0.0.1:9000/"})).to_string();
    assert!(read_as(&body, Contract::Native, None, None).is_err());
    let asker = Asker {
        application: application(),
        guard: &Guard::new(Vec::new(), true),
        catalogues: &CATALOGUES,
        ports: &[443],
        loopback: true,
        holds: &|_| true,
        installed: &|_| true,
        bound_to: None,
    };
    let (wish, _) = Wish::read(body.as_bytes(), Contract::Native, None, &asker).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(wish.url, "http://127.0.0.1:9000/");
}

#[test]
fn e19_a_list_of_urls_is_refused() {
    let said = faults(&with(&json!({"url": [URL, URL]})));
    assert_eq!(said, [("url".to_owned(), "must be one URL, got a list: make a subscription for each".to_owned())]);
    assert_fault(&with(&json!({"url": {"href": URL}})), "url", "must be a string, got an object");
    assert_fault(&with(&json!({"url": null})), "url", "is required");
}

#[test]
fn r04_a_topic_without_its_scope_is_refused_and_the_scope_is_named() {
    let body = with(&json!({"topicIds": ["contacts.modified", "vendors.created"]}));
    assert_fault(
        &body,
        "topicIds[1]",
        "vendors.created needs the scope vendors.read, which this application has not been granted",
    );
}

#[test]
fn r05_installations_need_no_scope() {
    assert_eq!(made(&with(&json!({"topicIds": ["application.install", "application.uninstall"]}))).topic_ids.len(), 2);
}

#[test]
fn r06_a_modified_tenancy_needs_the_scope_to_write() {
    assert_eq!(made(&with(&json!({"topicIds": ["tenancies.created"]}))).topic_ids, ["tenancies.created"]);
    assert_fault(&with(&json!({"topicIds": ["tenancies.modified"]})), "topicIds[0]", "needs the scope tenancies.write");
}

#[test]
fn r08_no_topics_are_refused() {
    let expected = "must name at least one topic; GET /webhooks/topics lists them";
    assert_fault(&with(&json!({"topicIds": []})), "topicIds", expected);
    assert_fault(&with(&json!({"topicIds": null})), "topicIds", expected);
    let before = made(&with(&json!({})));
    let refused = told(read_as(&with(&json!({"topicIds": []})).to_string(), Contract::Native, Some(&before), None).unwrap_err());
    assert_eq!(refused, [("topicIds".to_owned(), expected.to_owned())], "none is not the same as left out");
}

#[test]
fn an_unknown_or_repeated_topic_is_refused() {
    assert_fault(
        &with(&json!({"topicIds": ["contacts.modfied"]})),
        "topicIds[0]",
        r#"is no topic: "contacts.modfied"; did you mean contacts.modified?"#,
    );
    let said = faults(&with(&json!({"topicIds": ["vendors.creatd"]})));
    assert_eq!(said[0].1, r#"is no topic: "vendors.creatd""#, "what it has no scope for is not advised");
    assert_fault(&with(&json!({"topicIds": ["contacts.modified", "contacts.modified"]})), "topicIds[1]", "is given twice");
    assert_fault(&with(&json!({"topicIds": "contacts.modified"})), "topicIds", "must be an array, got a string");
}

#[test]
fn the_place_of_a_fault_counts_what_is_no_string_too() {
    let said = faults(&with(&json!({"topicIds": [7, "contacts.modified", "contacts.modfied"], "customerIds": [null, "AAA"]})));
    let paths: Vec<_> = said.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["topicIds[0]", "topicIds[2]", "customerIds[0]", "customerIds[1]"], "{said:?}");
}

#[test]
fn a_topic_of_another_catalogue_than_the_profile_s_is_refused() {
    let body = with(&json!({"profile": "reapit", "topicIds": ["contacts.modified", "telephony.missedCall"]}));
    assert_fault(&body, "topicIds[1]", "telephony.missedCall is of the catalogue bellwire, and the profile reapit takes reapit");
    let both = with(&json!({"topicIds": ["contacts.modified", "telephony.missedCall"]}));
    assert_eq!(made(&both).topic_ids.len(), 2, "standard takes any");
}

#[test]
fn r12_a_customer_that_has_not_installed_the_application_cannot_be_chosen_but_a_sandbox_can() {
    assert_fault(&with(&json!({"customerIds": ["DEM", "AAA"]})), "customerIds[1]", "AAA has not installed this application");
    let wish = made(&with(&json!({"customerIds": ["SBOX", "DEM"]})));
    assert_eq!(wish.customer_ids, [customer("SBOX"), customer("DEM")]);
}

#[test]
fn a_malformed_or_repeated_customer_is_refused() {
    assert_fault(&with(&json!({"customerIds": ["D/M"]})), "customerIds[0]", "must be 2 to 16 letters and digits");
    assert_fault(&with(&json!({"customerIds": ["DEM", "SBOX", "DEM"]})), "customerIds[2]", "is given twice");
    assert_fault(&with(&json!({"customerIds": "DEM"})), "customerIds", "must be an array, got a string");
    let many = vec!["DEM"; CUSTOMERS_MAX + 1];
    assert_fault(&with(&json!({"customerIds": many})), "customerIds", "must name up to 1000 customers, got 1001");
}

#[test]
fn r09_one_who_asks_for_a_customer_gets_that_customer_alone() {
    let bound = |customer_ids: Value| {
        let body = with(&json!({"customerIds": customer_ids})).to_string();
        read_as(&body, Contract::Native, None, Some("DEM")).map(|(wish, _)| wish.customer_ids).map_err(told)
    };
    assert_eq!(bound(Value::Null), Ok(vec![customer("DEM")]));
    assert_eq!(bound(json!([])), Ok(vec![customer("DEM")]), "not all of them");
    assert_eq!(bound(json!(["DEM"])), Ok(vec![customer("DEM")]));
    let gone = told(read_as(&with(&json!({})).to_string(), Contract::Native, None, Some("AAA")).unwrap_err());
    assert_eq!(gone, [("customerIds[0]".to_owned(), "AAA has not installed this application".to_owned())]);
    let refused = [("customerIds".to_owned(), "can only be DEM: the request speaks for that customer alone".to_owned())];
    for others in [json!(["COL-GMIO"]), json!(["DEM", "COL-GMIO"]), json!(["SBOX"])] {
        assert_eq!(bound(others.clone()).unwrap_err(), refused, "{others}");
    }
}

#[test]
fn a_profile_is_one_that_there_is_and_stays() {
    let expected = "must be one of standard, reapit, got \"reappit\"";
    assert_fault(&with(&json!({"profile": "reappit"})), "profile", expected);
    assert_fault(&with(&json!({"profile": 7})), "profile", "must be a string, got a number");
    let before = made(&with(&json!({"profile": "reapit"})));
    assert_eq!(changed(&before, &with(&json!({}))).profile, "reapit");
    assert_eq!(changed(&before, &with(&json!({"profile": "reapit"}))).profile, "reapit");
    let refused =
        told(read_as(&with(&json!({"profile": "standard"})).to_string(), Contract::Native, Some(&before), None).unwrap_err());
    assert_eq!(refused, [("profile".to_owned(), "cannot be changed: it is reapit; make another subscription".to_owned())]);
}

#[test]
fn s06_a_secret_is_whsec_and_24_to_64_bytes() {
    let secret = |bytes: usize| format!("whsec_{}", BASE64.encode(vec![7; bytes]));
    for good in [24, 64] {
        let body = with(&json!({"secret": secret(good)})).to_string();
        let (_, given) = read_as(&body, Contract::Native, None, None).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(given.map(|given| given.shown()), Some(secret(good)));
    }
    for bad in [secret(23), secret(65), BASE64.encode([7; 32]), "whsec_?".to_owned(), String::new()] {
        assert_fault(&with(&json!({"secret": bad})), "secret", "must be whsec_ and 24 to 64 bytes in base64");
    }
    let said = faults(&with(&json!({"secret": secret(65)})));
    assert!(!said[0].1.contains("Bwc"), "a secret is not shown: {said:?}");
}

#[test]
fn a_flag_is_true_or_false_and_a_description_has_1000_characters() {
    for name in ["active", "ignoreEtagOnlyChanges", "asymmetric"] {
        assert_fault(&with(&json!({name: "true"})), name, "must be true or false, got a string");
    }
    assert_fault(&with(&json!({"description": 1})), "description", "must be a string, got a number");
    assert_eq!(made(&with(&json!({"description": "ä".repeat(1000)}))).description.chars().count(), 1000);
    assert_fault(&with(&json!({"description": "ä".repeat(1001)})), "description", "must have up to 1000 characters");
}

#[test]
fn a_change_keeps_what_it_leaves_out() {
    let before = made(&json!({
        "url": URL, "description": "mine", "topicIds": ["offers.accepted"], "customerIds": ["DEM"], "active": false,
        "ignoreEtagOnlyChanges": false, "asymmetric": true,
    }));
    assert_eq!(changed(&before, &json!({"url": URL})), before);
    assert_eq!(changed(&before, &json!({})), before);
    let other = changed(&before, &json!({"url": "https://hooks.example.com/b", "active": true, "customerIds": []}));
    let expected = Wish { url: "https://hooks.example.com/b".to_owned(), active: true, customer_ids: Vec::new(), ..before };
    assert_eq!(other, expected);
}

#[test]
fn a_secret_is_for_those_who_sign_with_one_and_is_changed_by_rotating_it() {
    let secret = json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    let before = made(&with(&json!({})));
    let refused = told(read_as(&with(&secret).to_string(), Contract::Native, Some(&before), None).unwrap_err());
    let expected = "is changed with POST …/secret/rotate, so that the old one stays valid for a while";
    assert_eq!(refused, [("secret".to_owned(), expected.to_owned())]);
    let mut reapit = with(&secret);
    reapit["profile"] = json!("reapit");
    assert_fault(&reapit, "secret", "the profile reapit has none");
    assert_fault(&with(&json!({"profile": "reapit", "asymmetric": true})), "asymmetric", "the profile reapit is always signed");
}

#[test]
fn the_application_is_the_one_that_asks() {
    assert_eq!(made(&with(&json!({"applicationId": "app"}))), made(&with(&json!({}))));
    assert_fault(&with(&json!({"applicationId": "other"})), "applicationId", "can only be app, the application of the token");
    assert_fault(&with(&json!({"applicationId": 7})), "applicationId", "must be a string, got a number");
}

#[test]
fn resthooks_are_reapit_s_and_know_nothing_of_customers() {
    let read = |body: &Value, bound_to: Option<&str>| read_as(&body.to_string(), Contract::Resthooks, None, bound_to);
    let (wish, secret) = read(&with(&json!({})), None).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!((wish.profile.as_str(), wish.customer_ids.len(), secret), ("reapit", 0, None));
    let (wish, _) = read(&with(&json!({})), Some("DEM")).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(wish.customer_ids, [customer("DEM")]);
    for (name, value) in [
        ("customerIds", json!(["DEM"])),
        ("profile", json!("reapit")),
        ("secret", json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        ("asymmetric", json!(true)),
    ] {
        let refused = told(read(&with(&json!({name: value})), None).unwrap_err());
        assert!(
            matches!(refused.as_slice(), [(path, said)] if path == name && said.contains("is not known here")),
            "{refused:?}"
        );
    }
    let foreign = told(read(&with(&json!({"topicIds": ["telephony.missedCall"]})), None).unwrap_err());
    assert!(foreign[0].1.contains("the profile reapit takes reapit"), "{foreign:?}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let body = json!({
        "url": "http://hooks.example.com/", "description": 1, "topicIds": ["vendors.created", "x"], "customerIds": ["AAA", "?"],
        "active": "yes", "ignoreEtagOnlyChanges": 0, "asymmetric": [], "secret": "s", "colour": "red",
    });
    let paths: Vec<_> = faults(&body).into_iter().map(|(path, _)| path).collect();
    let expected = [
        "colour",
        "url",
        "description",
        "topicIds[0]",
        "topicIds[1]",
        "customerIds[0]",
        "customerIds[1]",
        "active",
        "ignoreEtagOnlyChanges",
        "asymmetric",
        "secret",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_profile_that_there_is_not_hides_nothing_else() {
    let body = with(&json!({"profile": "reappit", "url": "http://hooks.example.com/", "customerIds": ["AAA"]}));
    let paths: Vec<_> = faults(&body).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["profile", "url", "customerIds[0]"]);
}

#[test]
fn what_is_no_object_or_no_json_is_refused() {
    let refused = |body: &str| read_as(body, Contract::Native, None, None).unwrap_err();
    assert_eq!(told(refused("[]")), [("$".to_owned(), "must be an object, got an array".to_owned())]);
    match refused("{\n\"url\" 1}") {
        Malformed::Unreadable(error) => assert_eq!(error.to_string(), "expected `:` at line 2 column 7"),
        Malformed::Invalid(faults) => panic!("{faults:?}"),
    }
    let text = with(&json!({})).to_string().replacen('{', &format!(r#"{{"url":"{URL}","#), 1);
    assert_eq!(told(refused(&text)), [("url".to_owned(), "is given more than once".to_owned())]);
}

#[test]
fn a_subscription_is_read_back_as_it_was_kept() {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let subscription = Subscription {
        number: 7,
        id: "0195a3c0-0000-7000-8000-000000000001".to_owned(),
        application: application(),
        bound_to: Some(customer("DEM")),
        wish: made(&with(&json!({"customerIds": ["DEM"], "description": "a \"b\""}))),
        by_operator: false,
        headers: None,
        secrets: vec![KeptSecret { sealed: "x".to_owned(), until: None }, KeptSecret { sealed: "y".to_owned(), until: Some(at) }],
        created: at,
        modified: at,
        deleted: Some(at),
    };
    let text = serde_json::to_string(&subscription).unwrap();
    assert_eq!(serde_json::from_str::<Subscription>(&text).unwrap(), subscription);
    let living = Subscription { deleted: None, bound_to: None, ..subscription };
    let text = serde_json::to_string(&living).unwrap();
    assert!(!text.contains("deleted") && !text.contains("boundTo") && text.contains("\"topicIds\""), "{text}");
    assert_eq!(serde_json::from_str::<Subscription>(&text).unwrap(), living);
}
