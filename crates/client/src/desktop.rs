//! A session that comes back: it resumes, renews its token, drops repeats and follows the rule of the close codes.

mod live; // one open session: what is heard, what is acknowledged, when the token is to be renewed

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};

use crate::address::Address;
use crate::policy::{Advice, Next, Policy, TOKEN_REFUSED};
use crate::session::{Heard, Session, SessionError};

use self::live::{LiveSession, Step};

/// How many event ids are remembered to tell a repeat.
const SEEN_MAX: usize = 256;
/// How long a node can be silent beyond its own pings until the line is taken for broken.
const SILENCE: Duration = Duration::from_secs(15);
/// How long it can take to fetch a token and open a session.
const OPEN: Duration = Duration::from_secs(10);
/// How long it can take to log out.
const CLOSE: Duration = Duration::from_secs(1);
/// When a token that could not be fetched is asked for again.
const FETCH_AGAIN: Duration = Duration::from_secs(10);
/// The line broke, or there was none.
const BROKEN: u16 = 1006;

/// A token on its way, or why there is none.
pub type Fetched = Pin<Box<dyn Future<Output = Result<String, Box<dyn std::error::Error + Send + Sync>>> + Send>>;
/// Fetches a token.
pub type FetchToken = Box<dyn FnMut() -> Fetched + Send>;

/// Fetches the same token again and again.
#[must_use]
pub fn fixed(token: String) -> FetchToken {
    Box::new(move || Box::pin(std::future::ready(Ok(token.clone()))))
}

/// What a desktop learns.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A session is open; what it shows is to be made of `calls` where `resume` is not `full`.
    Welcome(Value),
    /// Something happened to a call; each event comes once.
    Event(Value),
    /// A telephone rang, and has stopped ringing by now: not to pop.
    Expired(Value),
    /// A call is over, or was put aside on another device.
    Sync(Value),
    /// The session ended with this code; the desktop comes back by itself.
    Away(u16),
    /// The session ended with this code, or was refused for good: nothing more will come.
    Stopped(u16),
}

/// A logged-in product.
pub struct Desktop {
    address: Address,
    device: Option<String>,
    fetch: FetchToken,
    token: Option<String>,
    cursor: Option<String>,
    seen: VecDeque<String>,
    repeats: u64,
    /// How far the node's clock is ahead of ours, at the most: what came late must not look fresh.
    ahead: SignedDuration,
    policy: Policy,
    state: DesktopState,
}

enum DesktopState {
    Away { until: Instant },
    Opening(Pin<Box<dyn Future<Output = Result<Opened, Unopened>> + Send>>),
    Open(Box<LiveSession>),
    Stopped(u16),
}

struct Opened {
    session: Session,
    token: String,
    begun: Timestamp,
}

enum Unopened {
    Refused(SessionError),
    /// There is no token, or it took too long.
    Failed,
}

impl std::fmt::Debug for Desktop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desktop")
            .field("address", &self.address.authority())
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Desktop {
    /// A desktop at the node at `address`; it connects with the first call of [`Desktop::next`].
    #[must_use]
    pub fn new(address: impl Into<Address>, device: Option<String>, fetch: FetchToken) -> Self {
        Self {
            address: address.into(),
            device,
            fetch,
            token: None,
            cursor: None,
            seen: VecDeque::new(),
            repeats: 0,
            ahead: SignedDuration::ZERO,
            policy: Policy::default(),
            state: DesktopState::Away { until: Instant::now() },
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

    /// How many events came that had come before.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Drops the line and comes back: the machine woke up, or is in another network now.
    pub fn line_broke(&mut self) {
        if let DesktopState::Open(_) = self.state {
            let _news = self.ended(BROKEN);
        }
    }

    /// Says what the person at this device did with a call: `shown` or `dismissed`. Without a line nobody is told.
    pub async fn say(&mut self, what: &str, call_id: &str) {
        if let DesktopState::Open(line) = &mut self.state {
            line.say(&json!({"type": what, "callId": call_id})).await;
        }
    }

    /// Logs out; takes at most a second.
    pub async fn close(self) {
        if let DesktopState::Open(line) = self.state {
            let _late = timeout(CLOSE, line.close()).await;
        }
    }

    /// Waits for the next news. After [`News::Stopped`] there is never another.
    ///
    /// # Cancel safety
    /// Nothing is lost: what has begun to come in is kept, and a wait or an opening goes on where it was.
    pub async fn next(&mut self) -> News {
        loop {
            let news = match &mut self.state {
                DesktopState::Stopped(code) => return News::Stopped(*code),
                DesktopState::Away { until } => {
                    sleep_until(*until).await;
                    self.begin();
                    None
                }
                DesktopState::Opening(opening) => match opening.await {
                    Ok(opened) => self.opened(opened),
                    Err(Unopened::Refused(error)) => Some(self.refused(&error)),
                    Err(Unopened::Failed) => Some(self.away(BROKEN, None)),
                },
                DesktopState::Open(line) => match line.next().await {
                    Step::Renew => {
                        line.fetching = Some((self.fetch)());
                        None
                    }
                    Step::Fetched(token) => self.renew(token).await,
                    Step::Heard(Heard::Message(message)) => self.understand(message),
                    Step::Heard(Heard::Closed { code, .. }) => Some(self.ended(code)),
                },
            };
            if let Some(news) = news {
                return news;
            }
        }
    }

    fn begin(&mut self) {
        let token = match self.token.clone() {
            Some(token) => Box::pin(std::future::ready(Ok(token))),
            None => (self.fetch)(),
        };
        let (address, query) = (self.address.clone(), self.query());
        let opening = async move {
            let token = token.await.map_err(|_no_token| Unopened::Failed)?;
            let begun = Timestamp::now();
            let session = Session::open(address, &token, &query).await.map_err(Unopened::Refused)?;
            Ok(Opened { session, token, begun })
        };
        self.state = DesktopState::Opening(Box::pin(async { timeout(OPEN, opening).await.unwrap_or(Err(Unopened::Failed)) }));
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("device", &self.device), ("resume", &self.cursor)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    fn opened(&mut self, Opened { session, token, begun }: Opened) -> Option<News> {
        self.token = Some(token);
        self.state = DesktopState::Open(Box::new(LiveSession::new(session, begun)));
        None
    }

    /// A refused upgrade means what its close code would mean.
    fn refused(&mut self, error: &SessionError) -> News {
        let code = match error {
            SessionError::Refused { status: 401, .. } => TOKEN_REFUSED,
            SessionError::Refused { status: 403, .. } => 4003,
            SessionError::Refused { status: 429 | 503, .. } => 4100,
            // A proxy's word while the node restarts, or a fault that will be mended: never a reason to stay away.
            SessionError::Refused { status: 408 | 500.., .. } => 1011,
            SessionError::Refused { .. } => 1002,
            SessionError::Failed(_) => BROKEN,
        };
        self.away(code, None)
    }

    fn ended(&mut self, code: u16) -> News {
        let DesktopState::Open(line) = &self.state else { return News::Stopped(code) };
        let slot = line.slot.map(|slot| slot.saturating_duration_since(Instant::now()));
        self.policy.was_open(line.since.elapsed());
        if code == 4203 {
            self.token = None;
        }
        self.away(code, slot)
    }

    fn away(&mut self, code: u16, slot: Option<Duration>) -> News {
        let wait = match self.policy.after(code, slot, rand::random()) {
            Next::Stop => {
                self.state = DesktopState::Stopped(code);
                return News::Stopped(code);
            }
            Next::NewToken(wait) => {
                self.token = None;
                wait
            }
            Next::ComeBack(wait) => wait,
        };
        self.state = DesktopState::Away { until: Instant::now() + wait };
        News::Away(code)
    }

    fn understand(&mut self, message: Value) -> Option<News> {
        match message.get("type").and_then(Value::as_str) {
            Some("welcome") => Some(self.welcomed(message)),
            Some("event") => self.told(message),
            Some("sync") => Some(News::Sync(message)),
            Some("goaway") => {
                if let DesktopState::Open(line) = &mut self.state {
                    line.slot = millis(message.get("reconnectInMs")).map(|slot| Instant::now() + slot);
                }
                None
            }
            Some("refreshed") => {
                self.plan_renewal(&message, self.node_time());
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
        if let DesktopState::Open(line) = &mut self.state {
            let pings = welcome.get("pingSeconds").and_then(Value::as_u64).unwrap_or(25);
            line.give_up_after(Duration::from_secs(pings).mul_f64(1.2) + SILENCE);
            // The welcome was written after the session was asked for, and may have waited for us to read it.
            self.ahead = time(&welcome, "now").map(|now| now.duration_since(line.begun)).unwrap_or_default();
        }
        self.plan_renewal(&welcome, self.node_time());
        News::Welcome(welcome)
    }

    /// What the node's clock shows by now, at the most.
    fn node_time(&self) -> Timestamp {
        Timestamp::now().saturating_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    fn plan_renewal(&mut self, message: &Value, now: Timestamp) {
        let life = time(message, "tokenExpires").and_then(|expires| Duration::try_from(expires.duration_since(now)).ok());
        if let DesktopState::Open(line) = &mut self.state {
            line.renew = life.map(|life| Instant::now() + life.mul_f64(0.8));
        }
    }

    /// Keeps the place, and leaves out what came before; tells what is too late to pop.
    fn told(&mut self, event: Value) -> Option<News> {
        let id = event.get("id").and_then(Value::as_str)?.to_owned();
        self.cursor = Some(id.clone());
        if let DesktopState::Open(line) = &mut self.state {
            line.acknowledge = Some(id.clone());
        }
        if self.seen.contains(&id) {
            self.repeats += 1;
            return None;
        }
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
        let is_over = time(&event, "expires").is_some_and(|expires| self.node_time() > expires);
        Some(if is_over { News::Expired(event) } else { News::Event(event) })
    }

    async fn renew(&mut self, token: Option<String>) -> Option<News> {
        let DesktopState::Open(line) = &mut self.state else { return None };
        line.renew = token.is_none().then(|| Instant::now() + FETCH_AGAIN);
        if let Some(token) = token {
            line.say(&json!({"type": "refresh", "token": token})).await;
            self.token = Some(token);
        }
        None
    }
}

fn millis(value: Option<&Value>) -> Option<Duration> {
    value.and_then(Value::as_u64).map(Duration::from_millis)
}

fn time(message: &Value, member: &str) -> Option<Timestamp> {
    message.get(member).and_then(Value::as_str).and_then(|at| at.parse().ok())
}
