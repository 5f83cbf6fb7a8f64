//! Starts that are tried again while the machine has none left of something.

use std::{
    ops::RangeInclusive,
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::fault::Fault;

/// How long the start of a task or a planner is tried again for what the machine has none left of, while no other guest gets on:
/// one that ends gives back what it has. As long as the driver waits where that is so for every attempt.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How long it rests before it is tried again, the first time and at most.
const START_AGAIN: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(1);

/// How many starts in this process wait for what the machine has none left of.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// When a guest last got on while starts waited, in microseconds since [`BEGAN`].
static GOT_ON: AtomicU64 = AtomicU64::new(0);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Notes that a guest was started or has returned from a call, `now`.
pub(super) fn got_on(now: Instant) {
    // Else nobody reads it, and all threads would write to the same line of their caches.
    if WAITING.load(Ordering::Relaxed) > 0 {
        let since = now.saturating_duration_since(*BEGAN).as_micros();
        GOT_ON.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Starts that the machine had not enough for, one after the other.
#[derive(Debug)]
pub(crate) struct Starts {
    began: Instant,
    rest: Duration,
    waiting: Option<Waiting>,
}

/// As long as it lives, it is noted when guests get on.
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
    /// Rests before another start, longer each time. False: this one failed for another reason, or it was tried for long enough.
    ///
    /// Cancel safe.
    pub(crate) async fn again(&mut self, fault: &Fault) -> bool {
        if !fault.is_of_machine() {
            return false;
        }
        self.waiting.get_or_insert_with(Waiting::new);
        let got_on = *BEGAN + Duration::from_micros(GOT_ON.load(Ordering::Relaxed));
        if !self.is_worthwhile(Instant::now(), got_on) {
            return false;
        }
        tokio::time::sleep(self.rest).await;
        self.rest = (self.rest * 2).min(*START_AGAIN.end());
        true
    }

    /// Whether another start may find what this one did not; `got_on`: when another guest last did.
    fn is_worthwhile(&self, now: Instant, got_on: Instant) -> bool {
        now.saturating_duration_since(self.began.max(got_on)) < START_PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Shortage, sandbox::shortage::HostResource};

    #[tokio::test]
    async fn start_is_tried_again_only_for_what_the_machine_has_none_left_of() {
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
    fn start_waits_for_as_long_as_other_guests_get_on() {
        let starts = Starts::default();
        let (began, second) = (starts.began, Duration::from_secs(1));
        let before = began.checked_sub(second).unwrap_or(began);
        assert!(starts.is_worthwhile(began + 9 * second, before));
        assert!(!starts.is_worthwhile(began + 10 * second, before));
        assert!(starts.is_worthwhile(began + 10 * second, began + second));
        assert!(!starts.is_worthwhile(began + 3600 * second, began + 3590 * second));
    }
}
