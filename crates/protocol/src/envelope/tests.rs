use super::*;

fn faults(body: &str) -> Vec<(String, String)> {
    let known = ["AgencyCloud", "PropertyCloud"].map(|name| Product::parse(name).unwrap());
    match Envelope::parse(body.as_bytes(), &known) {
        Ok(_) => Vec::new(),
        Err(Malformed::Invalid(faults)) => {
            faults.as_slice().iter().map(|fault| (fault.field.clone(), fault.message.clone())).collect()
        }
        Err(Malformed::Unreadable(error)) => panic!("{error}"),
    }
}

fn with_targets(count: usize) -> String {
    let targets: Vec<_> = (0..count).map(|n| format!("\"N{n}\"")).collect();
    format!(
        r#"{{"type":"telephony","subType":"missedCall","products":["AgencyCloud"],"targets":{{"negotiatorId":[{}]}},
            "payload":{{"created":"2023-11-01T10:28:00","callerId":"1","destinationId":"2"}}}}"#,
        targets.join(",")
    )
}

#[test]
fn a_hundred_targets_pass_and_one_more_does_not() {
    assert_eq!(faults(&with_targets(1)), []);
    assert_eq!(faults(&with_targets(100)), []);
    let message = "must have 1 to 100 entries, got 101".to_owned();
    assert_eq!(faults(&with_targets(101)), [("targets.negotiatorId".to_owned(), message)]);
    assert_eq!(faults(&with_targets(0)).len(), 1);
}

#[test]
fn the_number_of_faults_told_is_bounded() {
    let many: Vec<_> = (0..5000).map(|n| format!("\"x{n}\":1")).collect();
    assert_eq!(faults(&format!("{{{}}}", many.join(","))).len(), FAULTS_MAX);
}

#[test]
fn a_member_given_many_times_is_told_once() {
    let body = with_targets(1).replace(r#""callerId":"1""#, r#""callerId":"1","callerId":"1","callerId":"x""#);
    assert_eq!(faults(&body), [("payload.callerId".to_owned(), "is given more than once".to_owned())]);
}

#[test]
fn a_wrong_type_does_not_hide_the_faults_of_the_payload() {
    let body = with_targets(1)
        .replace("telephony", "fax")
        .replace("missedCall", "ring")
        .replace(r#""callerId":"1""#, r#""callerId":"x""#);
    let fields: Vec<_> = faults(&body).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["type", "subType", "payload.callerId"]);
}

#[test]
fn a_document_that_is_no_object_is_a_fault_of_the_document() {
    assert_eq!(faults("[]"), [("$".to_owned(), "must be an object, got an array".to_owned())]);
}
