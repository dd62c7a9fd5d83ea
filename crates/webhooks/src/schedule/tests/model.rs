//! The schedule beside a disk, in many random courses. The disk is what the store keeps; the driver does what the engine does, but
//! lets time pass between what it does: a read sees the disk long before it is served, what was written is told later.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::steps::{ENDPOINTS, How, Step, some_limits, step};
use super::*;

/// A delivery as it stands on disk; queued while it has a due time.
#[derive(Debug, Clone)]
struct Row {
    item: Item,
    due: Option<i64>,
    /// Whether it was queued anew: then its place in the order is another.
    requeued: bool,
}

/// A read that is under way.
#[derive(Debug)]
struct UnderWay {
    read: Read,
    seen: Option<(Vec<Item>, bool)>,
}

/// An outcome: endpoint, event, and when it is due again.
type Recorded = (i64, i64, Option<i64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Stopped,
    Ended,
}

struct Model {
    desk: Desk,
    disk: BTreeMap<(i64, i64), Row>,
    on_their_way: Vec<(i64, Item)>,
    gathered: Vec<Recorded>,
    reads: Vec<UnderWay>,
    /// What is on disk and was not told yet.
    offers: Vec<(i64, Item)>,
    outcomes: Vec<Recorded>,
    requeues: Vec<(i64, i64, i64)>,
    phases: BTreeMap<i64, Phase>,
    /// Who has answered.
    answered: Vec<i64>,
    /// The last event of a key that was attempted for the first time.
    in_order: BTreeMap<(i64, Key), i64>,
}

fn opened(number: i64) -> Arc<Endpoint> {
    let profile = if number == 2 { &REAPIT } else { &STANDARD };
    // Two on each host.
    endpoint(number, profile, &format!("https://h{}.example.com/{number}", number % 2))
}

impl Model {
    fn new(limits: SendLimits) -> Self {
        let mut desk = desk_with(limits);
        for number in 1..=ENDPOINTS {
            desk.schedule.open(opened(number), None, Some(0), NOW);
        }
        let phases = (1..=ENDPOINTS).map(|number| (number, Phase::Open)).collect();
        Self {
            desk,
            disk: BTreeMap::new(),
            on_their_way: Vec::new(),
            gathered: Vec::new(),
            reads: Vec::new(),
            offers: Vec::new(),
            outcomes: Vec::new(),
            requeues: Vec::new(),
            phases,
            answered: Vec::new(),
            in_order: BTreeMap::new(),
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Offer { endpoint, count, told } => self.offer(endpoint, count, told),
            Step::Send { turns, reads_see } => {
                for _ in 0..turns {
                    self.send(reads_see);
                }
            }
            Step::Finish { which, how } => self.finish(which, how),
            Step::Record { told } => self.record(told),
            Step::Tell => self.tell(),
            Step::See { which } => self.see(which),
            Step::Serve { which, fails } => self.serve(which, fails),
            Step::Pass { millis } => self.desk.pass(millis),
            Step::Requeue { which, told } => self.requeue(which, told),
            Step::Change { endpoint } => {
                if self.phases[&endpoint] == Phase::Open {
                    self.desk.schedule.open(opened(endpoint), Some(self.desk.now), None, self.desk.now);
                }
            }
            Step::Switch { endpoint } => self.switch(endpoint),
        }
    }

    fn offer(&mut self, number: i64, count: usize, told: bool) {
        self.tell_offers();
        for _ in 0..count {
            let event = i64::try_from(self.disk.len()).unwrap() + 1;
            let key = match event % 5 {
                0 | 1 => Some(Item::key_of("a")),
                2 => Some(Item::key_of("b")),
                _ => None,
            };
            let customer = ["AAA", "BBB", "CCC"][usize::try_from(event % 3).unwrap()];
            let item = Item { due: self.desk.now, key, ..of(event, customer) };
            self.disk.insert((number, event), Row { item: item.clone(), due: Some(self.desk.now), requeued: false });
            self.offers.push((number, item));
        }
        if told {
            self.tell_offers();
        }
    }

    fn send(&mut self, reads_see: bool) -> bool {
        let now = self.desk.now;
        match self.desk.schedule.next(now) {
            Some(Work::Attempt(endpoint, item)) => self.attempt(&endpoint, item),
            Some(Work::Read(read)) => {
                let is_other = |other: &UnderWay| other.read.endpoint != read.endpoint;
                assert!(self.reads.iter().all(is_other), "two reads of one endpoint");
                self.reads.push(UnderWay { read, seen: None });
                if reads_see {
                    self.see(self.reads.len() - 1);
                }
            }
            None => return false,
        }
        true
    }

    fn attempt(&mut self, endpoint: &Endpoint, item: Item) {
        let number = endpoint.subscription.number;
        let this = (number, item.event);
        let is_this = |(number, event, _): &Recorded| (*number, *event) == this;
        assert!(self.on_their_way.iter().all(|(number, other)| (*number, other.event) != this), "{this:?} is on its way twice");
        assert!(!self.gathered.iter().any(is_this), "{this:?} is sent again before its outcome is on disk");
        assert!(!self.outcomes.iter().any(is_this), "{this:?} is sent again before its outcome is told");
        let row = &self.disk[&this];
        assert!(row.due.is_some_and(|due| due <= self.desk.now), "{this:?} is not due: {row:?}");
        assert_eq!(self.phases[&number], Phase::Open, "{this:?} is sent to an endpoint that is stopped");
        assert_eq!(self.desk.closed(number), None, "{this:?} is sent to an endpoint that has a pause");
        if let Some(key) = item.key.filter(|_| item.is_first()) {
            let of_key = |(other, of): &&(i64, Item)| *other == number && of.is_first() && of.key == Some(key);
            assert_eq!(self.on_their_way.iter().filter(of_key).count(), 0, "{this:?} overlaps with another of its key");
            if !row.requeued {
                let before = self.in_order.insert((number, key), item.event).unwrap_or(0);
                assert!(before < item.event, "{before} of the same key came before {this:?}");
            }
        }
        self.on_their_way.push((number, item));
        self.check_limits();
    }

    fn check_limits(&self) {
        let limits = &self.desk.schedule.limits;
        let most = |by: &dyn Fn(&(i64, Item)) -> String| {
            let mut counts = BTreeMap::new();
            self.on_their_way.iter().for_each(|flight| *counts.entry(by(flight)).or_insert(0) += 1);
            counts.into_values().max().unwrap_or(0)
        };
        assert!(most(&|(number, _)| number.to_string()) <= limits.per_endpoint_max, "too many of an endpoint");
        assert!(most(&|(number, _)| (number % 2).to_string()) <= limits.per_host_max, "too many of a host");
        let mut answering = BTreeMap::new();
        for flight in self.desk.schedule.flights.values().filter(|flight| flight.lane == Lane::Answering) {
            *answering.entry(flight.customer).or_insert(0) += 1;
        }
        let most = answering.into_values().max().unwrap_or(0);
        assert!(most <= (limits.in_flight_max / 4).max(1), "too many of a customer");
        let proven = |number: &i64| self.answered.contains(number);
        let unproven = (1..=ENDPOINTS).filter(|number| !proven(number));
        for number in unproven {
            let count = self.on_their_way.iter().filter(|(other, _)| *other == number).count();
            assert!(count <= 1, "{number} has {count} and never answered");
        }
        assert!(self.on_their_way.len() <= 2 * limits.in_flight_max.max(2), "too many in all");
        assert_eq!(self.desk.in_flight(), self.on_their_way.len());
    }

    fn finish(&mut self, which: usize, how: How) {
        if self.on_their_way.is_empty() {
            return;
        }
        let (number, item) = self.on_their_way.swap_remove(which % self.on_their_way.len());
        let (how, next) = match how {
            How::Taken => (TAKEN, None),
            How::Dead => (REFUSED, None),
            How::Refused { again } => (REFUSED, Some(again)),
            How::Hung { again } => (HUNG, Some(again)),
            How::Paused { millis } => {
                (Finished { pause: Some(Duration::from_millis(millis.unsigned_abs())), ..REFUSED }, Some(millis))
            }
        };
        if how.answered {
            self.answered.push(number);
        }
        self.gathered.push((number, item.event, next.map(|wait| self.desk.now + wait)));
        self.desk.finish(number, item.event, how);
    }

    /// As the store: what was ended meanwhile stays so.
    fn record(&mut self, told: bool) {
        self.tell_offers();
        self.tell_outcomes();
        for outcome in std::mem::take(&mut self.gathered) {
            let (number, event, next) = outcome;
            if let Some(row) = self.disk.get_mut(&(number, event)).filter(|row| row.due.is_some()) {
                (row.due, row.item.sends) = (next, row.item.sends + 1);
                row.item.failures += u32::from(next.is_some());
            }
            self.outcomes.push(outcome);
        }
        if told {
            self.tell_outcomes();
        }
    }

    fn requeue(&mut self, which: usize, told: bool) {
        self.tell_offers();
        let is_free = |this: &(i64, i64)| {
            let on_its_way = self.on_their_way.iter().any(|(number, item)| (*number, item.event) == *this);
            !on_its_way && !self.gathered.iter().any(|(number, event, _)| (*number, *event) == *this)
        };
        let now = self.desk.now;
        let idle = |(this, row): &(&(i64, i64), &Row)| is_free(this) && row.due.is_none_or(|due| due > now);
        let all: Vec<_> = self.disk.iter().filter(idle).map(|(this, _)| *this).collect();
        let Some(this) = which.checked_rem(all.len()).map(|place| all[place]) else { return };
        let row = self.disk.get_mut(&this).unwrap();
        if row.due.is_none() {
            (row.item.failures, row.requeued) = (0, true);
        }
        self.requeues.push((this.0, i64::from(row.due.is_none()), now));
        row.due = Some(now);
        if told {
            self.tell();
        }
    }

    fn switch(&mut self, number: i64) {
        let state = self.phases[&number];
        let next = match state {
            Phase::Open => {
                self.desk.schedule.stop(number);
                Phase::Stopped
            }
            Phase::Stopped => {
                // What is queued now is ended, also what is on its way.
                self.tell();
                self.disk.iter_mut().filter(|((other, _), _)| *other == number).for_each(|(_, row)| row.due = None);
                self.desk.schedule.emptied(number, i64::MAX, 0);
                Phase::Ended
            }
            Phase::Ended => {
                self.desk.schedule.open(opened(number), Some(self.desk.now), None, self.desk.now);
                Phase::Open
            }
        };
        self.phases.insert(number, next);
    }

    /// The first rows by due time, as the store gives them.
    fn see(&mut self, which: usize) {
        let Some(place) = which.checked_rem(self.reads.len()) else { return };
        let under_way = &mut self.reads[place];
        if under_way.seen.is_none() {
            let of_endpoint = self.disk.iter().filter(|((number, _), _)| *number == under_way.read.endpoint);
            let mut rows: Vec<_> = of_endpoint.filter_map(|(_, row)| Some(Item { due: row.due?, ..row.item.clone() })).collect();
            rows.sort_by_key(|item| (item.due, item.event));
            under_way.seen = Some(seen(&under_way.read, rows));
        }
    }

    fn serve(&mut self, which: usize, fails: bool) {
        let Some(place) = which.checked_rem(self.reads.len()) else { return };
        self.see(place);
        let UnderWay { read, seen } = self.reads.swap_remove(place);
        match seen.filter(|_| !fails) {
            Some((rows, is_all)) => self.desk.schedule.read(read.endpoint, rows, is_all, self.desk.now),
            None => self.desk.schedule.read_failed(read.endpoint, self.desk.now),
        }
    }

    /// The writer tells of what it wrote before it writes anything else.
    fn tell_offers(&mut self) {
        for (number, item) in std::mem::take(&mut self.offers) {
            self.desk.offer(number, item);
        }
    }

    fn tell_outcomes(&mut self) {
        for (number, event, next) in std::mem::take(&mut self.outcomes) {
            self.desk.schedule.settled(number, event, next, self.desk.now);
        }
    }

    fn tell_requeues(&mut self) {
        for (number, count, due) in std::mem::take(&mut self.requeues) {
            self.desk.schedule.requeued(number, count, due, self.desk.now);
        }
    }

    /// What was queued anew is told before the outcomes: that is the order that could lose it.
    fn tell(&mut self) {
        self.tell_offers();
        self.tell_requeues();
        self.tell_outcomes();
    }

    fn is_queued(&self) -> bool {
        self.disk.values().any(|row| row.due.is_some())
    }

    /// Does all that there is to do, then lets time pass until there is more, until every delivery has ended.
    fn end(&mut self) {
        for number in 1..=ENDPOINTS {
            while self.phases[&number] != Phase::Open {
                self.switch(number);
            }
        }
        let mut is_idle = false;
        while self.is_queued() || !self.on_their_way.is_empty() || !self.gathered.is_empty() {
            let mut did = false;
            while self.send(true) {
                did = true;
            }
            while !self.reads.is_empty() {
                self.serve(0, false);
                did = true;
            }
            while !self.on_their_way.is_empty() {
                self.finish(0, How::Taken);
                did = true;
            }
            did |= !(self.gathered.is_empty() && self.outcomes.is_empty() && self.requeues.is_empty() && self.offers.is_empty());
            self.record(false);
            self.tell();
            if !did {
                let next = self.desk.schedule.next_wake();
                let wakes = next.is_some_and(|next| next > self.desk.now || !is_idle);
                assert!(wakes, "at {} nobody is woken for {:?}", self.desk.now, self.disk);
                self.desk.pass((next.unwrap_or(0) - self.desk.now).max(0));
            }
            is_idle = !did;
        }
        self.tell();
        // Those whose turn was still to come find nothing.
        while self.send(true) || !self.reads.is_empty() {
            self.serve(0, false);
        }
    }

    /// Of what has ended nothing is counted or held any more.
    fn check_rest(&self) {
        let schedule = &self.desk.schedule;
        for number in 1..=ENDPOINTS {
            assert_eq!(schedule.queued(number), 0, "{number}");
        }
        assert_eq!((schedule.totals(), schedule.window_bytes, schedule.shares.len()), ((0, 0), 0, 0));
        assert!(schedule.answering.in_flight + schedule.slow.in_flight == 0 && schedule.by_age.is_empty());
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_repeated_or_beyond_its_limit_whatever_comes_between(
        limits in some_limits(),
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let mut model = Model::new(limits);
        for step in steps {
            model.run(step);
        }
        model.end();
        model.check_rest();
    }
}
