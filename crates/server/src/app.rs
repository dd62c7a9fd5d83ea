//! What a node is made of, how it starts, and how it stops: read [`App::run`] top to bottom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clock::Clock;
use futures::FutureExt;
use futures::future::select_all;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry as Measurements;
use protocol::authorise::Identity;
use protocol::close::CloseCode;
use protocol::envelope::KnownProducts;
use protocol::id::{ConnectorId, EventId};
use sessions::registry::{Registry, Renew};
use store::Store;
use store::error::{OpenError, StoreError};
use store::resume::Handover;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webhooks::engine::{Engine, EngineError};

use crate::api::openapi;
use crate::auth::{Authenticator, KeysError};
use crate::config::Config;
use crate::connectors::Connectors;
use crate::directories::Directories;
use crate::idempotency::Keys;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::net;
use crate::net::connection::Slots;
use crate::net::listener::{ListenError, Listener};
use crate::workers::Workers;

/// How often what is old is let go.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(30);
/// How many connections operators have, beside those of the API: a flood there does not shut them out.
const OPERATOR_CONNECTIONS_MAX: usize = 64;
/// The grace of a shutdown in parts: one each is kept for requests in flight and for the store, the sessions have the rest.
const PARTS: u32 = 8;
/// The key that secrets are sealed with, in the data folder.
pub(crate) const KEY_FILE: &str = "webhooks.key";
/// Descriptors that are not for connections: files, listeners, what the runtime needs.
const DESCRIPTORS_KEPT: usize = 256;

/// A node, bound to its addresses, not yet serving.
#[derive(Debug)]
pub struct App {
    node: Arc<Node>,
    api: Listener,
    ops: Listener,
    workers: Arc<Workers>,
}

/// All that a request can need. Two nodes can live in one process.
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
    pub(crate) measurements: Measurements,
    /// Those of the configuration, as events name them.
    pub(crate) products: KnownProducts,
    pub(crate) openapi: bytes::Bytes,
    pub(crate) sessions: TaskTracker,
    connections: TaskTracker,
    draining: AtomicBool,
    /// When it began to serve; `None`: it does not, it is the folder of one that is stopped.
    pub(crate) started: Option<Timestamp>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody can come in.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There are no threads to serve connections.
    #[error("cannot start the threads that serve connections")]
    Threads(#[source] std::io::Error),
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
    /// The published contract is broken: a fault of the build.
    #[error("the OpenAPI document of this build is unreadable: {0}")]
    OpenApi(String),
}

/// A task that serves everybody has ended by a fault of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that serves everybody has ended by a panic, which stands in the log")]
pub struct Broken;

impl Node {
    /// Opens the store and all that lives in it. `started`: when it began to serve, where it does.
    pub(crate) async fn open(config: Config, clock: Clock, started: Option<Timestamp>) -> Result<Self, StartError> {
        let mut measurements = Measurements::with_prefix("bellwire");
        let metrics = Metrics::register(&mut measurements);
        let session_metrics = sessions::metrics::Metrics::register(&mut measurements);
        let store_metrics = store::metrics::Metrics::register(&mut measurements);
        let auth = Arc::new(Authenticator::new(&config, clock.clone(), &metrics)?);
        let openapi = openapi::published(&config.products).map_err(StartError::OpenApi)?;
        let products = config.products.iter().collect();
        let store = Store::open(&config.folder, config.store.clone(), store_metrics)?;
        let known_keys = store.known_keys(clock.now()).await?;
        let keys = Keys::new(config.limits.idempotency_keys, known_keys, clock.now(), clock.running());
        let registry =
            Registry::new(config.sessions.clone(), clock.clone(), session_metrics, renewal(auth.clone(), clock.clone()));
        let webhooks = open_webhooks(&config, &store, &clock, &mut measurements).await?;
        let connectors = Connectors::load(&store).await?;
        let descriptors = raise_descriptor_limit();
        Ok(Self {
            auth,
            products,
            limits: Limits::new(&config.limits),
            slots: Slots::new(config.limits.connections.unwrap_or(descriptors), metrics.connections.clone()),
            operator_slots: Slots::new(OPERATOR_CONNECTIONS_MAX, metrics.operator_connections.clone()),
            keys,
            directories: Directories::load(&store).await?,
            connectors,
            store,
            registry,
            webhooks,
            metrics,
            measurements,
            openapi,
            sessions: TaskTracker::new(),
            connections: TaskTracker::new(),
            draining: AtomicBool::new(false),
            started,
            config,
            clock,
        })
    }

    /// Waits for what was begun on a node that does not serve, and gives the folder up.
    pub(crate) async fn close(&self) {
        self.draining.store(true, Ordering::Release);
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

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// All measurements as they are now (OpenMetrics 1.0).
    pub(crate) fn openmetrics(&self) -> Option<String> {
        self.webhooks.measure();
        self.auth.measure();
        let mut text = String::new();
        encode(&mut text, &self.measurements).ok()?;
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
        EventId::new(millis, rand::random())
    }
}

impl App {
    /// Opens the store and listens; nothing is accepted before [`App::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(config: Config, clock: Clock) -> Result<Self, StartError> {
        let (api, ops) = Listener::bind_both(&config)?;
        let started = Some(clock.now());
        let node = Node::open(config, clock, started).await?;
        take_up(&node.registry, &node.connectors, node.clock.running(), node.store.take_handover().await?);
        let workers = Arc::new(Workers::start().map_err(StartError::Threads)?);
        Ok(Self { node: Arc::new(node), api, ops, workers })
    }

    /// Where the API and the operators' listener are.
    ///
    /// # Errors
    /// What the system says when a listener has no address.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.api.address()?, self.ops.address()?))
    }

    /// Serves until `shutdown` is done, then ends within `shutdown.grace`: sessions are closed while notifications are still
    /// taken, then nothing is accepted any more, requests are finished, and the store is flushed.
    ///
    /// # Errors
    /// [`Broken`], after the same shutdown, where it did not serve until then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Broken> {
        let Self { node, api, ops, workers } = self;
        let (next, stop, core) = (workers.clone(), CancellationToken::new(), TaskTracker::new());
        let certificates = [api.caretaker(), ops.caretaker()];
        let mut tasks = vec![
            core.spawn(net::accept(api, node.clone(), move || next.next(), stop.clone())),
            core.spawn(net::accept(ops, node.clone(), Handle::current, stop.clone())),
            core.spawn(housekeeping(node.clone(), certificates, stop.clone())),
            core.spawn(node.webhooks.clone().run()),
        ];
        tasks.extend((0..node.registry.wheels()).map(|wheel| {
            let keep_time = node.registry.clone().keep_time(wheel);
            // Where sessions are, so that the answers to many pings are taken together.
            core.spawn_on(stop.clone().run_until_cancelled_owned(keep_time).map(drop), &workers.next())
        }));
        let keep_keys = node.auth.keep_keys();
        tasks.extend(keep_keys.map(|keeping| core.spawn(stop.clone().run_until_cancelled_owned(keeping).map(drop))));
        core.close();

        let ended = until_end(shutdown, tasks).await;
        let begun = Instant::now();
        let part = node.config.shutdown_grace / PARTS;
        let (sessions_end, requests_end, end) = (begun + part * (PARTS - 2), begun + part * (PARTS - 1), begun + part * PARTS);
        tracing::info!(sessions = node.registry.open_sessions(), "shutting down");
        node.draining.store(true, Ordering::Release);
        node.registry.drain(node.config.shutdown_window);
        node.sessions.close();
        let all_closed = timeout_at(sessions_end, node.sessions.wait()).await.is_ok();
        node.registry.close_all(CloseCode::Restarting);
        stop.cancel();
        node.connections.close();
        let webhooks = node.webhooks.stop();
        let finishing = async { (core.wait().await, node.connections.wait().await) };
        let all_finished = timeout_at(requests_end, futures::future::join(webhooks, finishing)).await.is_ok();
        // What a receiver still holds on to is sent again after the next start.
        let recorded = timeout_at(end, node.webhooks.flush()).await.is_ok();
        let saving = node.store.save_handover(handover(&node));
        let handed_over = matches!(timeout_at(end, saving).await, Ok(Ok(())));
        let store = node.store.clone();
        let flushed = timeout_at(end, tokio::task::spawn_blocking(move || store.close())).await.is_ok();
        drop(workers);
        tracing::info!(all_closed, all_finished, recorded, handed_over, flushed, "stopped");
        ended
    }
}

/// Waits for the shutdown, or for a task to end that serves everybody and never ends by itself.
async fn until_end(shutdown: impl Future<Output = ()>, tasks: Vec<JoinHandle<()>>) -> Result<(), Broken> {
    // Cancel safety: the tasks go on whoever wins.
    tokio::select! {
        () = shutdown => Ok(()),
        _ = select_all(tasks) => {
            tracing::error!("a task that serves everybody has ended: a panic stands above");
            Err(Broken)
        }
    }
}

/// Says when a new token ends, if it is good and belongs to the one whose session it is. A session does not wait for keys: one that comes
/// with a new key too early is refused, and the key is there when it tries again.
fn renewal(auth: Arc<Authenticator>, clock: Clock) -> Renew {
    Arc::new(move |recipient, token| {
        let caller = auth.authenticate(token).ok()?.verified.caller;
        crate::api::session::check_lasts(&caller, clock.now()).ok()?;
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

fn handover(node: &Node) -> Handover {
    let registry = &node.registry;
    let states = registry.save().into_iter().filter_map(|(of, state)| Some((of, serde_json::to_string(&state).ok()?))).collect();
    let receipts = registry.save_receipts().iter().filter_map(|receipts| serde_json::to_string(receipts).ok()).collect();
    let connectors = node.connectors.save(node.clock.running());
    let connectors =
        connectors.iter().filter_map(|(id, state)| Some((id.to_string(), serde_json::to_string(state).ok()?))).collect();
    Handover { states, receipts, connectors }
}

fn take_up(registry: &Registry, connectors: &Connectors, now: Duration, handover: Handover) {
    let Handover { states, receipts, connectors: of_connectors } = handover;
    for (id, text) in of_connectors {
        if let Some((id, saved)) = ConnectorId::parse(&id).ok().zip(handed_over(&text)) {
            connectors.restore(&id, saved, now);
        }
    }
    let receipts = receipts.iter().filter_map(|text| handed_over(text));
    registry.restore_receipts(receipts.collect());
    let states = states.into_iter().filter_map(|(of, text)| Some((of, handed_over(&text)?)));
    registry.restore(states.collect());
}

/// Reads what the last run wrote; what cannot be read concerns one recipient or one event, which begins anew.
fn handed_over<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let read = serde_json::from_str(text);
    read.inspect_err(|error| tracing::warn!(%error, "what the last run handed over is unreadable")).ok()
}

async fn housekeeping(node: Arc<Node>, mut certificates: [impl FnMut(&Node); 2], stop: CancellationToken) {
    loop {
        certificates.iter_mut().for_each(|look_after| look_after(&node));
        node.webhooks.housekeep().await;
        while !stop.is_cancelled() && matches!(node.store.sweep(node.clock.now()).await, Ok(true)) {}
        // Cancel safety: both branches only wait.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HOUSEKEEPING_INTERVAL) => {}
        }
    }
}

/// Raises the soft descriptor limit to the hard one, and gives how many connections it allows.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let descriptors = current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX);
    let connections = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(64);
    tracing::info!(descriptors, connections, "descriptor limit");
    connections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_task_that_serves_everybody_is_told() {
        let tracker = TaskTracker::new();
        let serving = || tracker.spawn(std::future::pending());
        assert_eq!(until_end(std::future::ready(()), vec![serving()]).await, Ok(()));
        let panicking = tracker.spawn(async { panic!("a fault of ours") });
        assert_eq!(until_end(std::future::pending(), vec![serving(), panicking]).await, Err(Broken));
    }
}
