use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn owner(key: &str) -> Owner {
    let (client_id, key) = (ClientId::parse("app").unwrap(), IdempotencyKey::parse(key).unwrap());
    Owner { client_id, customer: CustomerId::parse("SBOX").ok(), key }
}

/// A key that lasts as long as the test.
fn key(name: &str, body: u8) -> &'static Key {
    Box::leak(Box::new(Key { owner: owner(name), body: [body; 32], kept: Kept::InMemory }))
}

fn first<'a>(keys: &'a Keys, name: &str, now: Duration) -> Running<'a> {
    match keys.claim(key(name, 1), now) {
        Seen::First(running) => running,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_good_for_one_body_for_ten_minutes() {
    let keys = Keys::new(10, Vec::new(), Timestamp::UNIX_EPOCH, Duration::ZERO);
    let running = first(&keys, "k", Duration::ZERO);
    assert!(matches!(keys.claim(key("k", 1), Duration::ZERO), Seen::StillRunning));
    assert!(matches!(keys.claim(key("k", 2), Duration::ZERO), Seen::Conflict));
    running.finished("done".to_owned());
    assert!(matches!(keys.claim(key("k", 1), 10 * MINUTE - Duration::from_nanos(1)), Seen::Before(answer) if answer == "done"));
    first(&keys, "k", 10 * MINUTE);
}

#[test]
fn what_was_shown_and_not_written_is_shown_once_and_written_later() {
    let keys = Keys::new(10, Vec::new(), Timestamp::UNIX_EPOCH, Duration::ZERO);
    first(&keys, "k", Duration::ZERO).shown("receipt".to_owned());
    let again = first(&keys, "k", MINUTE);
    assert_eq!(again.shown.as_deref(), Some("receipt"));
    assert!(matches!(keys.claim(key("k", 1), MINUTE), Seen::StillRunning));
    drop(again);
    let again = first(&keys, "k", MINUTE);
    assert_eq!(again.shown.as_deref(), Some("receipt"), "though the call that was to write it was broken off");
    again.finished("receipt".to_owned());
    assert!(matches!(keys.claim(key("k", 1), MINUTE), Seen::Before(_)));
}

#[test]
fn what_was_not_done_is_not_remembered() {
    let keys = Keys::new(10, Vec::new(), Timestamp::UNIX_EPOCH, Duration::ZERO);
    drop(first(&keys, "k", Duration::ZERO));
    first(&keys, "k", Duration::ZERO).finished(String::new());
}

#[test]
fn failed_claims_take_no_room() {
    let keys = Keys::new(2, Vec::new(), Timestamp::UNIX_EPOCH, Duration::ZERO);
    for _ in 0..1000 {
        drop(first(&keys, "k", Duration::ZERO));
    }
    assert!(keys.inner.lock().unwrap().by_end.is_empty());
}

#[test]
fn a_key_from_before_a_restart_is_kept_for_the_rest_of_its_time() {
    let Owner { client_id, customer, key: name } = owner("k");
    let claim = Claim { client_id, customer, key: name, body: [1; 32], answer: "first".to_owned() };
    let created = Timestamp::from_second(1000).unwrap();
    let keys =
        Keys::new(2, vec![KnownIdempotencyKey { claim, created }], created + 4 * jiff::SignedDuration::from_mins(1), MINUTE);
    let just_before = 7 * MINUTE - Duration::from_nanos(1);
    assert!(matches!(keys.claim(key("k", 1), just_before), Seen::Before(_)));
    first(&keys, "k", 7 * MINUTE);
}

#[test]
fn the_number_of_keys_is_bounded_and_falls_with_time() {
    let keys = Keys::new(2, Vec::new(), Timestamp::UNIX_EPOCH, Duration::ZERO);
    for key in ["a", "b"] {
        first(&keys, key, Duration::ZERO).finished(String::new());
    }
    assert!(matches!(keys.claim(key("c", 1), Duration::ZERO), Seen::Full));
    assert!(matches!(keys.claim(key("a", 1), Duration::ZERO), Seen::Before(_)), "known keys still answer");
    first(&keys, "c", 10 * MINUTE).finished(String::new());
}
