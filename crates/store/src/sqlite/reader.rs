//! Connections for reading, a bounded number of them at once. They see what is committed, and never hold the writer up (WAL).

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::error::failed;
use super::health::Health;
use super::schema;
use crate::error::{OpenError, StoreError};

#[derive(Debug)]
pub(super) struct Readers {
    // Guards the list only while a connection is taken out or put back; never held during a query.
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    health: Health,
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize, health: Health) -> Result<Self, OpenError> {
        let idle: rusqlite::Result<Vec<_>> = (0..count.max(1)).map(|_| schema::open_for_reading(path)).collect();
        Ok(Self { idle: Arc::new(Mutex::new(idle.map_err(failed)?)), permits: Arc::new(Semaphore::new(count.max(1))), health })
    }

    /// Runs `query` on a connection of its own, away from the async workers; waits and runs for at most `patience`.
    ///
    /// Cancel safety: a query that has begun runs to its end, and its connection comes back.
    pub(super) async fn read<T, Q>(&self, patience: Duration, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        tokio::time::timeout(patience, self.run(query)).await.unwrap_or(Err(StoreError::Busy))
    }

    async fn run<T, Q>(&self, query: Q) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Q: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_closed| StoreError::Closed)?;
        let (idle, health) = (self.idle.clone(), self.health.clone());
        let work = tokio::task::spawn_blocking(move || {
            let mut connection = take(&idle).ok_or(StoreError::Busy)?;
            let result = query(&mut connection);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            result.map_err(|error| health.judge(error))
        });
        work.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn take(idle: &Mutex<Vec<Connection>>) -> Option<Connection> {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
}
