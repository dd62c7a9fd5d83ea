//! Takes events, sends them when they are due, and records what became of them.
//!
//! One task keeps time and hands out turns; each turn is a task of its own, which goes on with the next turn when it ends; one task
//! writes outcomes to disk, a batch at a time. What is on its way stands in memory alone: after a crash it is due again.

mod turns; // whose turn it is, and what is done with it
mod attempt; // one request, judged
mod record; // outcomes → disk
mod standing; // how the receivers behind callback URLs are
mod subscriptions; // made, changed, taken away
mod signing_keys; // what applications' deliveries are signed with
mod show; // a subscription for those who ask
mod take; // events → who is told
mod replay; // deliveries queued anew
mod log; // attempts and deliveries for those who ask
mod accounts; // which customer a vendor's id is
mod purge; // what is kept of a customer, or of one negotiator, goes

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use catalogues::{CatalogueError, Catalogues};
use clock::Clock;
use ipnet::IpNet;
use jiff::Timestamp;
use protocol::id::{ClientId, CustomerId, EventId};
use store::Store;
use store::documents::{Kind, readable};
use store::error::StoreError;
use store::webhooks::{DeliveryState, EndpointQueue};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::book::{Book, Endpoint, Grants};
use crate::event::TopicEvent;
use crate::guard::Guard;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::profile::PROFILES;
use crate::schedule::{Schedule, SendLimits};
use crate::seal::{KeyError, Sealer, Unopened};
use crate::sender::{self, Sender, SenderError};
use crate::sign::AppKey;

pub use self::attempt::Pinged;
pub use self::log::{Attempts, AttemptsQuery, Delivery, DeliveryId, Retried};
pub use self::purge::PurgedEvents;
pub use self::replay::{Replay, ReplayRequest, Which};
pub use self::show::Shown;
pub use self::subscriptions::{ChangeError, GRACE_MAX, Given, Headers, Owner};
pub use self::take::OwnEvent;

/// How long a wait for time to pass is at most: by then a jump of the wall clock is seen.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long after a failed write or read it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// While so many outcomes wait for the disk nothing new is sent.
const OUTCOMES_MAX: usize = 8192;

/// How deliveries are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How much is on its way at once.
    pub limits: SendLimits,
    /// How receivers are reached.
    pub sender: sender::Config,
    /// Networks that are not public and may be sent to all the same.
    pub egress_allow: Vec<IpNet>,
    /// Ports that may be sent to; all where there are none. Default 443.
    pub ports: Vec<u16>,
    /// Whether receivers on this machine are allowed, and every application may everything: development.
    pub dev: bool,
    /// For how long events, deliveries and attempts are kept. Default 7 days.
    pub keep_age: Duration,
    /// Deliveries queued for one endpoint; beyond it events are recorded as suppressed. Default 1,000,000.
    pub queue_max: i64,
    /// Subscriptions of one application, and in all. Default 100 and 10,000.
    pub subscriptions_max: (usize, usize),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: SendLimits::default(),
            sender: sender::Config::default(),
            egress_allow: Vec::new(),
            ports: vec![443],
            dev: false,
            keep_age: Duration::from_secs(7 * 24 * 3600),
            queue_max: 1_000_000,
            subscriptions_max: (100, 10_000),
        }
    }
}

/// Why deliveries cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The catalogues of this build are broken.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A profile of this build is broken.
    #[error("the profile {0} of this build has statuses that are in no class, or in two")]
    Profile(&'static str),
    /// No key to seal secrets with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Receivers cannot be reached.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// The store cannot be read.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
    /// A subscription's secrets were sealed with another key.
    #[error("{0}: its secrets cannot be opened: is the key file the one that they were sealed with?")]
    Sealed(String),
}

/// Deliveries of one node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    clock: Clock,
    store: Store,
    catalogues: Arc<Catalogues>,
    grants: Grants,
    sealer: Sealer,
    sender: Sender,
    metrics: Metrics,
    // Guards the turns; nothing is awaited or called inside.
    schedule: Mutex<Schedule>,
    // Replaced as a whole; held for a look-up.
    book: RwLock<Arc<Book>>,
    // Guards the health of callback URLs that have failed; held for a look-up or a change.
    health: Mutex<HashMap<String, Health>>,
    signing_keys: RwLock<HashMap<ClientId, Arc<AppKey>>>,
    outcomes: Mutex<record::Gathered>,
    replays: Mutex<HashMap<String, Replay>>,
    accounts: RwLock<BTreeMap<String, CustomerId>>,
    /// Only one change by a vendor's contract at a time: it looks at what there is before it changes it.
    by_contract: tokio::sync::Mutex<()>,
    /// Only one change of subscriptions at a time.
    changes: tokio::sync::Mutex<()>,
    /// The last number that an attempt was given.
    numbers: AtomicI64,
    /// The last number that an endpoint was given.
    endpoints: AtomicI64,
    /// The last time that a new delivery was due at: the order of the events is the order of their due times.
    last_due: AtomicI64,
    gathered: Notify,
    woken: Notify,
    /// Attempts, and what ends queues: the shutdown waits for them.
    tasks: TaskTracker,
    /// Drivers of connections, which end when their connections do.
    connections: TaskTracker,
    /// For what begins on the writer's thread.
    runtime: Handle,
    stop: CancellationToken,
}

impl Engine {
    /// Reads subscriptions and queues. Nothing is sent before [`Engine::run`]. `key_file` is made where it is missing.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn open(
        config: Config,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        key_file: &Path,
    ) -> Result<Self, EngineError> {
        if let Some(profile) = PROFILES.iter().find(|profile| !profile.ambiguous().is_empty()) {
            return Err(EngineError::Profile(profile.name));
        }
        let catalogues = Arc::new(Catalogues::load()?);
        let grants = Grants { store: store.clone(), catalogues: catalogues.clone(), everything: config.dev };
        let connections = TaskTracker::new();
        let guard = Guard::new(config.egress_allow.clone(), config.dev);
        let sender = Sender::new(&config.sender, guard, clock.clone(), connections.clone())?;
        let shared = Shared {
            schedule: Mutex::new(Schedule::new(config.limits.clone())),
            sealer: Sealer::open(key_file)?,
            config,
            clock,
            store,
            catalogues,
            grants,
            sender,
            metrics,
            book: RwLock::default(),
            health: Mutex::default(),
            signing_keys: RwLock::default(),
            outcomes: Mutex::default(),
            replays: Mutex::default(),
            accounts: RwLock::default(),
            by_contract: tokio::sync::Mutex::new(()),
            changes: tokio::sync::Mutex::new(()),
            numbers: AtomicI64::new(0),
            endpoints: AtomicI64::new(0),
            last_due: AtomicI64::new(0),
            gathered: Notify::new(),
            woken: Notify::new(),
            tasks: TaskTracker::new(),
            connections,
            runtime: Handle::current(),
            stop: CancellationToken::new(),
        };
        let engine = Self { shared: Arc::new(shared) };
        engine.load().await?;
        Ok(engine)
    }

    /// Which addresses may be sent to.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        self.shared.sender.guard()
    }

    /// The topics there are.
    #[must_use]
    pub fn catalogues(&self) -> &Catalogues {
        &self.shared.catalogues
    }

    /// Sends until [`Engine::stop`] is called.
    pub async fn run(self) {
        let recorder = self.shared.tasks.spawn(self.clone().record());
        self.resume_replays();
        self.end_queues();
        while !self.shared.stop.is_cancelled() {
            let now = self.now();
            self.lock().wake(now.as_millisecond());
            self.pump();
            let wait = self.until_next_wake();
            // Cancel safety: who loses is asked again.
            tokio::select! {
                () = self.shared.woken.notified() => {}
                () = self.shared.clock.wait(wait) => {}
                () = self.shared.stop.cancelled() => {}
            }
        }
        drop(recorder.await);
    }

    /// Begins no more, and waits for the attempts that are on their way. What became of them is then to be [flushed](Engine::flush).
    ///
    /// Cancel safety: what is not waited for is sent again after the next start.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.sender.close();
        self.shared.connections.close();
    }

    /// What is to be done now and then: time passes for callback URLs that fail, idle connections end, what is old goes.
    pub async fn housekeep(&self) {
        self.shared.sender.sweep();
        self.pass_health().await;
        let before = self.now().checked_sub(self.shared.config.keep_age).unwrap_or(Timestamp::MIN);
        while matches!(self.shared.store.sweep_webhooks(before).await, Ok(true)) {}
    }

    /// Brings the gauges up to date, for who is about to read them.
    pub fn measure(&self) {
        let (queued, in_flight) = self.lock().totals();
        self.shared.metrics.queued.set(queued);
        self.shared.metrics.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        self.shared.metrics.outcomes.set(i64::try_from(self.outcomes_waiting()).unwrap_or(i64::MAX));
    }

    /// How many deliveries are queued, and how many requests are on their way.
    #[must_use]
    pub fn totals(&self) -> (i64, usize) {
        self.lock().totals()
    }

    async fn load(&self) -> Result<(), EngineError> {
        let store = &self.shared.store;
        for (application, text) in store.documents(Kind::SigningKey).await? {
            self.load_signing_key(&application, &text)
                .map_err(|Unopened| EngineError::Sealed(format!("signing key of {application}")))?;
        }
        for (id, text) in store.documents(Kind::Health).await? {
            if let Some(health) = readable(Kind::Health, &id, serde_json::from_str(&text)) {
                self.health().insert(id, health);
            }
        }
        self.load_subscriptions(store.documents(Kind::Subscription).await?)?;
        self.forget_all_unused().await?;
        self.load_accounts().await?;
        self.load_replays(store.documents(Kind::Replay).await?);
        let queues = store.queues().await?;
        let newest = queues.iter().map(|queue| queue.newest_attempt).max().unwrap_or(0);
        self.shared.numbers.store(newest, Ordering::Release);
        let last = queues.iter().map(|queue| queue.endpoint).max().unwrap_or(0);
        self.shared.endpoints.fetch_max(last, Ordering::AcqRel);
        self.open_queues(&queues);
        Ok(())
    }

    fn open_queues(&self, queues: &[EndpointQueue]) {
        let by_number: HashMap<_, _> = queues.iter().map(|queue| (queue.endpoint, queue)).collect();
        let now = self.now().as_millisecond();
        let book = self.book();
        for endpoint in book.endpoints() {
            let queue = by_number.get(&endpoint.subscription.number);
            let first_due = queue.and_then(|queue| queue.first_due).map(Timestamp::as_millisecond);
            self.lock().open(endpoint.clone(), first_due, queue.map(|queue| queue.queued), now);
            if !endpoint.is_open() {
                self.lock().stop(endpoint.subscription.number);
            }
        }
    }

    /// Ends what is queued for endpoints that take nothing any more: a run before this one may have been cut off while doing so.
    fn end_queues(&self) {
        let book = self.book();
        for endpoint in book.endpoints().filter(|endpoint| !endpoint.is_open()) {
            let is_deleted = endpoint.subscription.deleted.is_some();
            self.end_queue(endpoint, if is_deleted { DeliveryState::Cancelled } else { DeliveryState::Suppressed });
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.shared.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, HashMap<String, Health>> {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcomes(&self) -> MutexGuard<'_, record::Gathered> {
        self.shared.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replays(&self) -> MutexGuard<'_, HashMap<String, Replay>> {
        self.shared.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that an application's deliveries are signed with.
    fn app_key(&self, application: &ClientId) -> Option<Arc<AppKey>> {
        self.shared.signing_keys.read().unwrap_or_else(PoisonError::into_inner).get(application).cloned()
    }

    fn book(&self) -> Arc<Book> {
        self.shared.book.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An id that was never used before.
    fn new_id(&self) -> EventId {
        let mut random = [0; 10];
        let _the_time_is_left = aws_lc_rs::rand::fill(&mut random);
        EventId::new(u64::try_from(self.now().as_millisecond()).unwrap_or(0), random)
    }

    /// The one application that an event concerns; none where its topic is for all.
    fn concerned(&self, event: &TopicEvent<'_>) -> Option<String> {
        self.shared.catalogues.topic(&event.topic)?.concerned(event.new.or(event.data))
    }

    fn find(&self, id: &str) -> Option<Arc<Endpoint>> {
        self.book().find(id).filter(|endpoint| endpoint.subscription.deleted.is_none()).cloned()
    }
}
