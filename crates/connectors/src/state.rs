//! The calls of a connector: what callbacks have said so far, bounded in number and in time.
//!
//! A callback is planned first, and the plan is kept only once it was carried out: a callback that failed is sent again by its
//! vendor, and finds everything as it was.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::call::Call;
use crate::fact::{Note, Party, Reading, Serving, What};
use crate::people::People;

/// How many calls of a connector are known at once; beyond, the one that was quiet for longest is forgotten.
pub const CALLS_MAX: usize = 10_000;
/// How many queues of a connector are known.
pub const QUEUES_MAX: usize = 1_000;
/// How many people of a queue are known.
pub const MEMBERS_MAX: usize = 1_000;
/// How many callbacks are remembered to tell repeats.
pub const SEEN_MAX: usize = 20_000;
/// How many callbacks the next run is told of: those that may still be sent again.
const SAVED_SEEN_MAX: usize = 1_000;
/// How long a call is remembered after its last callback: while it is not over, and once it is.
const OPEN_MAX: Duration = Duration::from_secs(12 * 3600);
const OVER_MAX: Duration = Duration::from_secs(600);
/// How often calls to be forgotten are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What is known at one connector: calls, who serves which queue, and which callbacks came before.
#[derive(Debug, Default)]
pub struct ConnectorState {
    calls: HashMap<String, Call>,
    queues: HashMap<String, Serving>,
    seen: HashSet<[u8; 32]>,
    seen_in_order: VecDeque<[u8; 32]>,
    swept: Duration,
}

/// What a run of the node hands to the next.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SavedConnector {
    /// Each call, with how long ago something of it came last, in seconds.
    calls: Vec<(String, u64, Call)>,
    queues: Vec<Serving>,
    seen: Vec<[u8; 32]>,
}

/// What follows from a callback.
#[derive(Debug)]
pub struct Plan {
    /// What is to be done, in order.
    pub actions: Vec<Action>,
    /// What was left out, beside what the reading says.
    pub notes: Vec<Note>,
    key: [u8; 32],
    calls: Vec<(String, Call)>,
    queue: Option<Serving>,
}

impl SavedConnector {
    /// As [`ConnectorState::forget`], for calls that are saved.
    pub fn forget(&mut self, negotiator: Option<&str>) -> usize {
        let before = self.calls.len();
        self.calls.retain(|(_, _, call)| !negotiator.is_none_or(|negotiator| call.names(negotiator)));
        before - self.calls.len()
    }
}

impl ConnectorState {
    /// Returns what follows from a callback; `None` where it is a repeat of one that was kept.
    #[must_use]
    pub fn plan(&self, reading: Reading, people: People<'_>, now: Duration) -> Option<Plan> {
        if self.seen.contains(&reading.key) {
            return None;
        }
        let mut plan = Plan { actions: Vec::new(), notes: Vec::new(), key: reading.key, calls: Vec::new(), queue: reading.queue };
        for fact in &reading.facts {
            let members = match &fact.what {
                What::RingsQueue(queue, served) => self.members(queue, served, people),
                _ => Vec::new(),
            };
            if matches!(fact.what, What::RingsQueue(..)) && members.is_empty() {
                plan.notes.push(Note::EmptyQueue);
            }
            let planned = plan.calls.iter_mut().find(|(id, _)| *id == fact.call);
            let call = match planned {
                Some((_, call)) => call,
                None => {
                    let known = self.calls.get(&fact.call).cloned().unwrap_or_default();
                    &mut plan.calls.push_mut((fact.call.clone(), known)).1
                }
            };
            call.touched = now;
            plan.actions.extend(call.take(fact, &members));
        }
        Some(plan)
    }

    /// Returns who serves a queue: whom the vendor named last, and the directory's members where some of those are not known.
    fn members(&self, queue: &str, served: &[Party], people: People<'_>) -> Vec<Party> {
        let Some(serving) = self.queues.get(queue) else { return served.to_vec() };
        let named: Vec<_> = serving.users.iter().filter_map(|user| people.party(&[user])).collect();
        let known = named.iter().filter(|party| matches!(party, Party::Known(_))).cloned();
        let is_all_known = named.iter().all(|party| matches!(party, Party::Known(_)));
        let members: BTreeSet<_> = known.chain(served.iter().filter(|_| !is_all_known).cloned()).collect();
        members.into_iter().take(MEMBERS_MAX).collect()
    }

    /// Keeps a plan that was carried out.
    pub fn keep(&mut self, plan: Plan, now: Duration) {
        if now >= self.swept + SWEEP_EVERY {
            self.swept = now;
            self.calls.retain(|_, call| now < call.touched + if call.is_over() { OVER_MAX } else { OPEN_MAX });
        }
        for (id, call) in plan.calls {
            if self.calls.len() >= CALLS_MAX && !self.calls.contains_key(&id) {
                let oldest = self.calls.iter().min_by_key(|(_, call)| call.touched).map(|(id, _)| id.clone());
                oldest.and_then(|oldest| self.calls.remove(&oldest));
            }
            self.calls.insert(id, call);
        }
        if let Some(mut serving) = plan.queue {
            serving.users.truncate(MEMBERS_MAX);
            let room = self.queues.len() < QUEUES_MAX;
            match self.queues.get_mut(&serving.queue) {
                Some(known) if known.at <= serving.at => *known = serving,
                None if room => drop(self.queues.insert(serving.queue.clone(), serving)),
                Some(_) | None => {}
            }
        }
        if self.seen_in_order.len() >= SEEN_MAX
            && let Some(oldest) = self.seen_in_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        if self.seen.insert(plan.key) {
            self.seen_in_order.push_back(plan.key);
        }
    }

    /// Returns what the next run needs to know.
    #[must_use]
    pub fn save(&self, now: Duration) -> SavedConnector {
        let age = |call: &Call| now.saturating_sub(call.touched).as_secs();
        let calls = self.calls.iter().map(|(id, call)| (id.clone(), age(call), call.clone())).collect();
        let seen = self.seen_in_order.iter().rev().take(SAVED_SEEN_MAX).rev().copied().collect();
        SavedConnector { calls, queues: self.queues.values().cloned().collect(), seen }
    }

    /// Goes on from what an earlier run knew.
    #[must_use]
    pub fn restore(saved: SavedConnector, now: Duration) -> Self {
        let SavedConnector { calls, queues, seen } = saved;
        let calls = calls.into_iter().map(|(id, age, mut call)| {
            call.touched = now.saturating_sub(Duration::from_secs(age));
            (id, call)
        });
        let calls = calls.collect();
        let queues = queues.into_iter().map(|serving| (serving.queue.clone(), serving)).collect();
        Self { calls, queues, seen: seen.iter().copied().collect(), seen_in_order: seen.into(), swept: now }
    }

    /// Forgets all calls, or those that concern a negotiator, and returns how many. Repeats of their callbacks are still known.
    pub fn forget(&mut self, negotiator: Option<&str>) -> usize {
        let before = self.calls.len();
        self.calls.retain(|_, call| !negotiator.is_none_or(|negotiator| call.names(negotiator)));
        before - self.calls.len()
    }

    /// Returns how many calls are known.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }
}

#[cfg(test)]
mod tests;
