//! Endpoints that are stopped, changed, opened again and forgotten.

use super::*;

#[test]
fn at_rest_there_is_nothing_to_wake_for() {
    let mut desk = desk();
    assert_eq!(desk.schedule.next_wake(), None);
    desk.open(1);
    desk.open(2);
    assert_eq!(desk.schedule.next_wake(), None);
    desk.answer_once(1);
    assert_eq!((desk.schedule.next_wake(), desk.schedule.totals()), (None, (0, 0)));
    for (number, due) in [(1, NOW + 300), (2, NOW + 200), (1, NOW + 100)] {
        desk.schedule.requeued(number, 1, due, NOW);
    }
    assert_eq!(desk.schedule.next_wake(), Some(NOW + 100), "the first of all");
}

#[test]
fn what_is_stopped_gets_nothing_and_what_is_opened_again_reads_what_is_due() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=30);
    assert_eq!(desk.attempts().len(), 8);
    desk.schedule.stop(1);
    assert_eq!(desk.schedule.window_bytes, 0);
    desk.offer(1, item(31));
    desk.take(1, 10);
    assert_eq!((desk.attempts(), desk.in_flight()), (Vec::new(), 7), "what is on its way goes on");
    desk.schedule.open(endpoint(1, &STANDARD, "https://e1.example.com/b"), Some(NOW), None, desk.now);
    desk.pass(0);
    let asked = desk.asked(1);
    desk.serve(&asked, (11..=31).map(item).collect());
    let sent = desk.attempts();
    assert!(!sent.is_empty() && events(&sent).iter().all(|event| *event >= 18), "{sent:?}");
}

#[test]
fn what_is_opened_again_while_its_turn_was_coming_is_not_forgotten() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer(1, item(10));
    desk.schedule.stop(1);
    desk.schedule.open(endpoint(1, &STANDARD, "https://e1.example.com/a"), Some(NOW), None, desk.now);
    assert_eq!(desk.attempts(), []);
    let due = desk.schedule.next_wake();
    assert!(due.is_some_and(|due| due <= desk.now), "{due:?}");
    desk.pass(0);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![item(10)]);
    assert_eq!(events(&desk.attempts()), [10]);
}

#[test]
fn what_was_read_before_a_stop_is_not_sent_after_it() {
    let mut desk = desk();
    desk.schedule.open(endpoint(1, &STANDARD, "https://e1.example.com/a"), Some(NOW), Some(1), NOW);
    desk.pass(0);
    let asked = desk.asked(1);
    // All that is queued is ended, and the endpoint opened again, while the read is under way.
    desk.schedule.stop(1);
    desk.schedule.emptied(1, i64::MAX, 0);
    desk.schedule.open(endpoint(1, &STANDARD, "https://e1.example.com/a"), Some(NOW), None, desk.now);
    desk.serve(&asked, vec![item(10)]);
    desk.pass(0);
    let asked = desk.asked(1);
    desk.serve(&asked, Vec::new());
    assert_eq!(desk.attempts(), []);
}

#[test]
fn what_is_queued_anew_for_a_stopped_endpoint_does_not_open_it() {
    let mut desk = desk();
    desk.prove(1);
    desk.schedule.stop(1);
    desk.schedule.requeued(1, 1, NOW, NOW);
    desk.pass(0);
    assert_eq!((desk.attempts(), desk.schedule.next_wake()), (Vec::new(), None));
    desk.offer(1, item(10));
    assert_eq!(desk.attempts(), []);
}

#[test]
fn what_ends_after_its_queue_was_emptied_is_not_counted_again() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=12);
    assert_eq!((desk.attempts().len(), desk.schedule.queued(1)), (3, 3));
    desk.take(1, 10);
    desk.schedule.stop(1);
    desk.schedule.emptied(1, i64::MAX, 0);
    assert_eq!(desk.schedule.queued(1), 0);
    desk.take(1, 11);
    desk.refuse(1, 12);
    assert_eq!(desk.schedule.queued(1), 0);
    desk.schedule.open(endpoint(1, &STANDARD, "https://e1.example.com/a"), None, None, desk.now);
    desk.offer(1, item(13));
    assert_eq!(desk.schedule.queued(1), 1);
}

#[test]
fn of_what_is_forgotten_nothing_stays() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=30);
    let sent = desk.attempts();
    desk.schedule.requeued(1, 1, NOW + 500, NOW);
    desk.schedule.forget(1, desk.now);
    desk.pass(500);
    assert_eq!(desk.attempts(), []);
    for (number, event) in sent {
        desk.take(number, event);
    }
    let schedule = &desk.schedule;
    assert_eq!((schedule.totals(), schedule.window_bytes, schedule.shares.len(), schedule.next_wake()), ((0, 0), 0, 0, None));
    assert!(schedule.answering.in_flight + schedule.slow.in_flight == 0 && schedule.by_age.is_empty());
    desk.offer(1, item(31));
    assert_eq!(desk.attempts(), []);
}

#[test]
fn a_changed_endpoint_is_spoken_to_as_it_is_now() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=11);
    desk.schedule.open(endpoint(1, &STANDARD, "https://other.example.com/"), None, None, desk.now);
    match desk.schedule.next(desk.now) {
        Some(Work::Attempt(endpoint, _)) => assert_eq!(endpoint.url.authority(), "other.example.com"),
        other => panic!("{other:?}"),
    }
}
