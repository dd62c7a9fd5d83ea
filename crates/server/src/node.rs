//! What a request needs of the node. Two nodes can live in one process.
//!
//! It stands below all that is asked of it: it knows no request and no connection, and nothing here starts or stops what serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use clock::Clock;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry as Measurements;
use protocol::authorise::Identity;
use protocol::envelope::KnownProducts;
use protocol::id::EventId;
use sessions::registry::{Registry, Renew};
use store::Store;
use store::error::{OpenError, StoreError};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use webhooks::engine::{Engine, EngineError};

use crate::auth::{Authenticator, KeysError};
use crate::config::Config;
use crate::connectors::Connectors;
use crate::directories::Directories;
use crate::idempotency::Keys;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::slots::Slots;

/// How many connections operators have, beside those of the API: a flood there does not shut them out.
const OPERATOR_CONNECTIONS_MAX: usize = 64;
/// The key that secrets are sealed with, in the data folder.
pub(crate) const KEY_FILE: &str = "webhooks.key";

/// All that a request can need.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) auth: Arc<Authenticator>,
    pub(crate) limits: Limits,
    pub(crate) slots: Slots,
    pub(crate) operator_slots: Slots,
    pub(crate) keys: Keys,
    pub(crate) store: Store,
    pub(crate) directories: Directories,
    pub(crate) connectors: Connectors,
    pub(crate) registry: Registry,
    pub(crate) webhooks: Engine,
    pub(crate) metrics: Metrics,
    measurements: Measurements,
    /// Those of the configuration, as events name them.
    pub(crate) products: KnownProducts,
    /// What it serves with; `None`: it does not serve, it is the folder of one that is stopped.
    pub(crate) serving: Option<Serving>,
    /// The tasks of sessions.
    pub(crate) sessions: TaskTracker,
    /// The tasks of connections, and of what is done to its end.
    pub(crate) connections: TaskTracker,
    draining: AtomicBool,
}

/// What a node serves with.
#[derive(Debug)]
pub(crate) struct Serving {
    /// When it began.
    pub(crate) started: Timestamp,
    /// How many connections the system allows.
    pub(crate) connections: usize,
    /// The published contract.
    pub(crate) openapi: Bytes,
}

/// Why there is no node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot be read.
    #[error("cannot read the store")]
    Read(#[from] StoreError),
    /// A key set cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Deliveries cannot begin.
    #[error(transparent)]
    Webhooks(#[from] EngineError),
}

impl Node {
    /// Opens the store and all that lives in it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub(crate) async fn open(config: Config, clock: Clock, serving: Option<Serving>) -> Result<Self, NodeError> {
        let mut measurements = Measurements::with_prefix("bellwire");
        let metrics = Metrics::register(&mut measurements);
        let session_metrics = sessions::metrics::Metrics::register(&mut measurements);
        let store_metrics = store::metrics::Metrics::register(&mut measurements);
        let auth = Arc::new(Authenticator::new(&config, clock.clone(), &metrics)?);
        let products = config.products.iter().collect();
        let store = Store::open(&config.folder, config.store.clone(), store_metrics)?;
        let known = store.known_idempotency_keys(clock.now()).await?;
        let keys = Keys::new(config.limits.idempotency_keys, known, clock.now(), clock.running());
        let connections = serving.as_ref().map_or(0, |serving| serving.connections);
        let registry =
            Registry::new(config.sessions.clone(), clock.clone(), session_metrics, renewal(auth.clone(), clock.clone()));
        let webhooks = open_webhooks(&config, &store, &clock, &mut measurements).await?;
        Ok(Self {
            auth,
            products,
            limits: Limits::new(&config.limits),
            slots: Slots::new(config.limits.connections.unwrap_or(connections), metrics.connections.clone()),
            operator_slots: Slots::new(OPERATOR_CONNECTIONS_MAX, metrics.operator_connections.clone()),
            keys,
            directories: Directories::load(&store).await?,
            connectors: Connectors::load(&store).await?,
            store,
            registry,
            webhooks,
            metrics,
            measurements,
            serving,
            sessions: TaskTracker::new(),
            connections: TaskTracker::new(),
            draining: AtomicBool::new(false),
            config,
            clock,
        })
    }

    /// Waits for what was begun on a node that does not serve, and gives the folder up.
    pub(crate) async fn close(&self) {
        self.drain();
        self.connections.close();
        self.connections.wait().await;
        self.webhooks.stop().await;
        self.webhooks.flush().await;
        let store = self.store.clone();
        drop(tokio::task::spawn_blocking(move || store.close()).await);
    }

    /// Whether the node takes sessions and writes.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_draining() && self.store.is_sound()
    }

    /// Takes no more sessions.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// All measurements as they are now (OpenMetrics 1.0).
    pub(crate) fn openmetrics(&self) -> Option<String> {
        self.webhooks.measure();
        self.auth.measure();
        let mut text = String::new();
        let encoded = encode(&mut text, &self.measurements);
        encoded.inspect_err(|error| tracing::error!(%error, "the measurements cannot be written")).ok()?;
        Some(text)
    }

    /// Runs a connection as a task that the shutdown waits for.
    pub(crate) fn spawn_connection(&self, task: impl Future<Output = ()> + Send + 'static, runtime: &Handle) {
        self.connections.spawn_on(task, runtime);
    }

    /// Does something to its end, even if who asked for it has gone meanwhile; `None` where it was broken off by a fault of ours.
    pub(crate) async fn to_the_end<T: Send + 'static>(&self, doing: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (told, done) = tokio::sync::oneshot::channel();
        self.connections.spawn(async move {
            // Nobody may be listening any more.
            drop(told.send(doing.await));
        });
        done.await.ok()
    }

    /// Makes an id that was never used before.
    pub(crate) fn new_id(&self) -> EventId {
        self.new_id_at(self.clock.now())
    }

    pub(crate) fn new_id_at(&self, now: Timestamp) -> EventId {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        // In one go: an array that is made by itself asks for each byte anew.
        let mut random = [0; 10];
        rand::fill(&mut random);
        EventId::new(millis, random)
    }
}

/// Says when a new token ends, if it is good and belongs to the one whose session it is. A session does not wait for keys: one that comes
/// with a new key too early is refused, and the key is there when it tries again.
fn renewal(auth: Arc<Authenticator>, clock: Clock) -> Renew {
    Arc::new(move |recipient, token| {
        let caller = auth.authenticate(token).ok()?.verified.caller;
        crate::auth::check_lasts(&caller, clock.now()).ok()?;
        let is_theirs = matches!(caller.identity, Identity::Person(other, _) if other == *recipient);
        is_theirs.then_some(caller.expires)
    })
}

async fn open_webhooks(
    config: &Config,
    store: &Store,
    clock: &Clock,
    measurements: &mut Measurements,
) -> Result<Engine, EngineError> {
    let metrics = webhooks::metrics::Metrics::register(measurements);
    let key_file = config.key_file.clone().unwrap_or_else(|| config.folder.join(KEY_FILE));
    Engine::open(config.webhooks.clone(), store.clone(), clock.clone(), metrics, &key_file).await
}
