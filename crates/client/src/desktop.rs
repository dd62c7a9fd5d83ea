//! A session that comes back: it resumes, renews its token, drops repeats and follows the rule of the close codes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use crate::policy::{Advice, Next, Policy, TOKEN_REFUSED};
use crate::session::{Heard, OpenError, Session};

/// How many event ids are remembered to tell a repeat.
const SEEN_MAX: usize = 256;
/// How long a node can be silent beyond its own pings until the line is taken for broken.
const SILENCE: Duration = Duration::from_secs(15);
/// How long it can take to open a session.
const OPEN: Duration = Duration::from_secs(10);
/// The line broke, or there was none.
const BROKEN: u16 = 1006;

/// Fetches a token.
pub type FetchToken = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = String> + Send>> + Send>;

/// What a desktop learns.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A session is open; what it shows is to be made of `calls` where `resume` is not `full`.
    Welcome(Value),
    /// Something happened to a call; each event comes once, and an incomingCall only while it may pop.
    Event(Value),
    /// A call is over, or was put aside on another device.
    Sync(Value),
    /// The session ended with this code; the desktop comes back by itself.
    Away(u16),
    /// The session ended with this code, or was refused for good: nothing more will come.
    Stopped(u16),
}

/// A logged-in product.
pub struct Desktop {
    authority: String,
    device: Option<String>,
    fetch: FetchToken,
    token: Option<String>,
    cursor: Option<String>,
    seen: VecDeque<String>,
    left_out: LeftOut,
    /// How far the node's clock is ahead of ours.
    ahead: SignedDuration,
    policy: Policy,
    state: State,
}

/// What came and was not handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Events that had come before.
    pub repeats: u64,
    /// Incoming calls that came after they were to pop.
    pub expired: u64,
}

enum State {
    Away { until: Instant },
    Open(Box<Open>),
    Stopped(u16),
}

struct Open {
    session: Session,
    since: Instant,
    /// When the token is to be renewed: at 80 % of its life.
    renew: Option<Instant>,
    slot: Option<Duration>,
    /// What was handed over and is to be acknowledged before more is read.
    acknowledge: Option<String>,
}

impl std::fmt::Debug for Desktop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desktop").field("authority", &self.authority).field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Desktop {
    /// A desktop at the node at `authority`; it connects with the first call of [`Desktop::next`].
    #[must_use]
    pub fn new(authority: impl Into<String>, device: Option<String>, fetch: FetchToken) -> Self {
        Self {
            authority: authority.into(),
            device,
            fetch,
            token: None,
            cursor: None,
            seen: VecDeque::new(),
            left_out: LeftOut::default(),
            ahead: SignedDuration::ZERO,
            policy: Policy::default(),
            state: State::Away { until: Instant::now() },
        }
    }

    /// Goes on at a place that was kept from an earlier run: see [`Desktop::cursor`].
    #[must_use]
    pub fn resuming(mut self, cursor: Option<String>) -> Self {
        self.cursor = cursor;
        self
    }

    /// The place of the last event that was handed over. A program that keeps it misses nothing over its own restart.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// What came so far and was not handed over.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }

    /// Drops the line and comes back: the machine woke up, or is in another network now.
    pub fn line_broke(&mut self) {
        if let State::Open(_) = self.state {
            let _news = self.ended(BROKEN);
        }
    }

    /// Says what the person at this device did with a call: `shown` or `dismissed`. Without a line nobody is told.
    pub async fn say(&mut self, what: &str, call_id: &str) {
        if let State::Open(open) = &mut self.state {
            // A line that broke is found by the read.
            drop(open.session.send(&json!({"type": what, "callId": call_id})).await);
        }
    }

    /// Logs out.
    pub async fn close(self) {
        if let State::Open(open) = self.state {
            open.session.close().await;
        }
    }

    /// Waits for the next news. After [`News::Stopped`] there is never another.
    ///
    /// # Cancel safety
    /// Nothing is lost: what has begun to come in is kept, and a wait goes on where it was.
    pub async fn next(&mut self) -> News {
        loop {
            let news = match &mut self.state {
                State::Stopped(code) => return News::Stopped(*code),
                State::Away { until } => {
                    sleep_until(*until).await;
                    self.open().await
                }
                State::Open(open) => match open.next().await {
                    Step::Renew => self.renew().await,
                    Step::Heard(Heard::Message(message)) => self.understand(message),
                    Step::Heard(Heard::Closed { code, .. }) => Some(self.ended(code)),
                },
            };
            if let Some(news) = news {
                return news;
            }
        }
    }

    async fn open(&mut self) -> Option<News> {
        let token = match self.token.clone() {
            Some(token) => token,
            None => (self.fetch)().await,
        };
        self.token = Some(token.clone());
        let parameters = [("device", &self.device), ("resume", &self.cursor)];
        let parameters: Vec<_> =
            parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect();
        let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
        match timeout(OPEN, Session::open(&self.authority, &token, &query)).await {
            Ok(Ok(session)) => {
                let open = Open { session, since: Instant::now(), renew: None, slot: None, acknowledge: None };
                self.state = State::Open(Box::new(open));
                None
            }
            Ok(Err(error)) => Some(self.refused(&error)),
            Err(_elapsed) => Some(self.away(BROKEN, None)),
        }
    }

    /// A refused upgrade means what its close code would mean.
    fn refused(&mut self, error: &OpenError) -> News {
        let code = match error {
            OpenError::Refused { status: 401, .. } => TOKEN_REFUSED,
            OpenError::Refused { status: 403, .. } => 4003,
            OpenError::Refused { status: 429 | 503, .. } => 4100,
            OpenError::Refused { .. } => 1002,
            OpenError::Failed(_) => BROKEN,
        };
        self.away(code, None)
    }

    fn ended(&mut self, code: u16) -> News {
        let State::Open(open) = &self.state else { return News::Stopped(code) };
        let slot = open.slot;
        self.policy.was_open(open.since.elapsed());
        if code == 4203 {
            self.token = None;
        }
        self.away(code, slot)
    }

    fn away(&mut self, code: u16, slot: Option<Duration>) -> News {
        let wait = match self.policy.after(code, slot, rand::random()) {
            Next::Stop => {
                self.state = State::Stopped(code);
                return News::Stopped(code);
            }
            Next::NewToken(wait) => {
                self.token = None;
                wait
            }
            Next::ComeBack(wait) => wait,
        };
        self.state = State::Away { until: Instant::now() + wait };
        News::Away(code)
    }

    fn understand(&mut self, message: Value) -> Option<News> {
        match message.get("type").and_then(Value::as_str) {
            Some("welcome") => Some(self.welcomed(message)),
            Some("event") => self.told(message),
            Some("sync") => Some(News::Sync(message)),
            Some("goaway") => {
                if let State::Open(open) = &mut self.state {
                    open.slot = millis(message.get("reconnectInMs"));
                }
                None
            }
            Some("refreshed") => {
                self.plan_renewal(&message, Timestamp::now());
                None
            }
            Some(_) | None => None,
        }
    }

    fn welcomed(&mut self, welcome: Value) -> News {
        self.cursor = welcome.get("cursor").and_then(Value::as_str).map(str::to_owned);
        let advised = |name| millis(welcome.get("reconnect").and_then(|advice| advice.get(name)));
        let usual = Advice::default();
        self.policy.advice = Advice {
            first: advised("firstMs").unwrap_or(usual.first),
            base: advised("baseMs").unwrap_or(usual.base),
            cap: advised("capMs").unwrap_or(usual.cap),
        };
        if let State::Open(open) = &mut self.state {
            let pings = welcome.get("pingSeconds").and_then(Value::as_u64).unwrap_or(25);
            open.session.give_up_after(Duration::from_secs(pings).mul_f64(1.2) + SILENCE);
        }
        let own = Timestamp::now();
        let now = time(&welcome, "now").unwrap_or(own);
        self.ahead = now.duration_since(own);
        self.plan_renewal(&welcome, now);
        News::Welcome(welcome)
    }

    fn plan_renewal(&mut self, message: &Value, now: Timestamp) {
        let life = time(message, "tokenExpires").and_then(|expires| Duration::try_from(expires.duration_since(now)).ok());
        if let State::Open(open) = &mut self.state {
            open.renew = life.map(|life| Instant::now() + life.mul_f64(0.8));
        }
    }

    /// Keeps the place, and leaves out what came before.
    fn told(&mut self, event: Value) -> Option<News> {
        let id = event.get("id").and_then(Value::as_str)?.to_owned();
        self.cursor = Some(id.clone());
        if let State::Open(open) = &mut self.state {
            open.acknowledge = Some(id.clone());
        }
        if self.seen.contains(&id) {
            self.left_out.repeats += 1;
            return None;
        }
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
        let now = Timestamp::now().saturating_add(self.ahead).unwrap_or(Timestamp::MAX);
        if time(&event, "expires").is_some_and(|expires| now > expires) {
            self.left_out.expired += 1;
            return None;
        }
        Some(News::Event(event))
    }

    async fn renew(&mut self) -> Option<News> {
        let token = (self.fetch)().await;
        self.token = Some(token.clone());
        if let State::Open(open) = &mut self.state {
            open.renew = None;
            drop(open.session.send(&json!({"type": "refresh", "token": token})).await);
        }
        None
    }
}

enum Step {
    Heard(Heard),
    Renew,
}

impl Open {
    async fn next(&mut self) -> Step {
        // One acknowledgement covers all before it: what waits is read first, or a long resume would be too many messages.
        if let Some(heard) = self.session.next().now_or_never() {
            return Step::Heard(heard);
        }
        if let Some(id) = self.acknowledge.clone() {
            // A line that broke is found by the read.
            drop(self.session.send(&json!({"type": "ack", "id": id})).await);
            self.acknowledge = None;
        }
        let renew = self.renew;
        let due = async {
            match renew {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // Cancel safety: `Session::next` keeps a half-read message.
        tokio::select! {
            biased;
            heard = self.session.next() => Step::Heard(heard),
            () = due => Step::Renew,
        }
    }
}

fn millis(value: Option<&Value>) -> Option<Duration> {
    value.and_then(Value::as_u64).map(Duration::from_millis)
}

fn time(message: &Value, member: &str) -> Option<Timestamp> {
    message.get(member).and_then(Value::as_str).and_then(|at| at.parse().ok())
}
