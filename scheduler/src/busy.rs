//! Workers that say they are at their limit, and what comes of saying it often.
//!
//! To be busy costs nothing and is nobody's fault: the worker is left alone until then. But what it says is a hint and not an
//! excuse. A worker whose own buckets are open and that is busy time after time either meets a limit that nobody told us of,
//! so it is given less at once (as TCP does: halved, then one more for so many successes), or it does not work at all, so one
//! of many busies in a row counts as a failure.

use std::time::Duration;

use crate::{
    command::Command,
    ids::Wx,
    luck::doubled,
    moment::Moment,
    outcome::End,
    scheduler::Scheduler,
    worker::{Rest, Standing},
};

/// How much longer than asked for a busy worker is left alone, at most, as a part: so that workers which share a limit do
/// not all come back at once. Never shorter: it named the time itself. scheduler-policy: "the hint plus 0-10 %".
const BUSY_JITTER: f64 = 0.1;

impl Scheduler {
    /// What the end of an attempt is taken for: a worker that was busy too many times in a row has failed.
    pub(crate) fn taken_for(&mut self, wx: Wx, end: End) -> End {
        if !matches!(end, End::Busy { .. }) {
            return end;
        }
        let (now, row, within) = (self.now, self.policy.busy_row, self.policy.narrow_within);
        // What it may spend is spent: that it is busy was to be expected.
        let is_open = !self.is_dry(wx);
        let Some(worker) = self.workers.get_mut(wx) else {
            return end;
        };
        // It said so already: its other slots met the same limit.
        if matches!(worker.standing, Standing::Usable { rest: Rest::Busy { until }, .. } if until > now) || !is_open {
            return end;
        }
        let record = &mut worker.record;
        let again = record
            .pressed
            .replace(now)
            .is_some_and(|before| now.since(before) <= within);
        record.busies += 1;
        let failed = record.busies >= row;
        if failed {
            record.busies = 0;
        }
        if again {
            worker.width = (worker.width / 2).max(1);
            worker.record.widened = 0;
        }
        if failed { End::Transient } else { end }
    }

    /// A worker succeeded: some of what it was given less at once comes back.
    pub(crate) fn widen(&mut self, wx: Wx) {
        let after = self.policy.widen_after;
        let Some(worker) = self.workers.get_mut(wx) else { return };
        worker.record.busies = 0;
        if worker.width < worker.slots {
            worker.record.widened += 1;
            if worker.record.widened >= after {
                worker.record.widened = 0;
                worker.width += 1;
            }
        }
    }

    /// A worker says that it is at its limit, and for how long; zero: it does not say.
    pub(crate) fn busied(&mut self, wx: Wx, wait: Duration, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let Standing::Usable { trust, rest } = worker.standing else {
            return;
        };
        let known = match rest {
            Rest::Busy { until } => until,
            Rest::None | Rest::Damped { .. } => Moment::START,
        };
        let until = if wait > Duration::ZERO {
            self.now + self.luck.stretched(wait, BUSY_JITTER)
        } else if known > self.now {
            // It said so already: its other slots met the same limit, which is no reason to double the wait.
            known
        } else {
            let wait = doubled(self.policy.busy_min, worker.record.busy_row, self.policy.busy_max);
            worker.record.busy_row = worker.record.busy_row.saturating_add(1);
            self.now + wait
        };
        let until = until.max(known);
        let rest = Rest::Busy { until };
        self.close_shared(wx, until);
        self.stand(wx, Standing::Usable { trust, rest }, out);
    }
}
