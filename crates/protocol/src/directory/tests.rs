use super::*;
use crate::id::Product;

fn person(id: &str, vendor_users: &[&str]) -> Person {
    Person {
        negotiator_id: NegotiatorId::parse(id).unwrap(),
        name: "Andy Morgan".to_owned(),
        email: Some(format!("{id}@agency.example")),
        extensions: Vec::new(),
        numbers: vec![format!("+44 1234 {}", id.len() * 1000 + usize::from(id.as_bytes()[0]))],
        active: true,
        vendor_users: vendor_users.iter().map(|name| (*name).to_owned()).collect(),
        created: Timestamp::UNIX_EPOCH,
        modified: Timestamp::UNIX_EPOCH,
    }
}

fn directory() -> Directory {
    let queue = Queue { names: vec!["Sales".to_owned(), "q-1".to_owned()], members: vec![NegotiatorId::parse("ADV").unwrap()] };
    Directory { people: vec![person("ADV", &["b4df", "adv@pbx"]), person("JAS", &[])], queues: vec![queue] }
}

fn fields(faults: &Faults) -> Vec<&str> {
    faults.as_slice().iter().map(|fault| fault.field.as_str()).collect()
}

#[test]
fn a_person_is_found_by_any_name_in_the_order_asked_and_whatever_the_case() {
    let directory = directory();
    for name in ["B4DF", "adv@PBX", "adv@agency.example", "+44 1234 3065"] {
        assert_eq!(directory.find(&["", "nobody", name]).map(|person| person.negotiator_id.to_string()), Some("ADV".to_owned()));
    }
    assert_eq!(directory.find(&["", "Andy Morgan"]), None, "two people may have the same name");
    assert_eq!(directory.members(&["nothing", "SALES"]).map(<[_]>::len), Some(1));
}

#[test]
fn every_fault_is_told_with_its_path() {
    let mut directory = directory();
    assert!(directory.check().is_empty());
    directory.people.push(person("ADV", &["x"]));
    directory.people.push(person("TST", &["b4DF", ""]));
    directory.people[1].name = "a\u{7}".to_owned();
    directory.queues.push(Queue { names: Vec::new(), members: vec![NegotiatorId::parse("ZZZ").unwrap()] });
    let expected = [
        "people[1].name",
        "people[2].negotiatorId",
        "people[3].vendorUsers[1]",
        "people[3].vendorUsers",
        "queues[1].names",
        "queues[1].members[0]",
    ];
    assert_eq!(fields(&directory.check()), expected);
    let names = |count: usize, length: usize| vec!["n".repeat(length); count];
    for (count, length, faults) in [(NAMES_MAX, NAME_CHARACTERS_MAX, 0), (NAMES_MAX + 1, 1, 1), (1, NAME_CHARACTERS_MAX + 1, 1)] {
        let person = Person { vendor_users: names(count, length), ..person("ADV", &[]) };
        let directory = Directory { people: vec![person], queues: Vec::new() };
        assert_eq!(directory.check().as_slice().len(), faults, "{count} × {length}");
    }
}

#[test]
fn stamps_say_when_a_person_came_and_was_changed() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let (mut first, mut second) = (directory(), directory());
    first.stamp(None, at(1));
    second.people[1].name = "Jo Smith".to_owned();
    second.people.push(person("NEW", &[]));
    second.stamp(Some(&first), at(2));
    let stamps: Vec<_> = second.people.iter().map(|person| (person.created, person.modified)).collect();
    assert_eq!(stamps, [(at(1), at(1)), (at(1), at(2)), (at(2), at(2))]);
}

#[test]
fn who_is_not_in_it_is_named_with_the_nearest() {
    let body = br#"{"type":"telephony","subType":"answeredCall","products":["A"],"targets":{"negotiatorId":["ADV","ADX"]},
        "payload":{"created":"2023-11-01T10:28:00","callerId":"1","destinationId":"2","answeredById":"JA5"}}"#;
    let envelope = Envelope::parse(body, &[Product::parse("A").unwrap()].iter().collect()).unwrap();
    let customer = CustomerId::parse("SBOX").unwrap();
    let faults = directory().check_envelope(&envelope, customer);
    assert_eq!(fields(&faults), ["targets.negotiatorId[1]", "payload.answeredById"]);
    assert_eq!(faults.as_slice()[0].message, "ADX is not in the directory of SBOX; the nearest there is ADV");
    assert_eq!(Directory::default().check_envelope(&envelope, customer).as_slice().len(), 3);
}
