//! What a node is made of, how it starts, and how it stops: read [`App::run`] top to bottom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use protocol::close::CloseCode;
use store::error::StoreError;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Api, openapi};
use crate::config::Config;
use crate::handover;
use crate::net::accept::accept;
use crate::net::listener::{ListenError, Listener};
use crate::node::{Node, NodeError, Serving};
use crate::ops::Ops;
use crate::slots::raise_descriptor_limit;
use crate::workers::Workers;

/// How often what is old is deleted.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(30);
/// The grace of a shutdown in parts: one each is kept for requests in flight and for the store, the sessions have the rest.
const PARTS: u32 = 8;

/// A node, bound to its addresses, not yet serving.
#[derive(Debug)]
pub struct App {
    node: Arc<Node>,
    api: Listener,
    ops: Listener,
    workers: Arc<Workers>,
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
    /// There is no node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// What the last run left cannot be read.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
    /// The published contract is broken: a fault of the build.
    #[error("the OpenAPI document of this build is unreadable: {0}")]
    OpenApi(String),
}

/// A task that serves everybody has ended by a fault of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that serves everybody has ended by a panic, which stands in the log")]
pub struct Broken;

impl App {
    /// Opens the store and listens; nothing is accepted before [`App::run`].
    ///
    /// Boxed, as [`App::run`] is: so all of it is compiled here, once, and not again in each program that runs a node.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn bind(config: Config, clock: Clock) -> BoxFuture<'static, Result<Self, StartError>> {
        Box::pin(Self::bound(config, clock))
    }

    async fn bound(config: Config, clock: Clock) -> Result<Self, StartError> {
        let (api, ops) = Listener::bind_both(&config)?;
        let openapi = openapi::published(&config.products).map_err(StartError::OpenApi)?;
        let serving = Serving { started: clock.now(), connections: raise_descriptor_limit(), openapi };
        let node = Node::open(config, clock, Some(serving)).await?;
        handover::take_up(&node.registry, &node.connectors, node.clock.running(), node.store.take_handover().await?);
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
    pub fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, Result<(), Broken>> {
        self.boxed_run(Box::pin(shutdown))
    }

    fn boxed_run(self, shutdown: BoxFuture<'static, ()>) -> BoxFuture<'static, Result<(), Broken>> {
        Box::pin(self.run_until(shutdown))
    }

    async fn run_until(self, shutdown: BoxFuture<'static, ()>) -> Result<(), Broken> {
        let Self { node, api, ops, workers } = self;
        let (next, stop, core) = (workers.clone(), CancellationToken::new(), TaskTracker::new());
        let certificates = [api.caretaker(), ops.caretaker()];
        let mut tasks = vec![
            core.spawn(accept(api, Arc::new(Api(node.clone())), node.clone(), move || next.next(), stop.clone())),
            core.spawn(accept(ops, Arc::new(Ops(node.clone())), node.clone(), Handle::current, stop.clone())),
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
        node.drain();
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
        let saving = node.store.save_handover(handover::of(&node));
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
