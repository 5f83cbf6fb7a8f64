//! Reports of workers that they are unfit.
//!
//! A report costs the action no attempt, and says as little as any other failure about whose fault it was: a revoked key
//! makes a worker unfit for everything, and one input may make every worker report it. So the worker goes on probation and
//! the action to another worker. The action's success there evicts the worker. If a second worker is unfit for the action,
//! and one of the two ever succeeded with another, the action is poison and both are cleared.
//!
//! Reports in a row evict a worker without a verdict: all keys of a pool may be revoked. Bad actions may stand in front of
//! the line, so before that the worker is tried with the last one in it.

use std::time::Duration;

use crate::{
    command::Command,
    health::Of,
    ids::{ActionId, Wx},
    outcome::Evicted,
    policy::Blame,
    scheduler::Scheduler,
    worker::{Rest, Standing, Trust, Worker},
};

/// How many reports in a row with no verdict evict a worker; as many as failures make one suspect by default. For a worker
/// that succeeded before, they have to be of different actions.
const REPORTS: usize = 3;

/// After how many of them it is tried with the last action in line: the last of [`REPORTS`] is then of such an action.
const PROBED_AFTER: u32 = 2;

/// How many reports in a row evict a worker whatever became of the actions. As many failures as it takes to hold that a whole
/// pool fails (`systemic.rs`).
const ROW: u32 = 20;

impl Scheduler {
    /// Whether a worker is to be tried with the last action in line.
    pub(crate) fn seems_unfit(&self, wx: Wx) -> bool {
        self.workers
            .get(wx)
            .is_some_and(|worker| worker.record.unfit_row >= PROBED_AFTER)
    }

    /// A worker reported that it is unfit, after `took`. There may be a verdict if its action still wants the attempt.
    pub(crate) fn unfit(&mut self, wx: Wx, of: &Of, took: Duration, out: &mut Vec<Command>) {
        let (action, open) = (of.action, of.current);
        let (now, is_deferred) = (self.now, self.policy.blame == Blame::Deferred);
        let Some(worker) = self.workers.get_mut(wx) else { return };
        if !is_deferred {
            return self.evict_unfit(wx, out);
        }
        let record = &mut worker.record;
        if !record.unfit.contains(&action) {
            record.unfit.push(action);
        }
        // Attempts that began before the last report was made are the same piece of evidence.
        if now.since(record.unfit_at) >= took {
            record.unfit_at = now;
            record.unfit_row = record.unfit_row.saturating_add(1);
        }
        if let Standing::Usable { trust, rest } = worker.standing {
            let round = match trust {
                Trust::Probation { round, .. } => round,
                Trust::Healthy | Trust::Suspect { .. } => worker.record.round,
            };
            let trust = Trust::Probation { round, passed: 0 };
            // There is no hurry until there is a verdict.
            let rest = if open { self.slowed(wx, of.kx, rest, 0) } else { rest };
            self.stand(wx, Standing::Usable { trust, rest }, out);
        }
        if !open {
            self.check_unfit(wx, out);
        }
    }

    /// Evicts a worker that made too many reports in a row.
    pub(crate) fn check_unfit(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let enough = |worker: &Worker| {
            let (row, open) = (worker.record.unfit_row, worker.record.unfit.len());
            let of_different = open >= REPORTS || worker.tally.ok == 0;
            row >= ROW || row as usize >= REPORTS && of_different
        };
        if self.workers.get(wx).is_some_and(enough) {
            self.evict_unfit(wx, out);
        }
    }

    /// Evicts a worker that is unfit. The last usable one that ever succeeded is quarantined instead, since a row of bad actions must
    /// not empty a pool, and evicted if it comes to this again before a success.
    pub(crate) fn evict_unfit(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let (is_usable, is_spare) = (self.is_usable(wx), self.is_spare(wx));
        let Some(worker) = self.workers.get_mut(wx) else { return };
        if matches!(worker.standing, Standing::Evicted(_) | Standing::Gone) {
            return;
        }
        let is_last = worker.tally.ok > 0 && is_usable && !is_spare;
        if self.policy.blame == Blame::Deferred && is_last && !std::mem::replace(&mut worker.record.unfit_last, true) {
            return self.condemn(wx, false, out);
        }
        self.stand(wx, Standing::Evicted(Evicted::Unfit), out);
        self.annul(wx, out);
    }

    /// The action that a worker was unfit for is closed without evidence against the worker.
    pub(crate) fn fit_again(&mut self, wx: Wx, action: ActionId, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let record = &mut worker.record;
        let before = record.unfit.len();
        record.unfit.retain(|other| *other != action);
        if before == 0 || !record.unfit.is_empty() {
            return;
        }
        if let Standing::Usable {
            trust: Trust::Probation { .. },
            rest,
        } = worker.standing
            && record.unproved == 0
        {
            let (trust, rest) = (Trust::Healthy, Rest::undamped(rest));
            self.stand(wx, Standing::Usable { trust, rest }, out);
        }
    }
}
