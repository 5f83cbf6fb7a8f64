//! Reports of workers that they are unfit.
//!
//! A report costs the action no attempt, and says as little as any other failure about whose fault it was: a revoked key
//! makes a worker unfit for everything, and one input may make every worker report it. So the worker goes on probation and
//! the action to another worker. The action's success there evicts the worker. A second worker that is unfit for the same
//! action makes it poison and clears both. A worker that reports it for [`ACTIONS`] different actions in a row with no verdict
//! is evicted without waiting for either, and so is one that reports it [`ROW`] times without any success: all keys of a
//! pool may be revoked. Before that it is given the last action in line instead of the first, in case bad actions stand in
//! front.

use crate::{
    command::Command,
    ids::{ActionId, Wx},
    outcome::Evicted,
    policy::Blame,
    scheduler::Scheduler,
    worker::{Rest, Standing, Trust, Worker},
};

/// For how many different actions in a row, with no verdict, a worker has to be unfit to be evicted. As many as make a worker
/// suspect by default: two could be two bad actions that stood side by side.
const ACTIONS: usize = 3;

/// After how many reports without a success in between a worker is evicted, whatever became of the actions. As many failures
/// as it takes to hold that a whole pool fails (`systemic.rs`).
const ROW: u32 = 20;

impl Scheduler {
    /// Whether a worker is to be given the last action in line: it reported that it is unfit for as many as [`ACTIONS`] in
    /// front of it.
    pub(crate) fn seems_unfit(&self, wx: Wx) -> bool {
        self.workers
            .get(wx)
            .is_some_and(|worker| worker.record.unfit_row as usize >= ACTIONS)
    }

    /// A worker reported that it is unfit. `open`: its action is open, so that there may be a verdict.
    pub(crate) fn unfit(&mut self, wx: Wx, action: ActionId, open: bool, out: &mut Vec<Command>) {
        let is_deferred = self.policy.blame == Blame::Deferred;
        let Some(worker) = self.workers.get_mut(wx) else { return };
        if !is_deferred {
            return self.evict_unfit(wx, out);
        }
        let record = &mut worker.record;
        if !record.unfit.contains(&action) {
            record.unfit.push(action);
        }
        record.unfit_row = record.unfit_row.saturating_add(1);
        let round = record.round;
        if let Standing::Usable { trust, rest } = worker.standing {
            let round = match trust {
                Trust::Probation { round, .. } => round,
                Trust::Healthy | Trust::Suspect { .. } => round,
            };
            let trust = Trust::Probation { round, passed: 0 };
            // There is no hurry until there is a verdict.
            let rest = if open { self.slowed(rest, 0) } else { rest };
            self.stand(wx, Standing::Usable { trust, rest }, out);
        }
        if !open {
            self.check_unfit(wx, out);
        }
    }

    /// Evicts a worker that was unfit for too many different actions in a row.
    pub(crate) fn check_unfit(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let enough = |worker: &Worker| worker.record.unfit.len() >= ACTIONS || worker.record.unfit_row >= ROW;
        if self.workers.get(wx).is_some_and(enough) {
            self.evict_unfit(wx, out);
        }
    }

    /// Evicts a worker that is unfit. The last usable one that ever succeeded is quarantined instead, and evicted only after
    /// [`Policy::evict_after`](crate::Policy::evict_after) quarantines: a row of bad actions must not empty a pool.
    pub(crate) fn evict_unfit(&mut self, wx: Wx, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get(wx) else { return };
        if matches!(worker.standing, Standing::Evicted(_) | Standing::Gone) {
            return;
        }
        let has_worked = worker.tally.ok > 0;
        let is_usable = self.is_usable(wx);
        if self.policy.blame == Blame::Deferred && has_worked && is_usable && !self.is_spare(wx) {
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
