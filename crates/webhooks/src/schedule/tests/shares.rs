//! What endpoints share: hosts and customers; and the order within a key.

use super::*;

#[test]
fn a_host_has_no_more_than_its_bound_and_those_who_wait_go_on_when_a_slot_is_free() {
    let mut desk = desk_with(SendLimits { per_host_max: 4, ..SendLimits::default() });
    for number in 1..=3 {
        desk.open_at(number, &STANDARD, &format!("https://one.example.com/{number}"));
        desk.answer_once(number);
    }
    desk.prove(4);
    for number in 1..=4 {
        desk.offer_all(number, 10..=14);
    }
    let sent = desk.attempts();
    let mut on_their_way: Vec<_> = sent.iter().copied().filter(|(number, _)| *number < 4).collect();
    assert_eq!((on_their_way.len(), sent.len() - on_their_way.len()), (4, 4), "another host has slots of its own");
    let mut all = on_their_way.clone();
    while let Some((number, event)) = on_their_way.pop() {
        desk.take(number, event);
        let next = desk.attempts();
        assert!(next.len() <= 1, "{next:?}");
        all.extend(&next);
        on_their_way.extend(next);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=3).flat_map(|number| (10..=14).map(move |event| (number, event))).collect::<Vec<_>>());
}

#[test]
fn another_port_is_another_host() {
    let mut desk = desk_with(SendLimits { per_host_max: 1, ..SendLimits::default() });
    for (number, url) in
        [(1, "https://one.example.com/"), (2, "https://ONE.example.com:443/b"), (3, "https://one.example.com:8443/")]
    {
        desk.open_at(number, &STANDARD, url);
        desk.offer(number, item(number));
    }
    assert_eq!(numbers(&desk.attempts()), [1, 3]);
}

#[test]
fn one_that_waits_for_its_host_and_is_stopped_does_not_hold_the_others_up() {
    let mut desk = desk_with(SendLimits { per_host_max: 1, ..SendLimits::default() });
    for number in 1..=9 {
        desk.open_at(number, &STANDARD, "https://one.example.com/");
        desk.offer(number, item(number));
    }
    assert_eq!(desk.attempts(), [(1, 1)]);
    for number in 2..=4 {
        desk.schedule.stop(number);
    }
    desk.schedule.forget(5, desk.now);
    desk.take(1, 1);
    for number in 6..=9 {
        assert_eq!(desk.attempts(), [(number, number)]);
        desk.take(number, number);
    }
}

#[test]
fn a_customer_has_a_quarter_of_the_slots_and_the_others_overtake() {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    desk.prove(1);
    desk.prove(2);
    for event in 10..=13 {
        desk.offer(1, of(event, "AAA"));
        desk.offer(2, of(event, "AAA"));
    }
    desk.offer(1, of(14, "BBB"));
    let mut sent = desk.attempts();
    sent.sort_unstable();
    assert_eq!(sent, [(1, 10), (1, 11), (1, 14), (2, 10), (2, 11)]);
    desk.take(2, 10);
    desk.take(1, 10);
    let mut sent = desk.attempts();
    sent.sort_unstable();
    assert_eq!(sent, [(1, 12), (2, 12)]);
    desk.take(2, 11);
    desk.take(1, 11);
    assert_eq!(desk.attempts().len(), 2);
}

#[test]
fn one_that_waits_for_two_customers_goes_on_with_the_first_that_is_free() {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    for number in 1..=3 {
        desk.prove(number);
    }
    for event in 10..=13 {
        desk.offer(1, of(event, "AAA"));
        desk.offer(2, of(event, "BBB"));
    }
    assert_eq!(desk.attempts().len(), 8);
    desk.offer(3, of(20, "AAA"));
    desk.offer(3, of(21, "BBB"));
    assert_eq!(desk.attempts(), []);
    desk.take(1, 10);
    assert_eq!(desk.attempts(), [(3, 20)]);
    desk.take(2, 10);
    assert_eq!(desk.attempts(), [(3, 21)]);
}

#[test]
fn x09_the_second_of_a_key_waits_for_the_first_attempt_of_the_first_and_other_keys_overtake() {
    let mut desk = desk();
    desk.prove(1);
    for (event, key) in [(10, "K"), (11, "K"), (12, "L"), (13, "K")] {
        desk.offer(1, keyed(event, key));
    }
    desk.offer(1, item(14));
    assert_eq!(events(&desk.attempts()), [10, 12, 14]);
    desk.finish(1, 12, TAKEN);
    assert_eq!(desk.attempts(), [], "another key's end changes nothing");
    desk.refuse(1, 10);
    assert_eq!(events(&desk.attempts()), [11], "its retry is not waited for");
    desk.finish(1, 11, TAKEN);
    assert_eq!(events(&desk.attempts()), [13], "nor is the disk");
}

#[test]
fn the_key_of_a_retry_does_not_count() {
    let mut desk = desk();
    desk.prove(1);
    let retry = |event| Item { failures: 1, sends: 1, ..keyed(event, "K") };
    desk.schedule.requeued(1, 2, NOW, NOW);
    desk.pass(0);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![retry(10), retry(11), keyed(12, "K")]);
    assert_eq!(events(&desk.attempts()), [10, 11, 12]);
}

#[test]
fn what_waits_for_its_customer_is_not_overtaken_within_its_key() {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    desk.prove(1);
    for event in 10..=13 {
        desk.offer(1, of(event, "AAA"));
    }
    assert_eq!(desk.attempts().len(), 4);
    desk.offer(1, Item { key: Some(7), ..of(14, "AAA") });
    desk.offer(1, Item { key: Some(7), ..of(15, "BBB") });
    desk.offer(1, Item { key: Some(8), ..of(16, "BBB") });
    assert_eq!(events(&desk.attempts()), [16]);
    desk.take(1, 10);
    assert_eq!(events(&desk.attempts()), [14]);
    desk.finish(1, 14, TAKEN);
    assert_eq!(events(&desk.attempts()), [15]);
}

#[test]
fn one_that_was_given_a_slot_and_finds_it_taken_waits_again() {
    let mut desk = desk_with(SendLimits { per_host_max: 1, ..SendLimits::default() });
    for number in 1..=3 {
        desk.open_at(number, &STANDARD, "https://one.example.com/");
    }
    desk.offer(1, item(1));
    desk.offer(2, item(2));
    assert_eq!(desk.attempts(), [(1, 1)]);
    // The third comes first, though the second waits.
    desk.offer(3, item(3));
    desk.take(1, 1);
    let sent = desk.attempts();
    assert_eq!(sent.len(), 1);
    desk.take(sent[0].0, sent[0].1);
    assert_eq!(desk.attempts().len(), 1);
}

#[test]
fn one_that_waits_for_a_customer_goes_on_with_what_comes_for_others() {
    let mut desk = desk_with(SendLimits { in_flight_max: 16, ..SendLimits::default() });
    desk.prove(1);
    desk.prove(2);
    for event in 10..=13 {
        desk.offer(1, of(event, "AAA"));
    }
    assert_eq!(desk.attempts().len(), 4);
    desk.offer(2, of(20, "AAA"));
    assert_eq!(desk.attempts(), []);
    desk.offer(2, of(21, "BBB"));
    assert_eq!(desk.attempts(), [(2, 21)]);
    desk.take(1, 10);
    assert_eq!(desk.attempts(), [(2, 20)]);
}

#[test]
fn one_whose_url_changes_does_not_wait_for_the_host_that_it_had() {
    let mut desk = desk_with(SendLimits { per_host_max: 1, ..SendLimits::default() });
    for number in 1..=2 {
        desk.open_at(number, &STANDARD, "https://one.example.com/");
        desk.offer(number, item(number));
    }
    assert_eq!(desk.attempts(), [(1, 1)]);
    desk.schedule.open(endpoint(2, &STANDARD, "https://two.example.com/"), None, None, desk.now);
    assert_eq!(desk.attempts(), [(2, 2)]);
}
