//! A model check of the one place where order is decided, and of forgetting: many interleavings of the locks, each from the
//! start. `cargo test -p sessions --features model model::`

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::registry::Registry as Measurements;
use protocol::id::EventId;
use protocol::message::Resume;
use protocol::payload::CallState;
use shuttle::thread;

use super::{Registry, When};
use crate::config::Config;
use crate::delivery::Item;
use crate::metrics::Metrics;
use crate::receipts::Who;
use crate::recipient::{Joined, Joining};
use crate::registry::Seat;
use crate::testing::{frame, id, poster, product, recipient};
use clock::Clock;

const INTERLEAVINGS: usize = 3_000;

fn registry() -> Registry {
    let clock = Clock::stepped(Timestamp::UNIX_EPOCH);
    Registry::new(Config::default(), clock, Metrics::register(&mut Measurements::default()), Arc::new(|_, _| None))
}

fn join(registry: &Registry, number: u64, resume: Option<EventId>) -> (Seat, Joined) {
    let who = Who { negotiator: recipient("AAA", "ADV").negotiator, session: EventId::new(number, [1; 10]), device: None };
    let (resume, fresh) = (resume.map(Some), EventId::new(number, [2; 10]));
    registry.join(recipient("AAA", "ADV"), who, Joining { product: product("A"), at: Timestamp::UNIX_EPOCH, resume, fresh })
}

fn post(registry: &Registry, number: u64) -> usize {
    let call = number.to_string();
    let event = frame(number, &call, CallState::Incoming, 0);
    let when = When { taken: Duration::ZERO, now: registry.clock().moment() };
    registry.deliver(event, poster(), std::iter::once(recipient("AAA", "ADV")), when).iter().sum()
}

/// What a session got: what it missed, then what came into its outbox.
fn got(seat: &Seat, joined: &Joined) -> Vec<EventId> {
    let mut ids: Vec<_> = joined.missed.iter().map(|delivery| delivery.facts.id).collect();
    ids.extend(seat.outbox.take().iter().filter_map(Item::event));
    ids
}

#[test]
fn two_posts_and_a_reconnect_at_the_same_instant_lose_nothing_and_repeat_nothing() {
    let check = || {
        let registry = registry();
        let (first, joined) = join(&registry, 1, None);
        let cursor = joined.cursor;
        let posting: Vec<_> = [10, 11]
            .into_iter()
            .map(|number| {
                let registry = registry.clone();
                thread::spawn(move || post(&registry, number))
            })
            .collect();
        let back = {
            let registry = registry.clone();
            thread::spawn(move || {
                let before = got(&first, &joined);
                let place = before.last().copied().unwrap_or(cursor);
                drop(first);
                let (seat, joined) = join(&registry, 2, Some(place));
                assert_eq!(joined.resume, Resume::Full);
                (before, seat, joined)
            })
        };
        assert!(posting.into_iter().all(|thread| thread.join().is_ok()));
        let (mut all, seat, joined) = back.join().unwrap();
        all.extend(got(&seat, &joined));
        let in_the_ring: VecDeque<_> =
            join(&registry, 3, Some(cursor)).1.missed.iter().map(|delivery| delivery.facts.id).collect();
        assert_eq!(VecDeque::from(all.clone()), in_the_ring, "everything once, in the order of the ring");
        all.sort_unstable();
        assert_eq!(all, [id(10), id(11)]);
    };
    shuttle::check_random(check, INTERLEAVINGS);
    shuttle::check_pct(check, INTERLEAVINGS, 3);
}

#[test]
fn forgetting_an_idle_ring_while_somebody_logs_in_and_something_happens_loses_nothing() {
    let check = || {
        let registry = registry();
        drop(join(&registry, 1, None));
        registry.clock().advance(Duration::from_secs(200));
        let keeper = {
            let registry = registry.clone();
            thread::spawn(move || registry.look_at_recipients(registry.clock().running()))
        };
        let provider = {
            let registry = registry.clone();
            thread::spawn(move || post(&registry, 10))
        };
        let (seat, joined) = join(&registry, 2, None);
        keeper.join().unwrap();
        let queued = provider.join().unwrap();
        let heard = got(&seat, &joined);
        assert_eq!(heard.len(), queued, "what the caller was told is so");
        let (_, again) = join(&registry, 3, Some(joined.cursor));
        assert_eq!(again.resume, Resume::Full, "a place that was given is good");
        let missed: Vec<_> = again.missed.iter().map(|delivery| delivery.facts.id).collect();
        assert_eq!(missed, heard, "and what followed it is whole");
        assert_eq!(registry.shared.recipients.len(), 1);
    };
    shuttle::check_random(check, INTERLEAVINGS);
    shuttle::check_pct(check, INTERLEAVINGS, 3);
}
