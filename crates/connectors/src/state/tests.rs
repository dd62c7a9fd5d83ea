use jiff::Timestamp;

use super::*;
use crate::callback::{Fact, key};

fn reading(number: usize, what: What) -> Reading {
    let numbers = Some((String::new(), String::new()));
    let fact = Fact { call: format!("c{number}"), at: Timestamp::UNIX_EPOCH, what, numbers, hunt_group: false };
    Reading { facts: vec![fact], ..Reading::new(key(&[&number.to_be_bytes()])) }
}

fn rings(number: usize) -> Reading {
    reading(number, What::Rings(vec!["ADV".to_owned()]))
}

fn done(state: &mut State, reading: Reading, now: Duration) -> Option<usize> {
    let plan = state.plan(reading, now)?;
    let actions = plan.actions.len();
    state.keep(plan, now);
    Some(actions)
}

#[test]
fn a_callback_that_was_not_kept_is_planned_again() {
    let mut state = State::default();
    assert_eq!(state.plan(rings(1), Duration::ZERO).unwrap().actions.len(), 1);
    assert_eq!(done(&mut state, rings(1), Duration::ZERO), Some(1));
    assert_eq!(done(&mut state, rings(1), Duration::ZERO), None, "kept: a repeat");
}

#[test]
fn beyond_the_bound_the_quietest_call_goes_and_the_oldest_callback_is_forgotten() {
    let mut state = State::default();
    for number in 0..=CALLS_MAX.max(SEEN_MAX) {
        done(&mut state, rings(number), Duration::from_nanos(number as u64));
    }
    assert_eq!((state.calls(), state.seen.len(), state.seen_in_order.len()), (CALLS_MAX, SEEN_MAX, SEEN_MAX));
    assert_eq!(done(&mut state, rings(0), Duration::from_secs(1)), Some(1));
}

#[test]
fn calls_are_forgotten_when_nothing_is_heard_of_them() {
    let mut state = State::default();
    done(&mut state, rings(1), Duration::ZERO);
    done(&mut state, reading(2, What::Connected("ADV".to_owned())), Duration::ZERO);
    done(&mut state, rings(3), QUIET_MAX);
    assert_eq!(state.calls(), 2, "the one that rang is forgotten");
    done(&mut state, rings(4), TALK_MAX);
    assert_eq!(state.calls(), 1);
}

#[test]
fn a_queue_rings_for_whom_the_vendor_named_last_else_for_the_directory() {
    let mut state = State::default();
    let queue = |number, served: &[&str]| {
        reading(number, What::RingsQueue("q".to_owned(), served.iter().map(|name| (*name).to_owned()).collect()))
    };
    let plan = state.plan(queue(1, &[]), Duration::ZERO).unwrap();
    assert_eq!((plan.actions.len(), plan.notes), (0, vec![Note::EmptyQueue]));
    assert_eq!(done(&mut state, queue(1, &["ADV"]), Duration::ZERO), Some(1));
    let mut attached = Reading::new([9; 32]);
    attached.queue = Some(("q".to_owned(), Vec::new()));
    done(&mut state, attached, Duration::ZERO);
    assert_eq!(done(&mut state, queue(2, &["ADV"]), Duration::ZERO), Some(0), "the vendor says that nobody serves it");
}
