use std::collections::VecDeque;
use std::future::poll_fn;

use futures::FutureExt;
use prometheus_client::registry::Registry as Measurements;
use proptest::prelude::*;
use protocol::id::{DeviceId, Product};
use protocol::message::Resume;
use protocol::payload::CallState;

use super::*;
use crate::delivery::Item;
use crate::outbox::{Request, Todo};
use crate::testing::{frame, id, poster, product, recipient};
use crate::ws::codec::text_frame;

const SECOND: Duration = Duration::from_secs(1);

fn registry_with(config: Config) -> Registry {
    let clock = Clock::stepped(Timestamp::UNIX_EPOCH);
    Registry::new(config, clock, Metrics::register(&mut Measurements::default()), Arc::new(|_, _| None))
}

fn registry() -> Registry {
    registry_with(Config::default())
}

struct Comes {
    of: Recipient,
    product: Product,
    device: Option<&'static str>,
    resume: Option<EventId>,
}

fn comes(of: Recipient) -> Comes {
    Comes { of, product: product("A"), device: None, resume: None }
}

impl Comes {
    fn to(self, registry: &Registry, number: u64) -> (Seat, Joined) {
        let session = EventId::new(number, [1; 10]);
        let device = self.device.map(|device| Arc::new(DeviceId::parse(device).unwrap()));
        let who = Who { negotiator: self.of.negotiator, session, device };
        let (resume, fresh) = (self.resume.map(Some), EventId::new(number, [2; 10]));
        registry.join(self.of, who, Joining { product: self.product, at: Timestamp::UNIX_EPOCH, resume, fresh })
    }
}

fn post(registry: &Registry, number: u64, to: &[Recipient]) -> Vec<usize> {
    // Each event is a call of its own, so that none is late.
    let call = number.to_string();
    let event = frame(number, &call, CallState::Incoming, 0);
    registry.deliver(event, poster(), to.iter().copied(), When { taken: Duration::ZERO, now: registry.clock().moment() })
}

fn queued(seat: &Seat) -> Vec<EventId> {
    seat.outbox.take().iter().filter_map(Item::event).collect()
}

fn next(seat: &Seat) -> Option<Todo> {
    poll_fn(|cx| seat.outbox.poll_next(cx)).now_or_never()
}

fn closed(seat: &Seat) -> Option<CloseCode> {
    match next(seat) {
        Some(Todo::Asked(Request::Close(code))) => Some(code),
        _ => None,
    }
}

fn ids(deliveries: &[Arc<Delivery>]) -> Vec<EventId> {
    deliveries.iter().map(|delivery| delivery.facts.id).collect()
}

#[test]
fn only_the_told_products_of_the_told_recipient_get_an_event() {
    let registry = registry();
    let told = comes(recipient("AAA", "ADV")).to(&registry, 1).0;
    let told_too = comes(recipient("AAA", "ADV")).to(&registry, 2).0;
    let other_product = Comes { product: product("B"), ..comes(recipient("AAA", "ADV")) }.to(&registry, 3).0;
    let other_customer = comes(recipient("BBB", "ADV")).to(&registry, 4).0;
    assert_eq!(post(&registry, 1, &[recipient("AAA", "ADV"), recipient("AAA", "TST")]), [2, 0]);
    assert_eq!((queued(&told).len(), queued(&told_too).len()), (1, 1));
    assert!(queued(&other_product).is_empty() && queued(&other_customer).is_empty());
    drop(other_product);
    let back = Comes { product: product("B"), resume: Some(id(1)), ..comes(recipient("AAA", "ADV")) }.to(&registry, 5).1;
    assert_eq!(
        (back.resume, back.missed.len(), back.calls.len()),
        (Resume::Full, 0, 0),
        "a place in the ring, of another product"
    );
}

#[test]
fn who_comes_back_gets_what_followed_their_place() {
    let (registry, adv) = (registry(), recipient("AAA", "ADV"));
    let (seat, joined) = comes(adv).to(&registry, 1);
    assert_eq!(joined.resume, Resume::New);
    drop(seat);
    for number in 1..=3 {
        assert_eq!(post(&registry, number, &[adv]), [0]);
    }
    let back = |cursor, number| Comes { resume: Some(cursor), ..comes(adv) }.to(&registry, number).1;
    let from_the_beginning = back(joined.cursor, 2);
    assert_eq!((from_the_beginning.resume, ids(&from_the_beginning.missed)), (Resume::Full, vec![id(1), id(2), id(3)]));
    assert_eq!(from_the_beginning.cursor, joined.cursor, "until the events have come, the place is the old one");
    assert_eq!(ids(&back(id(2), 3).missed), [id(3)]);
    let foreign = back(id(77), 4);
    assert_eq!((foreign.resume, foreign.missed.len(), foreign.cursor), (Resume::None, 0, id(3)));
    assert_eq!(ids(&foreign.calls), [id(1), id(2), id(3)], "and the live calls are the truth");
}

#[test]
fn a_place_is_good_after_two_idle_hours_and_memory_is_returned() {
    let (registry, adv) = (registry(), recipient("AAA", "ADV"));
    let seat = comes(adv).to(&registry, 1).0;
    post(&registry, 1, &[adv]);
    assert!(registry.metrics().ring_bytes.get() > 0);
    registry.clock().advance(7200 * SECOND);
    registry.look_at_recipients(registry.clock().running());
    assert_eq!(registry.metrics().ring_bytes.get(), 0);
    drop(seat);
    let (seat, back) = Comes { resume: Some(id(1)), ..comes(adv) }.to(&registry, 2);
    assert_eq!((back.resume, back.missed.len(), back.calls.len()), (Resume::Full, 0, 0));
    drop(seat);
    for _ in 0..3 {
        registry.clock().advance(100 * SECOND);
        registry.look_at_recipients(registry.clock().running());
    }
    assert_eq!((registry.shared.recipients.len(), registry.open_sessions()), (0, 0), "forgotten 180 s after the last session");
    assert_eq!(Comes { resume: Some(id(1)), ..comes(adv) }.to(&registry, 3).1.resume, Resume::None);
}

#[test]
fn a_ring_is_bounded_in_events() {
    let (registry, adv) = (registry(), recipient("AAA", "ADV"));
    (0..129).for_each(|number| assert_eq!(post(&registry, number, &[adv]), [0]));
    assert_eq!(registry.save()[0].1.ring.len(), 128);
}

#[test]
fn rings_of_the_whole_node_are_bounded_in_bytes() {
    let mut config = Config::default();
    config.ring.bytes_max = 10_000;
    let registry = registry_with(config);
    for number in 0..1000 {
        post(&registry, number, &[recipient("AAA", &format!("N{}", number % 50))]);
        assert!(registry.metrics().ring_bytes.get() <= 10_000);
    }
    let total: usize = registry.shared.recipients.iter().map(|known| known.0.save().ring.len()).sum();
    assert!(total > 10, "{total}");
}

#[test]
fn the_same_device_replaces_its_older_session_and_of_eleven_the_oldest_goes() {
    let (registry, adv) = (registry(), recipient("AAA", "ADV"));
    let with_device = |number| Comes { device: Some("laptop"), ..comes(adv) }.to(&registry, number).0;
    let older = with_device(1);
    let newer = with_device(2);
    assert_eq!((closed(&older), closed(&newer)), (Some(CloseCode::Replaced), None));
    let others: Vec<_> = (3..=11).map(|number| comes(adv).to(&registry, number).0).collect();
    assert!(closed(&newer).is_none());
    let eleventh = comes(adv).to(&registry, 12).0;
    assert_eq!(closed(&newer), Some(CloseCode::Evicted));
    assert!(others.iter().chain([&eleventh]).all(|seat| closed(seat).is_none()));
    assert_eq!(post(&registry, 1, &[adv]), [10]);
}

#[test]
fn the_slowest_are_closed_when_too_much_waits_on_the_node() {
    let config = Config { queues_bytes_max: 400, ..Config::default() };
    let registry = registry_with(config);
    let (slow, quick) = (comes(recipient("AAA", "ADV")).to(&registry, 1).0, comes(recipient("AAA", "TST")).to(&registry, 2).0);
    for number in 0..60 {
        post(&registry, number, &[recipient("AAA", "ADV"), recipient("AAA", "TST")]);
        assert!(!queued(&quick).is_empty());
        assert!(registry.shared.context.waiting_bytes() <= 400);
    }
    assert_eq!(closed(&slow), Some(CloseCode::Overloaded));
    assert_eq!(closed(&quick), None);
}

#[test]
fn a_session_that_comes_while_all_are_sent_away_is_closed() {
    let registry = registry();
    let before: Vec<_> = (0..4).map(|number| comes(recipient("AAA", "ADV")).to(&registry, number).0).collect();
    registry.drain(15 * SECOND);
    let after = comes(recipient("AAA", "ADV")).to(&registry, 9).0;
    assert_eq!(closed(&after), Some(CloseCode::Restarting));
    let mut slots: Vec<_> = before
        .iter()
        .map(|seat| match next(seat) {
            Some(Todo::Asked(Request::GoAway(slot))) => slot,
            other => panic!("{other:?}"),
        })
        .collect();
    slots.sort_unstable();
    assert_eq!(slots, [0, 250, 500, 750].map(Duration::from_millis), "one after another");
}

#[test]
fn what_one_run_saved_the_next_one_knows() {
    let (first, adv) = (registry(), recipient("AAA", "ADV"));
    let beginning = comes(adv).to(&first, 1).1.cursor;
    post(&first, 1, &[adv]);
    post(&first, 2, &[adv]);
    let text: Vec<_> = first.save().into_iter().map(|(of, state)| (of, serde_json::to_string(&state).unwrap())).collect();
    let second = registry();
    second.restore(text.into_iter().map(|(of, text)| (of, serde_json::from_str(&text).unwrap())).collect());
    let back = Comes { resume: Some(id(1)), ..comes(adv) }.to(&second, 2).1;
    assert_eq!((back.resume, ids(&back.missed), ids(&back.calls)), (Resume::Full, vec![id(2)], vec![id(1), id(2)]));
    assert_eq!(ids(&Comes { resume: Some(beginning), ..comes(adv) }.to(&second, 3).1.missed), [id(1), id(2)]);
}

#[test]
fn what_grew_old_between_two_runs_is_old_in_the_second() {
    let (first, adv) = (registry(), recipient("AAA", "ADV"));
    let beginning = comes(adv).to(&first, 1).1.cursor;
    post(&first, 1, &[adv]);
    let after = |seconds: i64| {
        let second = registry();
        second.clock().jump(jiff::SignedDuration::from_secs(seconds));
        second.restore(first.save());
        Comes { resume: Some(beginning), ..comes(adv) }.to(&second, 2).1
    };
    let soon = after(44);
    assert_eq!((soon.resume, soon.missed.len(), soon.calls.len()), (Resume::Full, 1, 1));
    let later = after(46);
    assert_eq!((later.resume, later.calls.len(), later.over.len()), (Resume::Full, 0, 1), "it rings no longer");
    assert_eq!(after(181).resume, Resume::None);
    assert_eq!(after(7 * 24 * 3600).resume, Resume::None);
}

#[test]
fn a_call_that_was_missed_while_the_line_was_broken_does_not_pop() {
    let (registry, adv) = (registry(), recipient("AAA", "ADV"));
    let (seat, joined) = comes(adv).to(&registry, 1);
    drop(seat);
    post(&registry, 1, &[adv]);
    registry.miss(&adv, "1", Timestamp::UNIX_EPOCH);
    let back = Comes { resume: Some(joined.cursor), ..comes(adv) }.to(&registry, 2).1;
    assert_eq!((back.resume, ids(&back.missed), back.calls.len()), (Resume::Full, vec![id(1)], 0));
    assert_eq!(back.over, [text_frame(br#"{"type":"sync","callId":"1","action":"missed"}"#)]);
}

#[test]
fn a_busy_recipient_has_few_reminders() {
    let (registry, adv) = (registry(), recipient("AAA", "ADV"));
    let mut looks = 0;
    for number in 0..600 {
        if number % 10 == 0 {
            post(&registry, number, &[adv]);
        }
        registry.clock().advance(SECOND);
        let now = registry.clock().running();
        for recipient in registry.shared.recipient_reminders.due(now) {
            looks += 1;
            let state = registry.find(&recipient).unwrap();
            registry.follow(&state, &state.look(&registry.shared.context, now));
        }
    }
    assert!(looks < 300, "{looks} looks for 60 events");
}

#[test]
fn a_device_of_another_product_does_not_put_a_call_aside() {
    let (registry, adv) = (registry(), recipient("AAA", "ADV"));
    let told = comes(adv).to(&registry, 1).0;
    let other = Comes { product: product("B"), ..comes(adv) }.to(&registry, 2).0;
    post(&registry, 1, &[adv]);
    assert!(!other.dismissed("1") && !other.shown("1") && told.dismissed("1") && told.shown("1"));
}

#[test]
fn coming_and_going_at_the_same_instant_as_an_event_loses_no_session() {
    let registry = registry_with(Config { queue_events_max: usize::MAX, queue_bytes_max: usize::MAX, ..Config::default() });
    let of = recipient("AAA", "ADV");
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let registry = registry.clone();
            scope.spawn(move || {
                for number in 0..1_000 {
                    let seat = comes(of).to(&registry, thread * 10_000 + number).0;
                    let counts = post(&registry, thread * 10_000 + number, &[of]);
                    assert!(counts[0] >= 1 && !queued(&seat).is_empty(), "one's own session is always there");
                    registry.clock().advance(7 * SECOND);
                    registry.look_at_recipients(registry.clock().running());
                }
            });
        }
    });
}

/// What happens to one negotiator.
#[derive(Debug, Clone)]
enum Step {
    Post,
    Open { resume: bool },
    Cut,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Post),
        2 => any::<bool>().prop_map(|resume| Step::Open { resume }),
        2 => Just(Step::Cut),
        2 => prop_oneof![1..20_u64, 100..400_u64].prop_map(Step::Wait),
    ]
}

proptest! {
    /// Random schedules of posts, broken lines, resumes and time against a plain list of all that happened. `full` means that
    /// nothing is missing and nothing comes twice; `none` only where the place was really too old or the ring forgotten.
    #[test]
    fn a_full_resume_is_whole_and_none_is_said_only_with_cause(steps in proptest::collection::vec(step(), 1..80)) {
        let config = Config { ring: crate::config::RingConfig { events_max: 8, ..Default::default() }, ..Config::default() };
        let (registry, adv) = (registry_with(config), recipient("AAA", "ADV"));
        let mut history: Vec<(EventId, u64)> = Vec::new();
        let (mut now, mut touched, mut number) = (0_u64, 0_u64, 0_u64);
        let mut seat: Option<Seat> = None;
        let mut cursor: Option<EventId> = None;
        // How many events of the history the client has when it is at its cursor.
        let mut seen = 0;
        let mut forgotten = false;
        for step in steps {
            number += 1;
            match step {
                Step::Post => {
                    let taken = post(&registry, number, &[adv]);
                    prop_assert_eq!(taken[0], usize::from(seat.is_some()));
                    history.push((id(number), now));
                    touched = now;
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    registry.clock().advance(Duration::from_secs(seconds));
                    registry.look_at_recipients(registry.clock().running());
                    forgotten |= seat.is_none() && now - touched >= 180;
                }
                Step::Cut => touched = if seat.take().is_some() { now } else { touched },
                Step::Open { resume } => {
                    touched = if seat.take().is_some() { now } else { touched };
                    let resume = cursor.filter(|_| resume);
                    let (opened, joined) = Comes { resume, ..comes(adv) }.to(&registry, number);
                    match joined.resume {
                        Resume::Full => {
                            let rest: Vec<_> = history[seen..].iter().map(|(id, _)| *id).collect();
                            prop_assert_eq!(ids(&joined.missed), rest);
                        }
                        Resume::None => {
                            let missing = &history[seen..];
                            let too_many = missing.len() > 8;
                            let too_old = missing.first().is_some_and(|(_, at)| now - at >= 180);
                            prop_assert!(too_many || too_old || forgotten, "none without a cause: {missing:?} at {now}");
                        }
                        Resume::New => prop_assert!(resume.is_none()),
                    }
                    forgotten = false;
                    seen = history.len();
                    cursor = Some(joined.cursor);
                    cursor = joined.missed.last().map(|delivery| delivery.facts.id).or(cursor);
                    seat = Some(opened);
                }
            }
            if let Some(seat) = &seat {
                let heard: VecDeque<_> = queued(seat).into();
                let expected: VecDeque<_> = history[seen..].iter().map(|(id, _)| *id).collect();
                prop_assert_eq!(&heard, &expected, "the live path is whole and in order");
                cursor = heard.back().copied().or(cursor);
                seen = history.len();
            }
        }
    }

    #[test]
    fn tenants_never_mix(
        sessions in proptest::collection::vec((0..3_usize, 0..3_usize), 1..20),
        events in proptest::collection::vec((0..3_usize, proptest::collection::btree_set(0..3_usize, 1..3)), 1..20),
    ) {
        let (customers, negotiators) = (["AAA", "BBB", "CCC"], ["ADV", "TST", "JAS"]);
        let registry = registry_with(Config { sessions_per_negotiator_max: 100, ..Config::default() });
        let seats: Vec<_> = (0_u64..)
            .zip(&sessions)
            .map(|(n, &(c, g))| ((c, g), comes(recipient(customers[c], negotiators[g])).to(&registry, n).0))
            .collect();
        for (number, (customer, targets)) in (0_u64..).zip(&events) {
            let recipients: Vec<_> = targets.iter().map(|&target| recipient(customers[*customer], negotiators[target])).collect();
            post(&registry, number, &recipients);
        }
        for ((c, g), seat) in &seats {
            let theirs = (0_u64..).zip(&events).filter(|(_, (customer, targets))| customer == c && targets.contains(g));
            let expected: Vec<_> = theirs.map(|(number, _)| id(number)).collect();
            prop_assert_eq!(queued(seat), expected);
        }
    }
}
