use jiff::Timestamp;

use super::*;
use crate::callback::key;
use crate::fact::Fact;

fn reading(number: usize, what: What) -> Reading {
    let numbers = Some((String::new(), String::new()));
    let fact = Fact { call: format!("c{number}"), at: Timestamp::UNIX_EPOCH, what, numbers, hunt_group: false };
    Reading { facts: vec![fact], ..Reading::new(key(&[&number.to_be_bytes()])) }
}

fn adv() -> Party {
    Party::Known("ADV".to_owned())
}

fn rings(number: usize) -> Reading {
    reading(number, What::Rings(vec![adv()]))
}

fn done(state: &mut ConnectorState, reading: Reading, now: Duration) -> Option<usize> {
    let plan = state.plan(reading, People::Ids, now)?;
    let actions = plan.actions.len();
    state.keep(plan, now);
    Some(actions)
}

#[test]
fn a_callback_that_was_not_kept_is_planned_again() {
    let mut state = ConnectorState::default();
    assert_eq!(state.plan(rings(1), People::Ids, Duration::ZERO).unwrap().actions.len(), 1);
    assert_eq!(done(&mut state, rings(1), Duration::ZERO), Some(1));
    assert_eq!(done(&mut state, rings(1), Duration::ZERO), None, "kept: a repeat");
}

#[test]
fn beyond_the_bound_the_quietest_call_goes_and_the_oldest_callback_is_forgotten() {
    let mut state = ConnectorState::default();
    for number in 0..=CALLS_MAX.max(SEEN_MAX) {
        done(&mut state, rings(number), Duration::from_nanos(number as u64));
    }
    assert_eq!((state.calls(), state.seen.len(), state.seen_in_order.len()), (CALLS_MAX, SEEN_MAX, SEEN_MAX));
    assert_eq!(done(&mut state, rings(0), Duration::from_secs(1)), Some(1));
}

#[test]
fn calls_are_forgotten_when_nothing_is_heard_of_them() {
    let mut state = ConnectorState::default();
    done(&mut state, reading(1, What::Left(vec![adv()])), Duration::ZERO);
    done(&mut state, rings(2), Duration::ZERO);
    done(&mut state, rings(3), OVER_MAX);
    assert_eq!(state.calls(), 2, "the one that was over is forgotten");
    done(&mut state, rings(4), OPEN_MAX);
    assert_eq!(state.calls(), 2, "and the one that rang half a day ago");
}

#[test]
fn a_queue_rings_for_whom_the_vendor_named_last_else_for_the_directory() {
    let mut state = ConnectorState::default();
    let queue = |number, served: &[&str]| {
        reading(number, What::RingsQueue("q".to_owned(), served.iter().map(|name| Party::Known((*name).to_owned())).collect()))
    };
    let plan = state.plan(queue(1, &[]), People::Ids, Duration::ZERO).unwrap();
    assert_eq!((plan.actions.len(), plan.notes), (0, vec![Note::EmptyQueue]));
    assert_eq!(done(&mut state, queue(1, &["ADV"]), Duration::ZERO), Some(1));
    let attach = |state: &mut ConnectorState, key, second, users: &[&str]| {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        let at = Timestamp::from_second(second).unwrap();
        let serving = Serving { queue: "q".to_owned(), at, users };
        done(state, Reading { queue: Some(serving), ..Reading::new([key; 32]) }, Duration::ZERO);
    };
    attach(&mut state, 7, 20, &[]);
    assert_eq!(done(&mut state, queue(2, &["ADV"]), Duration::ZERO), Some(0), "the vendor says that nobody serves it");
    attach(&mut state, 8, 10, &["JAS"]);
    assert_eq!(done(&mut state, queue(3, &["ADV"]), Duration::ZERO), Some(0), "what was before comes too late");
    attach(&mut state, 9, 30, &["an unknown user", "JAS"]);
    let plan = state.plan(queue(4, &["ADV"]), People::Ids, Duration::ZERO).unwrap();
    let Some(Action::Post(post)) = plan.actions.first() else { panic!("it rings") };
    assert_eq!(post.targets, ["ADV", "JAS"], "the directory's, where some are not known");
}

#[test]
fn a_later_run_goes_on_with_the_calls_and_knows_the_repeats() {
    let mut first = ConnectorState::default();
    done(&mut first, rings(1), Duration::from_secs(100));
    let saved = serde_json::to_string(&first.save(Duration::from_secs(160))).unwrap();
    let mut second = ConnectorState::restore(serde_json::from_str(&saved).unwrap(), Duration::from_secs(1_000));
    assert_eq!(done(&mut second, rings(1), Duration::from_secs(1_000)), None, "a repeat");
    let gone = Reading { key: [3; 32], ..reading(1, What::Over) };
    let plan = second.plan(gone, People::Ids, Duration::from_secs(1_000)).unwrap();
    assert!(matches!(plan.actions.as_slice(), [Action::Post(post)] if post.sub_type.name() == "missedCall"), "{plan:?}");
}
