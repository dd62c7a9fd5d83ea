use protocol::payload::CallState;

use super::*;
use crate::testing::{delivery, frame, id, product};

fn event(number: u64) -> Arc<Delivery> {
    delivery(number, "c", CallState::Incoming, 0)
}

fn ids(after: Option<Vec<Arc<Delivery>>>) -> Option<Vec<EventId>> {
    after.map(|deliveries| deliveries.iter().map(|delivery| delivery.facts.id).collect())
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_place_of_the_ring_resumes_whole_and_no_other() {
    let mut ring = Ring::default();
    let begin = ring.end(product("A"), id(900));
    assert_eq!(ring.end(product("A"), id(901)), begin, "a beginning stays");
    // Ids are made before the lock: they need not come in their order.
    for number in [5, 3, 9] {
        ring.push(event(number), SECOND);
    }
    assert_eq!(ids(ring.after(begin, product("A"))), Some(vec![id(5), id(3), id(9)]));
    assert_eq!(ids(ring.after(id(5), product("A"))), Some(vec![id(3), id(9)]));
    assert_eq!(ids(ring.after(id(9), product("A"))), Some(Vec::new()));
    assert_eq!(ring.end(product("A"), id(902)), id(9));
    for foreign in [id(4), id(902), id(0)] {
        assert_eq!(ids(ring.after(foreign, product("A"))), None);
    }
}

#[test]
fn an_entry_is_kept_for_180_seconds_and_its_place_for_ever() {
    let (mut ring, config) = (Ring::default(), RingConfig::default());
    let begin = ring.end(product("A"), id(900));
    ring.push(event(1), Duration::ZERO);
    assert_eq!(ring.expire(&config, 180 * SECOND - Duration::from_nanos(1)), 0);
    assert_eq!(ids(ring.after(begin, product("A"))), Some(vec![id(1)]));
    assert!(ring.expire(&config, 180 * SECOND) > 0);
    assert_eq!(ids(ring.after(begin, product("A"))), None, "what followed it is gone");
    assert_eq!(ids(ring.after(id(1), product("A"))), Some(Vec::new()), "nothing has happened since, however long ago");
    assert_eq!(ring.end(product("A"), id(901)), id(1));
    ring.push(event(2), 7200 * SECOND);
    assert_eq!(ids(ring.after(id(1), product("A"))), Some(vec![id(2)]));
}

#[test]
fn a_hundred_and_twenty_eight_are_kept() {
    let (mut ring, config) = (Ring::default(), RingConfig::default());
    let mut bytes = 0;
    for number in 1..=129 {
        bytes -= ring.make_room(&config);
        bytes += ring.push(event(number), SECOND);
    }
    assert_eq!(ring.entries().count(), 128);
    assert_eq!(bytes, ring.bytes());
    assert_eq!(ids(ring.after(id(1), product("A"))).map(|rest| rest.len()), Some(128));
}

#[test]
fn what_other_products_were_told_moves_no_place() {
    let (mut ring, config) = (Ring::default(), RingConfig::default());
    ring.push(event(1), Duration::ZERO);
    for number in 2..=3 {
        let mut told_to_others = frame(number, "c", CallState::Incoming, 0);
        told_to_others.facts.products = std::iter::once(product("B")).collect();
        ring.push(Arc::new(Delivery::new(told_to_others, SECOND, None)), SECOND);
    }
    assert_eq!(ring.end(product("A"), id(900)), id(1));
    ring.expire(&config, 181 * SECOND);
    assert_eq!(ids(ring.after(id(1), product("A"))), Some(Vec::new()), "nothing was missed");
    assert_eq!(ids(ring.after(id(1), product("B"))), None);
    assert_eq!(ids(ring.after(id(3), product("B"))), Some(Vec::new()));
}
