//! The locks of this crate: those of the standard library, or, for the model check, ones whose every interleaving is tried.

#[cfg(not(feature = "model"))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(feature = "model")]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// Locks; a panic elsewhere has left nothing half done, since every section here is a few assignments.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
