//! Windows, and what of the disk is read into them.

use std::collections::BTreeMap;

use super::*;

#[test]
fn beyond_its_window_an_endpoint_s_deliveries_are_read_and_none_is_lost_or_repeated() {
    let mut desk = desk();
    desk.prove(1);
    let mut disk: BTreeMap<i64, Item> = (10..=600).map(|event| (event, item(event))).collect();
    desk.offer_all(1, 10..=600);
    let (mut sent, mut reads) = (Vec::new(), 0);
    while let Some(work) = desk.schedule.next(desk.now) {
        match work {
            Work::Attempt(_, item) => {
                sent.push(item.event);
                disk.remove(&item.event);
                desk.take(1, item.event);
            }
            Work::Read(read) => {
                reads += 1;
                assert_eq!((read.endpoint, desk.schedule.queued(1)), (1, disk.len().try_into().unwrap()));
                desk.serve(&read, disk.values().cloned().collect());
            }
        }
    }
    assert_eq!(sent, (10..=600).collect::<Vec<_>>());
    assert!((3..=10).contains(&reads), "{reads}");
    assert_eq!((desk.schedule.queued(1), desk.schedule.window_bytes), (0, 0));
}

#[test]
fn what_is_held_is_read_but_not_taken_twice() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer_all(1, 10..=29);
    assert_eq!(events(&desk.attempts()), (10..=17).collect::<Vec<_>>());
    // These two wait for the disk, the others are on their way or stand in the window.
    desk.finish(1, 11, TAKEN);
    desk.finish(1, 12, TAKEN);
    desk.schedule.requeued(1, 1, NOW, NOW);
    desk.pass(0);
    let asked = desk.asked(1);
    assert_eq!((asked.rows_max, &asked.held), (128, &(10..=29).collect()));
    desk.serve(&asked, (10..=30).map(item).collect());
    for event in [11, 12] {
        desk.schedule.settled(1, event, None, desk.now);
    }
    let mut disk: Vec<i64> = [10].into_iter().chain(13..=30).collect();
    let mut on_their_way = vec![10, 13, 14, 15, 16, 17];
    let mut sent: Vec<i64> = Vec::new();
    while let Some(event) = on_their_way.pop() {
        disk.retain(|other| *other != event);
        desk.take(1, event);
        while let Some(work) = desk.schedule.next(desk.now) {
            match work {
                Work::Attempt(_, item) => {
                    on_their_way.push(item.event);
                    sent.push(item.event);
                }
                Work::Read(read) => desk.serve(&read, disk.iter().copied().map(item).collect()),
            }
        }
    }
    sent.sort_unstable();
    assert_eq!(sent, (18..=30).collect::<Vec<_>>());
}

#[test]
fn what_is_offered_during_a_read_is_not_lost() {
    let mut desk = desk();
    desk.prove(1);
    desk.schedule.requeued(1, 1, NOW, NOW);
    desk.pass(0);
    let asked = desk.asked(1);
    desk.offer(1, item(11));
    assert_eq!(desk.attempts(), [], "there may be others before it");
    desk.serve(&asked, vec![item(10)]);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![item(10), item(11)]);
    assert_eq!(events(&desk.attempts()), [10, 11]);
}

#[test]
fn what_a_read_brings_before_it_is_offered_goes_once() {
    let mut desk = desk();
    desk.prove(1);
    desk.schedule.requeued(1, 1, NOW, NOW);
    desk.pass(0);
    let asked = desk.asked(1);
    // It is on disk already, and its writer has yet to say so.
    desk.serve(&asked, vec![item(10), item(11)]);
    assert_eq!(events(&desk.attempts()), [10, 11]);
    desk.offer(1, item(11));
    assert_eq!(desk.attempts(), []);
    desk.take(1, 11);
    desk.take(1, 10);
    assert_eq!((desk.attempts(), desk.in_flight(), desk.schedule.shares.len()), (Vec::new(), 0, 0));
    assert_eq!(desk.schedule.window_bytes, 0);
}

#[test]
fn a_retry_that_comes_to_disk_during_a_read_is_not_lost() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer(1, item(10));
    assert_eq!(events(&desk.attempts()), [10]);
    desk.schedule.requeued(1, 1, NOW, NOW);
    desk.pass(0);
    let asked = desk.asked(1);
    desk.finish(1, 10, REFUSED);
    desk.schedule.settled(1, 10, Some(NOW + 5000), desk.now);
    // What the read saw is older than the outcome.
    desk.serve(&asked, vec![item(10), item(11)]);
    let asked = desk.asked(1);
    let retry = Item { due: NOW + 5000, failures: 1, sends: 1, ..item(10) };
    desk.serve(&asked, vec![item(11), retry.clone()]);
    assert_eq!(events(&desk.attempts()), [11]);
    desk.take(1, 11);
    assert_eq!(desk.schedule.next_wake(), Some(NOW + 5000));
    desk.pass(5000);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![retry]);
    assert_eq!(events(&desk.attempts()), [10]);
}

#[test]
fn what_is_queued_anew_before_its_outcome_is_told_is_not_lost() {
    let mut desk = desk();
    desk.prove(1);
    desk.offer(1, item(10));
    assert_eq!(events(&desk.attempts()), [10]);
    desk.finish(1, 10, TAKEN);
    // The outcome is on disk, and so is what queued it anew; this is told first.
    desk.schedule.requeued(1, 1, NOW, NOW);
    desk.pass(0);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![item(10)]);
    assert_eq!(desk.attempts(), [], "it is held");
    desk.schedule.settled(1, 10, None, desk.now);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![item(10)]);
    assert_eq!(events(&desk.attempts()), [10]);
    assert_eq!(desk.schedule.queued(1), 1);
}

#[test]
fn a_read_that_failed_is_tried_again_after_a_second() {
    let mut desk = desk();
    desk.schedule.open(endpoint(1, &STANDARD, "https://one.example.com/"), Some(NOW), Some(1), NOW);
    desk.pass(0);
    assert_eq!(desk.asked(1).rows_max, 128);
    desk.schedule.read_failed(1, desk.now);
    assert_eq!(desk.attempts(), []);
    assert_eq!(desk.schedule.next_wake(), Some(NOW + 1000));
    desk.pass(1000);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![item(10)]);
    assert_eq!(events(&desk.attempts()), [10]);
}

#[test]
fn while_memory_is_short_deliveries_stay_on_disk_and_are_read_4_at_a_time() {
    let bytes = item(1).bytes();
    let mut desk = desk_with(SendLimits { window_bytes_max: 3 * bytes, ..SendLimits::default() });
    desk.open(1);
    desk.offer_all(1, 1..=10);
    assert_eq!(desk.schedule.window_bytes, 3 * bytes);
    desk.open(2);
    desk.offer_all(2, 1..=10);
    assert_eq!(desk.schedule.window_bytes, 3 * bytes);
    let mut asked = Vec::new();
    while let Some(work) = desk.schedule.next(desk.now) {
        if let Work::Read(read) = work {
            asked.push((read.endpoint, read.rows_max, read.held.len()));
        }
    }
    assert_eq!(asked, [(1, 4, 3), (2, 4, 0)]);
}

#[test]
fn windows_keep_to_their_bytes_however_many_endpoints_read_at_once() {
    let large = |event| Item { document: Arc::from("x".repeat(1000)), ..item(event) };
    let bytes = large(1).bytes();
    let mut desk = desk_with(SendLimits { window_bytes_max: 100 * bytes, ..SendLimits::default() });
    let mut reads = Vec::new();
    for number in 1..=50 {
        let url = format!("https://e{number}.example.com/");
        desk.schedule.open(endpoint(number, &STANDARD, &url), Some(NOW), Some(1000), NOW);
    }
    desk.pass(0);
    while let Some(work) = desk.schedule.next(desk.now) {
        match work {
            Work::Read(read) => reads.push(read),
            Work::Attempt(..) => panic!("nothing was read yet"),
        }
    }
    assert_eq!(reads.len(), 50);
    for read in reads {
        desk.serve(&read, (1..=200).map(large).collect());
    }
    let most = (100 + 50 * 4) * bytes;
    assert!(desk.schedule.window_bytes <= most, "{} of {most}", desk.schedule.window_bytes);
}

#[test]
fn a_delivery_that_is_due_later_is_read_when_it_is_due() {
    let mut desk = desk();
    desk.schedule.open(endpoint(1, &STANDARD, "https://one.example.com/"), Some(NOW + 700), Some(2), NOW);
    assert_eq!(desk.attempts(), []);
    assert_eq!(desk.schedule.next_wake(), Some(NOW + 700));
    desk.pass(699);
    assert_eq!(desk.attempts(), []);
    desk.pass(1);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![Item { due: NOW + 700, ..item(10) }, Item { due: NOW + 900, ..item(11) }]);
    assert_eq!(events(&desk.attempts()), [10]);
    desk.take(1, 10);
    assert_eq!(desk.schedule.next_wake(), Some(NOW + 900));
    desk.pass(200);
    let asked = desk.asked(1);
    desk.serve(&asked, vec![Item { due: NOW + 900, ..item(11) }]);
    assert_eq!(events(&desk.attempts()), [11]);
}

#[test]
fn what_is_new_does_not_overtake_what_is_due_on_disk() {
    let mut desk = desk();
    desk.schedule.open(endpoint(1, &STANDARD, "https://one.example.com/"), Some(NOW), Some(1), NOW);
    // Before anybody was woken for what a run before this one has left.
    desk.offer(1, item(11));
    let asked = desk.asked(1);
    desk.schedule.read_failed(1, desk.now);
    desk.offer(1, item(12));
    assert_eq!((asked.rows_max, desk.attempts()), (128, Vec::new()));
    desk.pass(1000);
    let asked = desk.asked(1);
    desk.serve(&asked, (10..=12).map(item).collect());
    assert_eq!(events(&desk.attempts()), [10]);
}
