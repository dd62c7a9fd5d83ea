//! A telephony provider: calls that ring, are answered, end or are missed, at a fixed rate of events. What is not answered 202 is
//! posted again, with the same key, as the contract asks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use client::api::Api;
use http_body_util::Full;
use hyper::Request;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::line::{State, call_id};
use crate::people::{Negotiator, People};

/// For how long a post is tried again.
const TRIES: Duration = Duration::from_secs(30);
/// How many posts are under way at once.
const UNDER_WAY_MAX: usize = 256;
const CONNECTIONS: usize = 32;

/// An event that the broker took, or did not.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) call: u64,
    pub(crate) state: State,
    pub(crate) targets: Arc<Vec<Negotiator>>,
    /// In milliseconds of Unix time: before the first try, and when 202 came; `None` where it never came.
    pub(crate) from: i64,
    pub(crate) taken: Option<i64>,
    pub(crate) tries: u32,
}

/// What is still to happen to a call.
#[derive(Debug)]
struct Course {
    targets: Arc<Vec<Negotiator>>,
    answered: bool,
    last: Option<State>,
}

#[derive(Debug)]
struct Due {
    call: u64,
    state: State,
}

pub(crate) struct Provider {
    people: People,
    doors: Arc<Vec<Mutex<Api>>>,
    token: String,
    courses: HashMap<u64, Course>,
    due: BinaryHeap<Reverse<(Instant, u64, State)>>,
    calls: u64,
}

impl Provider {
    pub(crate) fn new(node: &str, token: String, people: People) -> Self {
        let doors = (0..CONNECTIONS).map(|_| Mutex::new(Api::new(node))).collect();
        Self { people, doors: Arc::new(doors), token, courses: HashMap::new(), due: BinaryHeap::new(), calls: 0 }
    }

    /// Posts `rate` events a second for `length`, then what is left of the calls that have begun.
    pub(crate) async fn run(mut self, rate: f64, length: Duration, ledger: mpsc::Sender<Posted>) -> Result<()> {
        let end = Instant::now() + length;
        let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut under_way = JoinSet::new();
        while Instant::now() < end || !self.due.is_empty() || !under_way.is_empty() {
            let room = under_way.len() < UNDER_WAY_MAX;
            tokio::select! {
                Some(done) = under_way.join_next() => {
                    let posted: Posted = done?;
                    self.plan_next(&posted);
                    ledger.send(posted).await?;
                }
                _ = ticks.tick(), if room => {
                    if let Some(due) = self.next_due(Instant::now() < end)
                        && let Some(course) = self.courses.get(&due.call)
                    {
                        let post = post(self.doors.clone(), self.token.clone(), due.call, due.state, course.targets.clone());
                        under_way.spawn(post);
                    }
                }
            }
        }
        Ok(())
    }

    /// What is due of the calls that have begun, else a new call.
    fn next_due(&mut self, new: bool) -> Option<Due> {
        if self.due.peek().is_some_and(|Reverse((at, ..))| *at <= Instant::now()) {
            return self.due.pop().map(|Reverse((_, call, state))| Due { call, state });
        }
        new.then(|| {
            self.calls += 1;
            let callee = Negotiator(rand::random_range(0..self.people.negotiators()));
            let group = match rand::random_range(0..20) {
                0..14 => 1,
                14..19 => 3,
                _ => 10,
            };
            let (answered, last) = match rand::random_range(0..20) {
                0..15 => (true, Some(State::Ended)),
                15..17 => (false, Some(State::Ended)),
                17..19 => (false, Some(State::Missed)),
                // Nobody says that it stopped ringing.
                _ => (false, None),
            };
            let course = Course { targets: Arc::new(self.people.group(callee, group)), answered, last };
            self.courses.insert(self.calls, course);
            Due { call: self.calls, state: State::Incoming }
        })
    }

    fn plan_next(&mut self, posted: &Posted) {
        let Some(course) = self.courses.get_mut(&posted.call) else { return };
        let next = if std::mem::take(&mut course.answered) { Some(State::Answered) } else { course.last.take() };
        match next {
            Some(state) => {
                let wait = Duration::from_secs_f64(rand::random_range(2.0..10.0));
                self.due.push(Reverse((Instant::now() + wait, posted.call, state)));
            }
            None => drop(self.courses.remove(&posted.call)),
        }
    }
}

async fn post(doors: Arc<Vec<Mutex<Api>>>, token: String, call: u64, state: State, targets: Arc<Vec<Negotiator>>) -> Posted {
    let (from, started) = (Timestamp::now(), Instant::now());
    let body = Bytes::from(body(call, state, &targets, from));
    let customer = targets.first().map(|target| target.customer()).unwrap_or_default();
    let mut posted = Posted { call, state, targets, from: from.as_millisecond(), taken: None, tries: 0 };
    while posted.taken.is_none() && started.elapsed() < TRIES {
        posted.tries += 1;
        let door = usize::try_from(call).unwrap_or_default() % doors.len();
        if let (Some(door), Ok(request)) = (doors.get(door), request(&token, &customer, call, state, body.clone()))
            && door.lock().await.send(request).await.is_ok_and(|answer| answer.status.as_u16() == 202)
        {
            posted.taken = Some(Timestamp::now().as_millisecond());
        } else {
            sleep(Duration::from_millis(250)).await;
        }
    }
    posted
}

fn request(token: &str, customer: &str, call: u64, state: State, body: Bytes) -> Result<Request<Full<Bytes>>> {
    let request = Request::post("/notifications").header("authorization", format!("Bearer {token}"));
    let request = request.header("reapit-customer", customer).header("content-type", "application/json");
    let request = request.header("idempotency-key", format!("{}-{}", call_id(call), state.sub_type()));
    Ok(request.body(Full::from(body))?)
}

fn body(call: u64, state: State, targets: &[Negotiator], now: Timestamp) -> String {
    let mut body = json!({
        "type": "telephony", "subType": state.sub_type(), "products": ["AgencyCloud"],
        "targets": {"negotiatorId": targets.iter().map(ToString::to_string).collect::<Vec<_>>()},
        "payload": {
            "id": call_id(call), "created": now.to_string(), "callerId": "07123 456789", "destinationId": "01234 567890",
            "huntGroup": targets.len() > 1,
        },
    });
    if matches!(state, State::Answered | State::Ended)
        && let (Some(payload), Some(first)) =
            (body.get_mut("payload").and_then(|payload| payload.as_object_mut()), targets.first())
    {
        payload.insert("answeredById".to_owned(), json!(first.to_string()));
    }
    body.to_string()
}
