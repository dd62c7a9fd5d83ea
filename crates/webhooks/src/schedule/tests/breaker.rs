//! Endpoints that fail, and those that ask for a pause.

use super::*;

/// A desk with an endpoint that gets one request at a time, so that one after another fails.
fn desk_of_one() -> Desk {
    let mut desk = desk_with(SendLimits { per_endpoint_max: 1, ..SendLimits::default() });
    desk.prove(1);
    desk.offer_all(1, 10..=60);
    desk
}

/// Sends so many, each of which fails.
fn fail(desk: &mut Desk, times: usize) {
    for _ in 0..times {
        assert_eq!(desk.closed(1), None);
        match desk.attempts().as_slice() {
            [(number, event)] => desk.refuse(*number, *event),
            others => panic!("{others:?}"),
        }
    }
}

#[test]
fn the_breaker_opens_after_5_failures_for_30_seconds_and_for_twice_as_long_with_each_probe_that_fails() {
    let mut desk = desk_of_one();
    fail(&mut desk, 5);
    for seconds in [30, 60, 120, 240, 480, 600, 600] {
        assert_eq!(desk.closed(1), Some(Duration::from_secs(seconds)));
        let opens = desk.now + i64::try_from(seconds).unwrap() * 1000;
        assert_eq!((desk.attempts(), desk.schedule.next_wake()), (Vec::new(), Some(opens)));
        desk.pass(opens - desk.now - 1);
        assert_eq!(desk.attempts(), []);
        desk.pass(1);
        fail(&mut desk, 1);
    }
}

#[test]
fn one_request_is_the_probe_of_a_breaker_that_was_open() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=60);
    let mut sent = desk.attempts();
    assert_eq!(sent.len(), 8);
    for (number, event) in sent.drain(..) {
        desk.refuse(number, event);
    }
    let opens = desk.schedule.next_wake().unwrap();
    desk.pass(opens - desk.now);
    assert_eq!(desk.attempts().len(), 1);
    desk.pass(500);
    assert_eq!(desk.attempts(), []);
    desk.take(1, 18);
    assert!(desk.attempts().len() > 1);
}

#[test]
fn failures_of_what_was_on_its_way_do_not_keep_the_breaker_open_for_longer() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=17);
    assert_eq!(desk.attempts().len(), 8);
    for event in 10..=14 {
        desk.refuse(1, event);
    }
    assert_eq!(desk.closed(1), Some(Duration::from_secs(30)));
    desk.pass(2000);
    for event in 15..=17 {
        desk.refuse(1, event);
    }
    assert_eq!(desk.closed(1), Some(Duration::from_secs(28)));
}

#[test]
fn a_probe_that_is_taken_closes_the_breaker_and_its_count_begins_anew() {
    let mut desk = desk_of_one();
    fail(&mut desk, 5);
    desk.pass(30_000);
    fail(&mut desk, 1);
    desk.pass(60_000);
    let probe = desk.attempts();
    desk.take(1, probe[0].1);
    fail(&mut desk, 5);
    assert_eq!(desk.closed(1), Some(Duration::from_secs(30)));
}

#[test]
fn a_receiver_that_says_no_is_in_no_trouble() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=40);
    for event in 10..=40 {
        desk.attempts();
        // A 4xx: answered, and not failed.
        desk.finish(1, event, TAKEN);
        desk.schedule.settled(1, event, Some(LATER), desk.now);
        assert_eq!(desk.closed(1), None);
    }
}

#[test]
fn reapit_has_no_breaker_but_one_request_at_a_time_while_it_fails() {
    let mut desk = desk();
    desk.open_at(1, &REAPIT, "https://one.example.com/");
    desk.answer_once(1);
    desk.offer_all(1, 10..=60);
    assert_eq!(desk.attempts().len(), 8);
    for event in 10..=17 {
        desk.refuse(1, event);
    }
    for event in 18..=40 {
        assert_eq!(events(&desk.attempts()), [event]);
        desk.refuse(1, event);
        assert_eq!(desk.closed(1), None);
    }
    desk.attempts();
    desk.take(1, 41);
    assert!(desk.attempts().len() > 1);
}

#[test]
fn s09_a_receiver_that_asks_for_a_pause_gets_it_up_to_ten_minutes() {
    let paused = |seconds: u64| Finished { pause: Some(Duration::from_secs(seconds)), ..TAKEN };
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=40);
    desk.attempts();
    desk.finish(1, 10, paused(7));
    desk.finish(1, 11, paused(3));
    assert_eq!(desk.closed(1), Some(Duration::from_secs(7)), "the longest");
    for event in 12..=17 {
        desk.take(1, event);
    }
    assert_eq!(desk.attempts(), []);
    assert_eq!(desk.schedule.next_wake(), Some(NOW + 7000));
    desk.pass(6999);
    assert_eq!(desk.attempts(), []);
    desk.pass(1);
    let sent = desk.attempts();
    assert!(!sent.is_empty());
    desk.finish(1, sent[0].1, paused(24 * 3600));
    assert_eq!(desk.closed(1), Some(Duration::from_secs(600)));
}
