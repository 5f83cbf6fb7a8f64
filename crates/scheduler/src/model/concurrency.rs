//! How many attempts a worker is given at once.

/// How many times the successes that are needed to try a width which failed before can double. Arbitrary: at 10
/// successes for one more that is one try in 1,280.
const FAILED_TRIES_MAX: u32 = 6;

/// A worker's slots, and how many of them are used: fewer while it is busy though its quotas have room, as TCP does
/// (halved, then one more for so many successes, up to the width that failed before).
#[derive(Clone, Debug)]
pub(crate) struct Concurrency {
    /// At least 1.
    slots: u32,
    /// From 1 to `slots`.
    width: u32,
    /// Successes since the width changed.
    successes: u32,
    /// How many at once were too many, the last time that the width was halved; 0: unknown.
    failed_at: u32,
    /// How many times that was tried again in vain.
    failed_tries: u32,
}

impl Concurrency {
    /// 0 slots count as 1.
    pub(crate) fn new(slots: u32) -> Self {
        let slots = slots.max(1);
        Self {
            slots,
            width: slots,
            successes: 0,
            failed_at: 0,
            failed_tries: 0,
        }
    }

    #[inline]
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// How many attempts the worker is given at once.
    #[inline]
    pub(crate) fn width(&self) -> u32 {
        self.width
    }

    /// The worker was busy again with `failed_at` attempts at once.
    pub(crate) fn narrow(&mut self, failed_at: u32) {
        self.successes = 0;
        if failed_at >= self.failed_at && self.failed_at > 0 {
            // The width that failed before still fails: the one below it is right.
            self.width = self.width.min(self.failed_at.saturating_sub(1)).max(1);
            self.failed_tries = (self.failed_tries + 1).min(FAILED_TRIES_MAX);
        } else {
            self.failed_at = failed_at;
            self.failed_tries = 0;
            self.width = (self.width / 2).max(1);
        }
    }

    /// The worker succeeded. `after`: how many successes widen it by one.
    #[inline]
    pub(crate) fn note_success(&mut self, after: u32) {
        if self.width >= self.slots {
            return;
        }
        let has_failed = self.failed_at > 0 && self.width + 1 >= self.failed_at;
        let needed = match has_failed {
            true => after.saturating_mul(2 << self.failed_tries),
            false => after,
        };
        self.successes += 1;
        if self.successes >= needed {
            self.successes = 0;
            self.width += 1;
            if self.width > self.failed_at {
                // It bears what it did not bear before.
                self.failed_at = 0;
                self.failed_tries = 0;
            }
        }
    }
}
