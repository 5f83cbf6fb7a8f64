//! Retries starts while the machine has run out of a resource.

use std::{
    ops::RangeInclusive,
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::fault::Fault;

/// How long the start of a task or a planner is retried while the machine has run out of a resource and no other guest
/// makes progress. A guest that ends frees resources. The driver waits as long if every attempt fails in this way.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// The first and the longest pause before a retry.
const START_AGAIN: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(1);

/// The starts in this process that wait for a resource of the machine.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// When a guest last made progress while starts waited, in microseconds since [`BEGAN`].
static LAST_PROGRESS: AtomicU64 = AtomicU64::new(0);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Notes that a guest was started or returned from a call at the time `now`.
pub(super) fn note_progress(now: Instant) {
    // Skipped otherwise: no start reads it, and all threads would write to the same cache line.
    if WAITING.load(Ordering::Relaxed) > 0 {
        let since = now.saturating_duration_since(*BEGAN).as_micros();
        LAST_PROGRESS.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The retries of one start.
#[derive(Debug)]
pub struct Starts {
    began: Instant,
    rest: Duration,
    waiting: Option<Waiting>,
}

/// While one exists, progress of guests is recorded.
#[derive(Debug)]
struct Waiting;

impl Waiting {
    fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Starts {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            rest: *START_AGAIN.start(),
            waiting: None,
        }
    }
}

impl Starts {
    /// Pauses before a retry, longer each time. False: the start failed for another reason, or for too long.
    ///
    /// Cancel safe.
    pub async fn again(&mut self, fault: &Fault) -> bool {
        if !fault.is_of_machine() {
            return false;
        }
        self.waiting.get_or_insert_with(Waiting::new);
        let progress = *BEGAN + Duration::from_micros(LAST_PROGRESS.load(Ordering::Relaxed));
        if !self.is_worthwhile(Instant::now(), progress) {
            return false;
        }
        tokio::time::sleep(self.rest).await;
        self.rest = (self.rest * 2).min(*START_AGAIN.end());
        true
    }

    /// Whether a retry may succeed. `progress`: when another guest last made progress.
    fn is_worthwhile(&self, now: Instant, progress: Instant) -> bool {
        now.saturating_duration_since(self.began.max(progress)) < START_PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shortage::HostResource;
    use disperse_protocol::limits::Shortage;

    #[tokio::test]
    async fn start_is_retried_only_for_exhausted_resources_of_the_machine() {
        let machine = HostResource::Machine {
            shortage: Shortage::Memory,
            error: String::new(),
        };
        let mut starts = Starts::default();
        assert!(starts.again(&Fault::before(machine)).await);
        assert!(!starts.again(&Fault::before(HostResource::Instances)).await);
        assert!(!starts.again(&Fault::Stopped).await);
    }

    #[test]
    fn start_is_retried_while_other_guests_make_progress() {
        let starts = Starts::default();
        let (began, second) = (starts.began, Duration::from_secs(1));
        let before = began.checked_sub(second).unwrap_or(began);
        assert!(starts.is_worthwhile(began + 9 * second, before));
        assert!(!starts.is_worthwhile(began + 10 * second, before));
        assert!(starts.is_worthwhile(began + 10 * second, began + second));
        assert!(!starts.is_worthwhile(began + 3600 * second, began + 3590 * second));
    }
}
