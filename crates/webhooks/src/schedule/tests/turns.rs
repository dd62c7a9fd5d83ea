//! Who goes, and how much at once.

use super::*;

#[test]
fn an_endpoint_that_never_answered_gets_one_request_at_a_time() {
    let mut desk = desk();
    desk.open(1);
    desk.offer_all(1, 1..=20);
    assert_eq!(desk.attempts(), [(1, 1)]);
    desk.finish(1, 1, HUNG);
    assert_eq!(desk.attempts(), [(1, 2)], "and that is no answer");
}

#[test]
fn after_its_first_answer_an_endpoint_gets_8_and_with_each_success_one_more_up_to_the_bound() {
    let mut desk = desk();
    desk.open(1);
    desk.offer_all(1, 1..=60);
    assert_eq!(events(&desk.attempts()), [1]);
    desk.take(1, 1);
    assert_eq!(desk.attempts().len(), 8);
    for (event, in_flight) in [(2, 9), (3, 10), (4, 11), (5, 12), (6, 12), (7, 12)] {
        desk.take(1, event);
        desk.attempts();
        assert_eq!(desk.in_flight(), in_flight, "{event}");
    }
}

#[test]
fn each_failure_halves_what_an_endpoint_gets() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=60);
    assert_eq!(desk.attempts().len(), 8);
    desk.refuse(1, 10);
    assert_eq!(desk.attempts(), [], "7 are on their way, 4 may be");
    for event in 11..=14 {
        desk.take(1, event);
    }
    assert_eq!(desk.attempts().len(), 5, "3 are on their way, 8 may be after 4 successes");
}

#[test]
fn an_endpoint_that_fails_from_the_begin_keeps_to_the_bound_too() {
    for per_endpoint_max in [1, 2] {
        let mut desk = desk_with(SendLimits { per_endpoint_max, ..SendLimits::default() });
        desk.open(1);
        desk.offer_all(1, 1..=20);
        desk.attempts();
        desk.refuse(1, 1);
        assert!(desk.attempts().len() <= per_endpoint_max);
    }
}

#[test]
fn endpoints_take_turns_however_much_each_has_to_send() {
    let mut desk = desk();
    desk.prove(1);
    desk.prove(2);
    desk.offer_all(1, 10..=49);
    desk.offer_all(2, 10..=14);
    assert_eq!(numbers(&desk.attempts()), [1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1]);
}

/// A desk with endpoints 100 to 129, which have hung and have something to send.
fn desk_of_those_that_hang() -> Desk {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    for number in 100..130 {
        desk.open(number);
        desk.offer(number, item(number));
        assert_eq!(numbers(&desk.attempts()), [number]);
        desk.finish(number, number, HUNG);
    }
    (100..130).for_each(|number| desk.offer(number, item(1000 + number)));
    desk
}

#[test]
fn endpoints_that_hang_share_a_quarter_of_the_slots() {
    let mut desk = desk_of_those_that_hang();
    assert_eq!(numbers(&desk.attempts()), [100, 101, 102, 103]);
    desk.prove(1);
    desk.prove(2);
    desk.offer_all(1, 10..=29);
    desk.offer_all(2, 10..=29);
    assert_eq!(desk.attempts().len(), 12, "those that answer have the rest");
    desk.finish(100, 1100, HUNG);
    assert_eq!(numbers(&desk.attempts()), [104]);
}

#[test]
fn an_endpoint_that_is_new_does_not_wait_for_those_that_hang_and_gets_one_request_until_it_answers() {
    let mut desk = desk_of_those_that_hang();
    assert_eq!(desk.attempts().len(), 4);
    desk.open(1);
    desk.offer_all(1, 10..=29);
    assert_eq!(desk.attempts(), [(1, 10)]);
    desk.take(1, 10);
    assert!(desk.attempts().len() > 1);
}

#[test]
fn what_hangs_leaves_its_customer_s_share_to_what_answers() {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    desk.prove(1);
    for number in 100..108 {
        desk.open(number);
        desk.offer(number, of(number, "ABC"));
    }
    (10..=29).for_each(|event| desk.offer(1, of(event, "ABC")));
    let sent = numbers(&desk.attempts());
    assert_eq!(sent, [100, 101, 102, 103], "a quarter of all");
    desk.pass(SLOW_MILLIS + 1);
    assert_eq!(numbers(&desk.attempts()), [104, 105, 106, 107]);
    desk.pass(SLOW_MILLIS + 1);
    assert_eq!(numbers(&desk.attempts()), [1; 4], "all that hang have left");
}

#[test]
fn requests_that_hang_leave_the_lane_of_those_that_answer_after_a_second() {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    for number in 1..=3 {
        desk.prove(number);
    }
    desk.offer_all(1, 10..=40);
    desk.offer_all(2, 10..=40);
    assert_eq!(desk.attempts().len(), 12);
    desk.offer_all(3, 10..=40);
    desk.pass(SLOW_MILLIS);
    assert_eq!(desk.attempts(), []);
    assert_eq!(desk.schedule.next_wake(), Some(desk.now + 1));
    desk.pass(1);
    assert_eq!(numbers(&desk.attempts()), [3; 8]);
    desk.finish(1, 10, HUNG);
    desk.take(2, 10);
    assert!(numbers(&desk.attempts()).iter().all(|number| *number == 3), "those that hang wait for their own requests");
}

#[test]
fn requests_that_hang_do_not_add_up_without_end() {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    for number in 1..=60 {
        desk.prove(number);
    }
    for number in 1..=60 {
        desk.offer_all(number, 100..=120);
    }
    for _ in 0..20 {
        desk.attempts();
        desk.pass(SLOW_MILLIS + 1);
    }
    assert!(desk.in_flight() <= 2 * 16, "{}", desk.in_flight());
}

#[test]
fn an_endpoint_whose_requests_take_long_gets_one_at_a_time_until_it_answers_in_time() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=40);
    assert_eq!(desk.attempts().len(), 8);
    desk.pass(SLOW_MILLIS + 1);
    for event in 10..=17 {
        assert_eq!(desk.attempts(), []);
        desk.take(1, event);
    }
    assert_eq!(desk.attempts().len(), 1);
    desk.take(1, 18);
    assert!(desk.attempts().len() > 1);
}

#[test]
fn one_request_that_takes_long_makes_the_next_turn_that_of_a_slow_one() {
    let mut desk = desk_with(SendLimits { in_flight_max: 4, ..SendLimits::default() });
    desk.prove(1);
    desk.offer_all(1, 10..=20);
    // Three are the lane's; the endpoint waits in it for the fourth.
    assert_eq!(desk.attempts().len(), 3);
    desk.pass(SLOW_MILLIS + 1);
    assert_eq!(desk.attempts(), [], "as slow as it is now, it has more than its one");
}

#[test]
fn one_that_became_slow_while_its_turn_was_coming_goes_in_the_lane_of_the_slow() {
    let mut desk = desk_with(SendLimits { in_flight_max: 4, ..SendLimits::default() });
    desk.prove(1);
    desk.prove(2);
    desk.offer_all(2, 20..=21);
    desk.offer_all(1, 10..=11);
    assert_eq!(desk.attempts(), [(2, 20), (1, 10), (2, 21)]);
    desk.pass(SLOW_MILLIS + 1);
    desk.finish(1, 10, HUNG);
    assert_eq!(desk.attempts(), [], "that lane has one slot, and two that hang");
    desk.finish(2, 20, HUNG);
    desk.finish(2, 21, HUNG);
    assert_eq!(desk.attempts(), [(1, 11)]);
}
