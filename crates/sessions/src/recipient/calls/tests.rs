use CallState::{Answered, Ended, Incoming};

use super::*;
use crate::testing::delivery;

const SECOND: Duration = Duration::from_secs(1);

fn apply(calls: &mut Calls, call: &str, state: CallState, created: i64, now: Duration) -> Fate {
    calls.apply(&delivery(1, call, state, created), now).0
}

fn live(calls: &Calls) -> Vec<(String, CallState)> {
    calls.live().map(|delivery| (delivery.call_id().to_owned(), delivery.facts.state)).collect()
}

#[test]
fn a_call_goes_through_its_states_and_leaves_when_it_ended() {
    let mut calls = Calls::default();
    for state in [Incoming, Answered] {
        assert_eq!(apply(&mut calls, "c", state, 0, SECOND), Fate::Deliver);
        assert_eq!(live(&calls), [("c".to_owned(), state)]);
    }
    assert_eq!(apply(&mut calls, "c", Ended, 0, SECOND), Fate::Deliver);
    assert!(live(&calls).is_empty());
    assert!(calls.expire(11 * SECOND).is_empty());
    assert_eq!(calls.next_due(), None, "forgotten 10 s after it ended");
}

#[test]
fn a_call_is_found_however_many_went_before_it() {
    let mut calls = Calls::default();
    for number in 0..100 {
        apply(&mut calls, &format!("c{number}"), Incoming, 0, SECOND);
        apply(&mut calls, &format!("c{}", number / 2 * 2), Answered, 0, SECOND);
    }
    let before = live(&calls);
    assert_eq!(before.len(), CALLS_MAX);
    for (call, _) in &before {
        assert_eq!(apply(&mut calls, call, Ended, 0, SECOND), Fate::Deliver);
    }
    assert!(live(&calls).is_empty(), "each was found, and no other");
}

#[test]
fn a_lower_event_within_ten_seconds_that_is_not_newer_is_late() {
    for (state, lower) in [(Answered, Incoming), (Ended, Incoming), (Ended, Answered)] {
        let mut calls = Calls::default();
        apply(&mut calls, "c", state, 100, Duration::ZERO);
        assert_eq!(apply(&mut calls, "c", lower, 100, 10 * SECOND - Duration::from_nanos(1)), Fate::Late);
        assert_eq!(apply(&mut calls, "c", lower, 101, SECOND), Fate::Deliver, "a transfer back: it happened later");
        let mut calls = Calls::default();
        apply(&mut calls, "c", state, 100, Duration::ZERO);
        assert_eq!(apply(&mut calls, "c", lower, 100, 10 * SECOND), Fate::Deliver, "too late to be late");
        assert_eq!(live(&calls), [("c".to_owned(), lower)], "the call begins anew");
    }
}

#[test]
fn a_call_that_rang_for_45_seconds_is_over_and_one_that_rings_again_is_not() {
    let mut calls = Calls::default();
    apply(&mut calls, "c", Incoming, 0, Duration::ZERO);
    apply(&mut calls, "c", Incoming, 1, 20 * SECOND);
    assert!(calls.expire(65 * SECOND - Duration::from_nanos(1)).is_empty());
    assert_eq!(calls.expire(65 * SECOND).len(), 1);
    assert!(live(&calls).is_empty());
    apply(&mut calls, "d", Incoming, 0, Duration::ZERO);
    apply(&mut calls, "d", Answered, 0, SECOND);
    assert!(calls.expire(12 * 3600 * SECOND).is_empty(), "answered calls stay");
    assert_eq!(live(&calls).len(), 1);
    assert!(calls.expire((12 * 3600 + 1) * SECOND).is_empty() && live(&calls).is_empty(), "for 12 h, and go silently");
}

#[test]
fn a_missed_call_ends_what_rings_and_nothing_else() {
    let mut calls = Calls::default();
    apply(&mut calls, "c", Incoming, 0, SECOND);
    apply(&mut calls, "d", Answered, 0, SECOND);
    let created = Timestamp::from_second(5).unwrap();
    apply(&mut calls, "again", Incoming, 6, SECOND);
    assert!(calls.miss("c", created, SECOND).is_some());
    for other in ["c", "d", "e", "again"] {
        assert!(calls.miss(other, created, SECOND).is_none(), "{other}");
    }
    assert_eq!(live(&calls), [("d".to_owned(), Answered), ("again".to_owned(), Incoming)]);
    assert_eq!(apply(&mut calls, "c", Incoming, 0, 2 * SECOND), Fate::Late);
}

#[test]
fn of_thirty_three_calls_the_oldest_unanswered_goes() {
    let mut calls = Calls::default();
    apply(&mut calls, "answered", Answered, 0, SECOND);
    for number in 0..31 {
        assert!(!calls.apply(&delivery(1, &number.to_string(), Incoming, 0), SECOND).1);
    }
    assert!(calls.apply(&delivery(1, "one more", Incoming, 0), SECOND).1, "counted");
    let names: Vec<_> = live(&calls).into_iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), names[0].as_str(), names[1].as_str()), (32, "answered", "1"));
    apply(&mut calls, "5", Ended, 0, SECOND);
    assert!(!calls.apply(&delivery(1, "and another", Incoming, 0), SECOND).1, "an ended one goes first");
    let names: Vec<_> = live(&calls).into_iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), names[1].as_str()), (32, "1"));
    assert!(!names.contains(&"5".to_owned()));
}

#[test]
fn a_call_is_known_when_those_around_it_are_over() {
    let mut calls = Calls::default();
    apply(&mut calls, "first", Answered, 0, Duration::ZERO);
    apply(&mut calls, "middle", Ended, 0, Duration::ZERO);
    apply(&mut calls, "last", Answered, 0, 5 * SECOND);
    assert!(calls.expire(10 * SECOND).is_empty(), "the middle one is forgotten");
    for call in ["first", "last"] {
        apply(&mut calls, call, Ended, 0, 11 * SECOND);
        assert_eq!(apply(&mut calls, call, Incoming, 0, 12 * SECOND), Fate::Late, "{call}");
    }
    assert_eq!(apply(&mut calls, "middle", Incoming, 0, 12 * SECOND), Fate::Deliver);
    assert_eq!(live(&calls), [("middle".to_owned(), Incoming)]);
}

#[test]
fn calls_whose_ids_have_one_hash_are_two() {
    let mut seen = std::collections::HashMap::new();
    let (one, other) = (0..5_000)
        .find_map(|number| {
            let call = number.to_string();
            let hash = delivery(1, &call, Incoming, 0).call_hash;
            seen.insert(hash, call.clone()).map(|before| (before, call))
        })
        .unwrap();
    let mut calls = Calls::default();
    apply(&mut calls, &one, Incoming, 0, SECOND);
    apply(&mut calls, &other, Incoming, 0, SECOND);
    apply(&mut calls, &other, Ended, 0, SECOND);
    assert_eq!(live(&calls), [(one, Incoming)]);
}
