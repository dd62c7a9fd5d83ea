use super::*;
use crate::testing::id;

const AGE: Duration = Duration::from_secs(180);

fn receipts(lines_max: usize) -> Receipts {
    Receipts::new(lines_max, AGE, Gauge::default())
}

fn poster(client_id: &str) -> Poster {
    Poster { client_id: ClientId::parse(client_id).unwrap(), customer: CustomerId::parse("SBOX").unwrap() }
}

fn begin(receipts: &Receipts, number: u64, poster: Poster, targets: &[&str], now: Duration) -> Arc<Trail> {
    let trail = receipts.begin(id(number), poster, targets.iter().map(|name| negotiator(name)), now);
    receipts.expire(now);
    trail
}

fn negotiator(name: &str) -> NegotiatorId {
    NegotiatorId::parse(name).unwrap()
}

fn who(session: u64, device: Option<&str>) -> Who {
    Who {
        negotiator: negotiator("ADV"),
        session: id(session),
        device: device.map(|name| Arc::new(DeviceId::parse(name).unwrap())),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_device_with_a_name_has_one_line_however_often_it_comes_back() {
    let receipts = receipts(100);
    let trail = begin(&receipts, 1, poster("app"), &["ADV"], seconds(0));
    for (second, who) in [(1, who(10, Some("desk"))), (2, who(11, Some("desk"))), (3, who(12, None)), (4, who(13, None))] {
        receipts.sent(&trail, &who, at(second));
    }
    trail.note(&who(11, Some("desk")), Word::Acknowledged, at(5));
    trail.note(&who(11, Some("desk")), Word::Acknowledged, at(6));
    trail.note(&who(99, None), Word::Shown, at(7));
    let found = receipts.find(id(1), poster("app"), seconds(179)).unwrap();
    let devices = &found[0].devices;
    assert_eq!(devices.iter().map(|device| device.sent).collect::<Vec<_>>(), [at(1), at(3), at(4)].map(At::from));
    assert_eq!((devices[0].acknowledged, devices[0].shown), (Some(at(5).into()), None), "the first time counts");
    assert_eq!(receipts.lines.get(), 4);
}

#[test]
fn only_who_posted_an_event_is_told_and_only_within_the_window() {
    let receipts = receipts(100);
    begin(&receipts, 1, poster("app"), &["ADV"], seconds(5));
    assert!(receipts.find(id(1), poster("app"), seconds(184)).is_some());
    assert_eq!(receipts.find(id(1), poster("app"), seconds(185)), None);
    assert_eq!(receipts.find(id(1), poster("other"), seconds(6)), None);
    assert_eq!(receipts.find(id(2), poster("app"), seconds(6)), None);
}

#[test]
fn beyond_the_bound_the_oldest_go_and_their_lines_are_given_back() {
    let receipts = receipts(3);
    let first = begin(&receipts, 1, poster("app"), &["ADV", "TST"], seconds(0));
    receipts.sent(&first, &who(10, None), at(1));
    assert_eq!(receipts.lines.get(), 3);
    begin(&receipts, 2, poster("app"), &["ADV", "TST"], seconds(1));
    assert_eq!((receipts.find(id(1), poster("app"), seconds(1)), receipts.lines.get()), (None, 2));
    receipts.sent(&first, &who(11, None), at(2));
    assert_eq!(receipts.lines.get(), 2, "what was dropped takes nothing more");
    receipts.expire(seconds(200));
    assert_eq!((receipts.lines.get(), receipts.trails.len()), (0, 0));
}

#[test]
fn a_later_run_goes_on_with_all_of_them_in_their_order() {
    let first = receipts(100);
    let trail = begin(&first, 1, poster("app"), &["ADV", "TST"], seconds(10));
    first.sent(&trail, &who(10, Some("desk")), at(1));
    trail.late(negotiator("TST"));
    begin(&first, 2, poster("app"), &["ADV"], seconds(20));
    let mut saved = first.save(seconds(30), at(500));
    saved.reverse();
    let second = receipts(100);
    second.restore(saved, seconds(1_000), at(505));
    let found = |id, now| second.find(id, poster("app"), seconds(now));
    assert_eq!(found(id(1), 1_000), first.find(id(1), poster("app"), seconds(30)));
    assert_eq!(second.lines.get(), 4);
    assert!(found(id(1), 1_154).is_some() && found(id(1), 1_155).is_none(), "25 s old when it came");
    second.expire(seconds(1_155));
    assert_eq!(second.lines.get(), 1);
}

#[test]
fn each_of_a_group_has_lines_of_their_own_whatever_the_order() {
    let (receipts, names) = (receipts(100), ["ADV", "JAB", "TST"]);
    let trail = begin(&receipts, 1, poster("app"), &names, seconds(0));
    let who = |name, session, device| Who { negotiator: negotiator(name), ..who(session, device) };
    for (second, who) in [
        (1, who("TST", 30, None)),
        (2, who("ADV", 10, Some("desk"))),
        (3, who("ADV", 11, None)),
        (4, who("TST", 30, None)),
        (5, who("NONE", 40, None)),
        (6, who("JAB", 20, Some("desk"))),
    ] {
        receipts.sent(&trail, &who, at(second));
    }
    trail.note(&who("JAB", 20, Some("desk")), Word::Shown, at(8));
    trail.note(&who("ADV", 20, Some("desk")), Word::Dismissed, at(1));
    trail.late(negotiator("TST"));
    let of = |found: Vec<TargetReceipts>| {
        let sent = |target: &TargetReceipts| target.devices.iter().map(|device| device.sent).collect::<Vec<_>>();
        found.iter().map(|target| (target.negotiator_id.to_string(), target.late, sent(target))).collect::<Vec<_>>()
    };
    let found = receipts.find(id(1), poster("app"), seconds(1)).unwrap();
    assert_eq!(found[1].devices[0].shown, Some(at(8).into()));
    assert_eq!(found[0].devices[0].dismissed, Some(at(2).into()), "not before it was sent");
    let lines = |name: &str, late, sent: &[i64]| (name.to_owned(), late, sent.iter().map(|second| at(*second).into()).collect());
    let expected = vec![lines("ADV", false, &[2, 3]), lines("JAB", false, &[6]), lines("TST", true, &[1])];
    assert_eq!((of(found), receipts.lines.get()), (expected, 7));
    assert_eq!(trail.forget(negotiator("ADV")), 3);
    let left = vec![lines("JAB", false, &[6]), lines("TST", true, &[1])];
    assert_eq!((of(receipts.find(id(1), poster("app"), seconds(1)).unwrap()), trail.lines()), (left, 4));
}

#[test]
fn those_who_posted_are_forgotten_when_they_are_too_many() {
    let receipts = receipts(100_000);
    for number in 0..=POSTERS_MAX {
        begin(&receipts, number as u64, poster(&format!("app{number}")), &["ADV"], seconds(0));
    }
    assert_eq!(lock(&receipts.posters).len(), 1);
    assert!(receipts.find(id(0), poster("app0"), seconds(1)).is_some(), "what they posted is not");
}
