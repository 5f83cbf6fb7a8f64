//! What became of a quota, for a report.

use std::time::Duration;

use crate::moment::Moment;

/// Counts windows by the clock, whether anything is spent in them or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) used: u64,
    /// Windows that have begun; the first begins with the first attempt.
    pub(super) begun: u64,
    /// When the last of them ends, as far as is known.
    ends: Moment,
    pub(super) wasted_last: u64,
    pub(super) wasted: u64,
    pub(super) resets: u64,
}

impl Tally {
    pub(super) const fn new() -> Self {
        Self {
            used: 0,
            begun: 0,
            ends: Moment::NEVER,
            wasted_last: 0,
            wasted: 0,
            resets: 0,
        }
    }

    pub(super) fn spend(&mut self, now: Moment, per: Duration, units: u64) {
        self.used += units;
        if self.begun == 0 {
            self.begun = 1;
            self.ends = now + per;
        }
    }

    /// The window that is open ends then.
    pub(super) fn ends(&mut self, at: Moment) {
        self.ends = at;
    }

    /// A window is over, and so many of its units were never spent.
    pub(super) fn reset(&mut self, left: u64) {
        self.resets += 1;
        self.wasted_last = left;
        self.wasted += left;
    }

    pub(super) fn advance(&mut self, now: Moment, per: Duration) {
        if self.begun > 0 && now >= self.ends {
            let per = micros(per);
            let more = 1 + now.as_micros().saturating_sub(self.ends.as_micros()) / per;
            self.begun += more;
            self.ends = self.ends + Duration::from_micros(more.saturating_mul(per));
        }
    }
}

/// Whole microseconds, at least one.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1)
}
