//! One recipient: who of them is logged in, under one lock. The order in which events pass that lock is the order in which every
//! session of the recipient gets them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::id::{EventId, Product};

use crate::Config;
use crate::queue::{Delivery, Queue};

/// A recipient that somebody has an interest in; forgotten with its last session.
#[derive(Debug, Default)]
pub(crate) struct RecipientState {
    // Guards the sessions and the order of events. Inside, only queues are touched; nothing is awaited.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: Vec<Member>,
    /// Set when the last session went: whoever holds this state by now must look the recipient up again.
    forgotten: bool,
}

#[derive(Debug)]
struct Member {
    session: EventId,
    product: Product,
    queue: Arc<Queue>,
}

/// The state was forgotten in the meantime: look the recipient up again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forgotten;

impl RecipientState {
    /// Adds a session: it gets every event from now on.
    pub(crate) fn join(&self, session: EventId, product: Product, queue: Arc<Queue>) -> Result<(), Forgotten> {
        let mut inner = self.lock();
        if inner.forgotten {
            return Err(Forgotten);
        }
        inner.sessions.push(Member { session, product, queue });
        Ok(())
    }

    /// Takes a session out; gives whether the recipient is to be forgotten.
    pub(crate) fn leave(&self, session: EventId) -> bool {
        let mut inner = self.lock();
        inner.sessions.retain(|member| member.session != session);
        inner.forgotten |= inner.sessions.is_empty();
        inner.forgotten
    }

    /// Queues an event for each session whose product is told; gives how many took it.
    pub(crate) fn deliver(&self, delivery: &Arc<Delivery>, products: &[Product], config: &Config) -> usize {
        let inner = self.lock();
        let told = inner.sessions.iter().filter(|member| products.contains(&member.product));
        told.filter(|member| member.queue.put(delivery.clone(), config)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
