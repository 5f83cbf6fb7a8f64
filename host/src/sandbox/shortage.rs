//! What the host has none left of, which is the fault of no guest: read from errors, and waited for where something starts.

use std::{
    io,
    ops::RangeInclusive,
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::io::Errno;
use wasmtime::PoolConcurrencyLimitError;

use super::run::fault::{Fault, chain};
use crate::{
    limits::{Account, Shortage},
    units::Size,
};

/// What the host had no more of when a guest was to have some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostResource {
    #[error("had to wait for memory: other guests hold what there is of {}; raise it with --host-memory", Size(*.limit))]
    Memory { limit: u64 },
    #[error("had to wait for an instance: others have all that there may be at once")]
    Instances,
    /// Of what was not reserved.
    #[error("had to wait for a part of the engine: {0}")]
    Pool(String),
    #[error("could not go on: the machine has no {shortage} left ({error}); {}", shortage.hint())]
    Machine { shortage: Shortage, error: String },
}

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

impl HostResource {
    /// What an error says that the host had none left of, if it says so.
    pub(super) fn of(error: &wasmtime::Error) -> Option<Self> {
        if let Some(resource) = error.downcast_ref::<Self>() {
            return Some(resource.clone());
        }
        // What one instance can take was reserved for it, so that only other instances can be the cause.
        if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
            return Some(Self::Pool(full.to_string()));
        }
        let number = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<io::Error>() {
            Some(error) => Errno::from_io_error(error),
            None => cause.downcast_ref::<Errno>().copied(),
        };
        let number = error.chain().find_map(number)?;
        let shortage = Shortage::of(&number.into())?;
        let error = chain(error);
        Some(Self::Machine { shortage, error })
    }

    /// What an error of the system says that the machine has none left of; `of`: how it is read.
    pub(super) fn of_system(error: &io::Error, of: impl Fn(&io::Error) -> Option<Shortage>) -> Option<Self> {
        let shortage = of(error)?;
        let error = error.to_string();
        Some(Self::Machine { shortage, error })
    }

    /// Before a guest ran.
    pub(super) fn before(self) -> Fault {
        Fault::HostFull {
            resource: self,
            begun: false,
        }
    }

    pub(super) fn memory(account: &Account) -> Self {
        let limit = account.limit();
        Self::Memory { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_of_the_machine_is_found_below_the_words_of_the_engine() {
        let of = |errno: Errno| {
            let error = wasmtime::Error::from(errno).context("mmap failed to reserve 0x1000 bytes");
            HostResource::of(&error)
        };
        let Some(HostResource::Machine { shortage, error }) = of(Errno::NOMEM) else {
            panic!("not found");
        };
        assert_eq!(shortage, Shortage::Memory);
        assert!(error.starts_with("mmap failed"), "{error}");
        assert_eq!(of(Errno::INVAL), None);
        let error = wasmtime::Error::from(io::Error::from(Errno::MFILE)).context("x");
        assert!(matches!(
            HostResource::of(&error),
            Some(HostResource::Machine {
                shortage: Shortage::Files,
                ..
            })
        ));
        assert_eq!(HostResource::of(&wasmtime::format_err!("Cannot allocate memory")), None);
    }

    #[tokio::test]
    async fn start_is_tried_again_only_for_what_the_machine_has_none_left_of() {
        let machine = HostResource::Machine {
            shortage: Shortage::Memory,
            error: String::new(),
        };
        let mut starts = Starts::default();
        assert!(starts.again(&machine.before()).await);
        assert!(!starts.again(&HostResource::Instances.before()).await);
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
