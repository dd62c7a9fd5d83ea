use prometheus_client::registry::Registry as Measurements;
use proptest::prelude::*;
use protocol::id::{CustomerId, NegotiatorId};

use super::*;
use crate::queue::Outgoing;

fn registry() -> Registry {
    Registry::new(Config::default(), Clock::system(), Metrics::register(&mut Measurements::default()))
}

fn recipient(customer: &str, negotiator: &str) -> Recipient {
    Recipient { customer: CustomerId::parse(customer).unwrap(), negotiator: NegotiatorId::parse(negotiator).unwrap() }
}

fn product(name: &str) -> Product {
    Product::parse(name).unwrap()
}

fn frame(number: u64) -> EncodedFrame {
    EncodedFrame { id: EventId::new(number, [0; 10]), expires: None, text: "{}".into() }
}

fn queued(seat: &Seat) -> Vec<EventId> {
    use futures::FutureExt;
    match seat.queue.next().now_or_never() {
        Some(Outgoing::Deliveries(deliveries)) => deliveries.iter().map(|delivery| delivery.frame.id).collect(),
        Some(Outgoing::Close(_)) | None => Vec::new(),
    }
}

#[test]
fn only_the_told_products_of_the_told_recipient_get_an_event() {
    let registry = registry();
    let session = |number| EventId::new(number, [1; 10]);
    let told = registry.join(recipient("AAA", "ADV"), session(1), product("AgencyCloud"));
    let told_too = registry.join(recipient("AAA", "ADV"), session(2), product("AgencyCloud"));
    let other_product = registry.join(recipient("AAA", "ADV"), session(3), product("PropertyCloud"));
    let other_customer = registry.join(recipient("BBB", "ADV"), session(4), product("AgencyCloud"));
    let counts = registry.deliver(
        frame(1),
        &[product("AgencyCloud")],
        [recipient("AAA", "ADV"), recipient("AAA", "TST")].into_iter(),
        Instant::now(),
    );
    assert_eq!(counts, [2, 0]);
    assert_eq!((queued(&told).len(), queued(&told_too).len()), (1, 1));
    assert!(queued(&other_product).is_empty() && queued(&other_customer).is_empty());
}

#[test]
fn a_recipient_is_forgotten_with_its_last_session() {
    let registry = registry();
    let seats: Vec<_> = (1..=3).map(|n| registry.join(recipient("AAA", "ADV"), EventId::new(n, [0; 10]), product("A"))).collect();
    assert_eq!((registry.shared.recipients.len(), registry.open_sessions()), (1, 3));
    drop(seats);
    assert_eq!((registry.shared.recipients.len(), registry.open_sessions()), (0, 0));
    let again = registry.join(recipient("AAA", "ADV"), EventId::new(9, [0; 10]), product("A"));
    assert_eq!(registry.deliver(frame(1), &[product("A")], [recipient("AAA", "ADV")].into_iter(), Instant::now()), [1]);
    assert_eq!(queued(&again).len(), 1);
}

#[test]
fn a_session_that_comes_while_all_are_closed_is_closed_too() {
    use futures::FutureExt;
    let registry = registry();
    let before = registry.join(recipient("AAA", "ADV"), EventId::new(1, [0; 10]), product("A"));
    registry.close_all(CloseCode::Restarting);
    let after = registry.join(recipient("AAA", "ADV"), EventId::new(2, [0; 10]), product("A"));
    for seat in [before, after] {
        assert!(matches!(seat.queue.next().now_or_never(), Some(Outgoing::Close(CloseCode::Restarting))));
    }
}

#[test]
fn coming_and_going_at_the_same_instant_as_an_event_loses_no_session() {
    let roomy = Config { queue_events_max: usize::MAX, queue_bytes_max: usize::MAX, ..Config::default() };
    let registry = Registry::new(roomy, Clock::system(), Metrics::register(&mut Measurements::default()));
    let of = recipient("AAA", "ADV");
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let registry = registry.clone();
            scope.spawn(move || {
                for number in 0..2_000 {
                    let seat = registry.join(of, EventId::new(number, [thread; 10]), product("A"));
                    let counts = registry.deliver(frame(number), &[product("A")], [of].into_iter(), Instant::now());
                    assert!(counts[0] >= 1 && !queued(&seat).is_empty(), "one's own session is always there");
                }
            });
        }
    });
    assert_eq!(registry.shared.recipients.len(), 0);
}

proptest! {
    #[test]
    fn tenants_never_mix(
        sessions in proptest::collection::vec((0..3_usize, 0..3_usize), 1..20),
        events in proptest::collection::vec((0..3_usize, proptest::collection::vec(0..3_usize, 1..3)), 1..20),
    ) {
        let (customers, negotiators) = (["AAA", "BBB", "CCC"], ["ADV", "TST", "JAS"]);
        let registry = registry();
        let seats: Vec<_> = (0_u64..)
            .zip(&sessions)
            .map(|(n, &(c, g))| ((c, g), registry.join(recipient(customers[c], negotiators[g]), EventId::new(n, [2; 10]), product("A"))))
            .collect();
        for (number, (customer, targets)) in (0_u64..).zip(&events) {
            let recipients = targets.iter().map(|&target| recipient(customers[*customer], negotiators[target]));
            registry.deliver(frame(number), &[product("A")], recipients, Instant::now());
        }
        for ((c, g), seat) in &seats {
            let expected: Vec<_> = (0_u64..)
                .zip(&events)
                .flat_map(|(number, (customer, targets))| {
                    targets.iter().filter(move |&target| customer == c && target == g).map(move |_| EventId::new(number, [0; 10]))
                })
                .collect();
            prop_assert_eq!(queued(seat), expected);
        }
    }
}
