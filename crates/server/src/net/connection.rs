//! One socket, from its first byte to its last.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::answer::put_answer;
use super::deadline::Watched;
use super::library::Before;
use super::service::{NoRequest, Service};
use super::stream::{Phase, Stream, read_out};
use crate::node::Node;

/// One accepted connection.
pub(super) struct Connection<S> {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    pub(super) node: Arc<Node>,
    pub(super) service: Arc<S>,
    pub(super) stop: CancellationToken,
    /// The head before and what it said, where the library reads one request after another. Guards them while they are taken and put
    /// back, between two requests.
    pub(super) before: Mutex<Before>,
}

impl<S: Service> Connection<S> {
    pub(super) fn new(stream: Stream, peer: SocketAddr, node: Arc<Node>, service: Arc<S>, stop: CancellationToken) -> Self {
        Self { stream, peer, node, service, stop, before: Mutex::default() }
    }

    /// Serves requests over HTTP/1.1 until the client or a deadline ends the connection; after `stop`, until the answer that is due.
    pub(super) async fn serve(self) {
        match self.watched().drive(pin!(self.requests())).await {
            Some(phase) => self.give_up(phase),
            None => Box::pin(self.linger()).await,
        }
    }

    async fn requests(&self) {
        match self.answer_frequent().await {
            Some(unread) => {
                self.stream.unread(unread);
                Box::pin(self.answer_others()).await;
            }
            None => self.half_close(),
        }
    }

    pub(super) fn watched(&self) -> Watched<'_> {
        Watched { stream: &self.stream, limits: &self.node.config.limits, stop: &self.stop }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Says that nothing more comes from us; nothing where the socket is a session's.
    fn half_close(&self) {
        if self.stream.phase() != Phase::Upgraded {
            self.stream.try_end(&[]);
        }
    }

    /// Reads what the client still sends, so that the reset that unread bytes cause does not overtake our answer (RFC 9112 §9.6).
    pub(super) async fn linger(&self) {
        if self.stream.phase() != Phase::Upgraded {
            read_out(&mut self.stream.clone()).await;
        }
    }

    /// Ends a connection that took too long. Who was in the middle of a head is told why; who said nothing is not.
    fn give_up(&self, phase: Phase) {
        tracing::debug!(peer = %self.peer, ?phase, "connection took too long");
        let mut word = Vec::new();
        if phase == Phase::Head {
            // Nothing was written in this phase, so the kernel's buffer has room.
            put_answer(&mut word, &self.service.turn_away(NoRequest::SlowHead), self.node.clock.moment(), true);
        }
        self.stream.try_end(&word);
    }
}
