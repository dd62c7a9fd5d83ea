//! Turns, handed out and taken: a task goes on with the next turn when its own ends.

use std::sync::Arc;
use std::time::Duration;

use store::webhooks::{AttemptOutcome, Disposition, DueRow};

use crate::engine::{Engine, OUTCOMES_MAX, WAIT_MAX};
use crate::event::TopicEvent;
use crate::schedule::{Item, Read, Work};

impl Engine {
    /// Hands out turns until nobody can go.
    pub(super) fn pump(&self) {
        while let Some(work) = self.next_work() {
            self.shared.tasks.spawn(self.clone().work(work));
        }
    }

    fn next_work(&self) -> Option<Work> {
        if self.shared.stop.is_cancelled() || self.outcomes_waiting() >= OUTCOMES_MAX {
            return None;
        }
        let mut schedule = self.lock();
        let work = schedule.next(self.now().as_millisecond());
        let is_sooner = schedule.wakes_sooner();
        drop(schedule);
        if is_sooner {
            self.shared.woken.notify_one();
        }
        work
    }

    /// Takes one turn after the other while there are any, and hands out those that others can take meanwhile.
    async fn work(self, first: Work) {
        let mut next = Some(first);
        while let Some(work) = next {
            match work {
                Work::Attempt(endpoint, item) => self.attempt(endpoint, item).await,
                Work::Read(read) => self.read(read).await,
            }
            next = self.next_work();
            self.pump();
        }
    }

    async fn read(&self, Read { endpoint: number, rows_max, held }: Read) {
        let rows = self.shared.store.due(number, rows_max, held).await;
        let now = self.now().as_millisecond();
        match rows {
            Ok((rows, is_all)) => {
                let items = rows.into_iter().filter_map(|row| self.item(number, &row)).collect();
                self.lock().read(number, items, is_all, now);
            }
            // The store has said why.
            Err(_) => self.lock().read_failed(number, now),
        }
    }

    /// What is on disk, for the schedule. What cannot be read ends here: it would be read again and again.
    fn item(&self, endpoint: i64, row: &DueRow) -> Option<Item> {
        let DueRow { event: number, due, failures, sends, taken, document } = row;
        let event = match TopicEvent::read(document) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(event = number, endpoint, %error, "an event in the store cannot be read: its delivery is given up");
                let outcome = AttemptOutcome {
                    endpoint,
                    event: *number,
                    disposition: Disposition::Dead,
                    failures: *failures,
                    sends: *sends,
                    attempt: None,
                };
                self.gather(outcome, None);
                return None;
            }
        };
        Some(Item {
            event: *number,
            due: due.as_millisecond(),
            failures: *failures,
            sends: *sends,
            taken: taken.as_millisecond(),
            customer: event.customer,
            key: event.key.as_deref().map(Item::key_of),
            document: Arc::from(document.as_str()),
        })
    }

    pub(super) fn until_next_wake(&self) -> Duration {
        let next = self.lock().await_wake();
        let now = self.now().as_millisecond();
        let millis = next.map_or(u64::MAX, |next| u64::try_from(next - now).unwrap_or(0));
        Duration::from_millis(millis).min(WAIT_MAX)
    }
}
