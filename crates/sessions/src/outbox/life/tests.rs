use super::*;
use crate::testing::{delivery, id};

const SECOND: Duration = Duration::from_secs(1);

fn life() -> Life {
    // The last byte of the id is 0: pings after 0.8 of the interval.
    Life::new(Arc::default(), id(1), Duration::ZERO)
}

fn incoming(number: u64) -> Arc<Delivery> {
    delivery(number, "c", CallState::Incoming, 0)
}

#[test]
fn a_silent_line_is_pinged_and_dead_ten_seconds_later() {
    let mut life = life();
    assert_eq!((life.due(20 * SECOND - Duration::from_nanos(1)), life.next_due()), (Due::Nothing, 20 * SECOND));
    assert_eq!((life.due(20 * SECOND), life.next_due()), (Due::Ping, 30 * SECOND));
    assert_eq!(life.due(29 * SECOND), Due::Nothing);
    assert_eq!(life.due(30 * SECOND), Due::Dead);
}

#[test]
fn any_byte_counts_as_life() {
    let mut life = life();
    life.heard(19 * SECOND);
    assert_eq!(life.due(20 * SECOND), Due::Nothing);
    assert_eq!(life.due(39 * SECOND), Due::Ping);
    life.heard(40 * SECOND);
    assert_eq!((life.due(49 * SECOND), life.next_due()), (Due::Nothing, 60 * SECOND));
}

#[test]
fn an_unacknowledged_incoming_call_finds_a_dead_line_in_six_seconds() {
    let mut life = life();
    life.sent(incoming(1), SECOND);
    assert_eq!(life.next_due(), 4 * SECOND);
    assert_eq!(life.due(4 * SECOND), Due::Ping);
    assert_eq!(life.next_due(), 7 * SECOND);
    assert_eq!(life.due(7 * SECOND), Due::Dead);
}

#[test]
fn a_client_that_never_acknowledges_but_answers_pings_lives() {
    let mut life = life();
    life.sent(incoming(1), SECOND);
    assert_eq!(life.due(4 * SECOND), Due::Ping);
    life.heard(5 * SECOND);
    assert_eq!((life.due(8 * SECOND), life.next_due()), (Due::Nothing, 25 * SECOND), "asked once for each call");
}

#[test]
fn a_call_that_rings_while_a_ping_is_out_shortens_the_wait() {
    let mut life = life();
    assert_eq!(life.due(20 * SECOND), Due::Ping);
    life.sent(incoming(1), 21 * SECOND);
    assert_eq!(life.due(24 * SECOND), Due::Ping);
    assert_eq!(life.due(27 * SECOND), Due::Dead);
}

#[test]
fn an_acknowledgement_covers_all_before_it_and_only_incoming_calls_ask_for_one() {
    let mut life = life();
    for number in 1..=3 {
        life.sent(incoming(number), SECOND);
    }
    life.sent(delivery(4, "c", CallState::Ended, 0), SECOND);
    assert_eq!(life.acknowledged(id(9)).len(), 0);
    assert_eq!(life.acknowledged(id(3)).len(), 3);
    assert_eq!(life.acknowledged(id(3)).len(), 0);
    assert_eq!(life.due(10 * SECOND), Due::Nothing);
    assert_eq!(life.acknowledged(id(4)).len(), 1);
    (0..1000).for_each(|number| life.sent(incoming(number), SECOND));
    assert_eq!(life.acknowledged(id(999)).len(), Config::default().ring.events_max, "what is remembered is bounded");
}

#[test]
fn one_ping_asks_for_all_that_was_sent_before_it() {
    let mut life = life();
    (0..20).for_each(|number| life.sent(incoming(number), SECOND + Duration::from_millis(100 * number)));
    assert_eq!(life.due(4 * SECOND), Due::Ping);
    life.heard(4 * SECOND);
    assert_eq!((life.due(5 * SECOND), life.next_due()), (Due::Nothing, 24 * SECOND));
    life.sent(incoming(20), 5 * SECOND);
    assert_eq!(life.due(8 * SECOND), Due::Ping, "but not for what came later");
}

#[test]
fn a_ping_that_was_due_anyway_is_answered_sooner_while_a_call_rings() {
    let mut life = life();
    life.sent(incoming(1), 19 * SECOND);
    assert_eq!((life.due(20 * SECOND), life.next_due()), (Due::Ping, 23 * SECOND));
}
