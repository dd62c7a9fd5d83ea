//! One open session of a desktop: what is heard, what is acknowledged, when the token is to be renewed.

use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::Fetched;
use crate::session::{Heard, Session};

/// How often is acknowledged at most: well below the messages that a node takes in a second.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(100);

pub(super) struct LiveSession {
    session: Session,
    pub(super) since: Instant,
    /// When the session was asked for, by our clock.
    pub(super) begun: Timestamp,
    /// When the token is to be renewed: at 80 % of its life.
    pub(super) renew: Option<Instant>,
    pub(super) fetching: Option<Fetched>,
    /// When the node wants this client back, once it goes away.
    pub(super) slot: Option<Instant>,
    /// What was handed over and is to be acknowledged; one acknowledgement covers all before it.
    pub(super) acknowledge: Option<String>,
    acknowledged: Option<Instant>,
}

pub(super) enum Step {
    Heard(Heard),
    Renew,
    /// The new token, or `None` where it could not be fetched.
    Fetched(Option<String>),
}

impl LiveSession {
    pub(super) fn new(session: Session, begun: Timestamp) -> Self {
        let (renew, fetching, slot, acknowledge, acknowledged) = (None, None, None, None, None);
        Self { session, since: Instant::now(), begun, renew, fetching, slot, acknowledge, acknowledged }
    }

    pub(super) fn give_up_after(&mut self, silence: Duration) {
        self.session.give_up_after(silence);
    }

    pub(super) async fn say(&mut self, message: &Value) {
        // A line that broke is found by the read.
        drop(self.session.send(message).await);
    }

    pub(super) async fn close(self) {
        self.session.close().await;
    }

    pub(super) async fn next(&mut self) -> Step {
        loop {
            // What waits is read before anything is acknowledged.
            if let Some(heard) = self.session.next().now_or_never() {
                return Step::Heard(heard);
            }
            let due = self.acknowledged.map_or_else(Instant::now, |before| before + ACKNOWLEDGE_EVERY);
            if due <= Instant::now()
                && let Some(id) = self.acknowledge.clone()
            {
                self.say(&json!({"type": "ack", "id": id})).await;
                (self.acknowledge, self.acknowledged) = (None, Some(Instant::now()));
            }
            let due = self.acknowledge.is_some().then_some(due);
            let renew = self.renew.filter(|_| self.fetching.is_none());
            // Cancel safety: `Session::next` keeps a half-read message, the fetch stays where it is.
            tokio::select! {
                biased;
                heard = self.session.next() => return Step::Heard(heard),
                token = fetched(&mut self.fetching) => return Step::Fetched(token),
                () = reached(renew) => return Step::Renew,
                () = reached(due) => {}
            }
        }
    }
}

async fn fetched(fetching: &mut Option<Fetched>) -> Option<String> {
    let Some(fetch) = fetching else { return std::future::pending().await };
    let token = fetch.await;
    *fetching = None;
    token.ok()
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
