use jiff::Timestamp;
use protocol::id::ClientId;

use super::*;
use crate::profile::{Profile, REAPIT, STANDARD};
use crate::sign::Signer;
use crate::subscription::{Subscription, Wish, callback_url};

mod turns; // what each endpoint gets, and the two lanes
mod shares; // hosts, customers, keys
mod disk; // windows and reads
mod breaker; // those that fail or ask for a pause
mod life; // stopped, opened again, forgotten
mod steps; // what can happen at random
mod model; // the schedule beside a disk, in many random courses

const NOW: i64 = 1_700_000_000_000;
/// Later than any test looks.
const LATER: i64 = NOW + 24 * 3600 * 1000;

const TAKEN: Finished = Finished { answered: true, failed: false, was_slow: false, pause: None };
const REFUSED: Finished = Finished { failed: true, ..TAKEN };
const HUNG: Finished = Finished { answered: false, ..REFUSED };

fn endpoint(number: i64, profile: &'static Profile, url: &str) -> Arc<Endpoint> {
    let wish = Wish {
        url: url.to_owned(),
        description: String::new(),
        topic_ids: vec!["contacts.modified".to_owned()],
        customer_ids: Vec::new(),
        active: true,
        ignore_etag_only_changes: true,
        profile: profile.name.to_owned(),
        asymmetric: false,
        ..Wish::default()
    };
    let subscription = Subscription {
        number,
        id: format!("{number:08}-0000-7000-8000-000000000000"),
        application: ClientId::parse("app").unwrap(),
        bound_to: None,
        by_operator: false,
        wish,
        secrets: Vec::new(),
        headers: None,
        created: Timestamp::UNIX_EPOCH,
        modified: Timestamp::UNIX_EPOCH,
        deleted: None,
    };
    Arc::new(Endpoint {
        profile,
        url: callback_url(url, profile, &[], true).unwrap_or_else(|fault| panic!("{fault}")),
        refusal: None,
        headers: Vec::new(),
        signer: Signer::new("app", &[], None, false),
        health_id: url.to_owned(),
        disabled: false,
        subscription,
    })
}

/// A delivery of a customer of its own, so that no customer has too many.
fn item(event: i64) -> Item {
    let customer = CustomerId::parse(&format!("C{event:06}")).unwrap();
    Item { event, due: NOW, failures: 0, sends: 0, taken: NOW, customer, key: None, document: Arc::from("{}") }
}

fn of(event: i64, customer: &str) -> Item {
    Item { customer: CustomerId::parse(customer).unwrap(), ..item(event) }
}

fn keyed(event: i64, key: &str) -> Item {
    Item { key: Some(Item::key_of(key)), ..item(event) }
}

/// A schedule and the time.
struct Desk {
    schedule: Schedule,
    now: i64,
}

fn desk() -> Desk {
    desk_with(SendLimits { in_flight_max: 64, per_endpoint_max: 12, per_host_max: 64, window_bytes_max: 1024 * 1024 })
}

fn desk_with(limits: SendLimits) -> Desk {
    Desk { schedule: Schedule::new(limits), now: NOW }
}

impl Desk {
    fn open(&mut self, number: i64) {
        self.open_at(number, &STANDARD, &format!("https://e{number}.example.com/a"));
    }

    fn open_at(&mut self, number: i64, profile: &'static Profile, url: &str) {
        self.schedule.open(endpoint(number, profile, url), None, Some(0), self.now);
    }

    /// Opens an endpoint and lets it answer once.
    fn prove(&mut self, number: i64) {
        self.open(number);
        self.answer_once(number);
    }

    fn answer_once(&mut self, number: i64) {
        self.offer(number, item(number));
        assert_eq!(self.attempts(), [(number, number)]);
        self.take(number, number);
    }

    fn offer(&mut self, number: i64, item: Item) {
        self.schedule.offer(number, item, self.now);
    }

    fn offer_all(&mut self, number: i64, events: std::ops::RangeInclusive<i64>) {
        for event in events {
            self.offer(number, item(event));
        }
    }

    /// All that is sent now: endpoints and events. Nothing is read.
    fn attempts(&mut self) -> Vec<(i64, i64)> {
        let mut sent = Vec::new();
        while let Some(work) = self.schedule.next(self.now) {
            match work {
                Work::Attempt(endpoint, item) => sent.push((endpoint.subscription.number, item.event)),
                Work::Read(read) => panic!("{read:?}"),
            }
        }
        sent
    }

    /// The one read that there is to do.
    fn asked(&mut self, number: i64) -> Read {
        match self.schedule.next(self.now) {
            Some(Work::Read(read)) if read.endpoint == number => read,
            other => panic!("{other:?}"),
        }
    }

    /// Serves a read as the store does, from these rows.
    fn serve(&mut self, read: &Read, rows: Vec<Item>) {
        let (rows, is_all) = seen(read, rows);
        self.schedule.read(read.endpoint, rows, is_all, self.now);
    }

    fn finish(&mut self, number: i64, event: i64, how: Finished) {
        self.schedule.finished(number, event, how, self.now);
    }

    /// The receiver takes a delivery, which is on disk at once.
    fn take(&mut self, number: i64, event: i64) {
        self.finish(number, event, TAKEN);
        self.schedule.settled(number, event, None, self.now);
    }

    /// The receiver refuses a delivery, which is due again much later.
    fn refuse(&mut self, number: i64, event: i64) {
        self.finish(number, event, REFUSED);
        self.schedule.settled(number, event, Some(LATER), self.now);
    }

    fn pass(&mut self, millis: i64) {
        self.now += millis;
        self.schedule.wake(self.now);
    }

    fn in_flight(&self) -> usize {
        self.schedule.totals().1
    }

    fn closed(&self, number: i64) -> Option<Duration> {
        self.schedule.closed_until(number, self.now)
    }
}

/// What a read sees of these rows, and whether that is all.
fn seen(read: &Read, mut rows: Vec<Item>) -> (Vec<Item>, bool) {
    rows.retain(|item| !read.held.contains(&item.event));
    let is_all = rows.len() <= read.rows_max;
    rows.truncate(read.rows_max);
    (rows, is_all)
}

fn numbers(attempts: &[(i64, i64)]) -> Vec<i64> {
    attempts.iter().map(|(number, _)| *number).collect()
}

fn events(attempts: &[(i64, i64)]) -> Vec<i64> {
    attempts.iter().map(|(_, event)| *event).collect()
}
