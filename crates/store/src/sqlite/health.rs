//! Whether the store can be trusted. It says once what went wrong, and counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::classify;
use crate::error::StoreError;
use crate::metrics::Metrics;

/// Whether the store can be trusted, and what is counted when it fails.
#[derive(Debug, Clone)]
pub(super) struct Health {
    sound: Arc<AtomicBool>,
    pub(super) metrics: Metrics,
}

impl Health {
    pub(super) fn new(metrics: Metrics) -> Self {
        metrics.sound.set(1);
        Self { sound: Arc::new(AtomicBool::new(true)), metrics }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.sound.load(Ordering::Acquire)
    }

    /// Says once what went wrong, and poisons the store where nothing that follows could be trusted.
    pub(super) fn judge(&self, error: rusqlite::Error) -> StoreError {
        self.metrics.failures.inc();
        let reason = error.to_string();
        let extended = error.sqlite_error().map(|error| error.extended_code);
        let error = classify(error);
        match &error {
            StoreError::Poisoned => {
                self.poison();
                tracing::error!(%reason, ?extended, "store poisoned: no write is taken until the node is restarted on a sound disk");
            }
            StoreError::Full => tracing::error!(%reason, "disk full: write refused; the next one is tried"),
            StoreError::Busy | StoreError::Closed | StoreError::Failed(_) => {
                tracing::error!(%reason, ?extended, "store failed");
            }
        }
        error
    }

    /// Poisons the store for damage that was found in its file.
    pub(super) fn condemn(&self, fault: &str) {
        self.metrics.failures.inc();
        self.poison();
        tracing::error!(%fault, "the store's file is damaged: no write is taken; stop the node and restore a backup");
    }

    pub(super) fn poison(&self) {
        self.sound.store(false, Ordering::Release);
        self.metrics.sound.set(0);
    }
}
