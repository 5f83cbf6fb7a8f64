//! What the thread that commits tells of itself.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// What the thread tells of itself.
#[derive(Default)]
pub(crate) struct Shared {
    /// The last turn of this process that is durable.
    pub(crate) durable: AtomicU64,
    /// Bytes that are queued.
    pub(crate) backlog: AtomicU64,
    /// Bytes of the write-ahead log.
    pub(crate) log: AtomicU64,
    /// Commits that were made.
    pub(crate) commits: AtomicU64,
    /// Whether there is trouble, so that asking costs no lock.
    pub(crate) is_troubled: AtomicBool,
    trouble: Mutex<Option<String>>,
    failure: OnceLock<String>,
    pub(crate) changed: Notify,
}

impl Shared {
    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        self.is_troubled.store(trouble.is_some(), Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        self.changed.notify_one();
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why no more is recorded, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    /// Sets the reason for which no more is recorded. The first one stays.
    pub(crate) fn fail(&self, reason: String) {
        // A later one follows from it.
        let _ = self.failure.set(reason);
        self.changed.notify_one();
    }
}
