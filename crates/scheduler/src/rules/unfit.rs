//! Reports of workers that they are unfit.
//!
//! A report costs the action no attempt, and tells as little as any other failure about whose fault it was: a revoked
//! key makes a worker unfit for everything, and one input may make every worker report it. So the worker goes on
//! probation and the action to another worker. The action's success there evicts the worker. If a second worker is
//! unfit for the action, and one of the two ever succeeded with another, the action is poison and both are cleared.
//!
//! Reports in a row evict a worker without a verdict: all keys of a pool may be revoked. Bad actions may stand in front
//! of the line, so before that the worker is tried with the last one in it.

use std::time::Duration;

use crate::{
    ids::{ActionId, Wx},
    model::{
        action::AttemptContext,
        health::{Rest, Standing, Trust},
        worker::Worker,
    },
    outcome::Evicted,
    policy::Blame,
    rules::{damping, quarantine, standing},
    state::{FollowUp, State},
};

/// Whether a worker is to be tried with the last action in line.
pub(crate) fn is_probed_for_fitness(state: &State, wx: Wx) -> bool {
    state
        .workers
        .get(wx)
        .is_some_and(|worker| worker.health.unfit.is_to_be_probed())
}

/// A worker reported that it is unfit, after `took`. There may be a verdict if its action still wants the attempt.
pub(crate) fn unfit(state: &mut State, wx: Wx, of: &AttemptContext, took: Duration) {
    let (action, open) = (of.action, of.current);
    let (now, is_deferred) = (state.now, state.policy.blame == Blame::Deferred);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    if !is_deferred {
        return evict_unfit(state, wx);
    }
    worker.health.unfit.note(action, now, took);
    if let Standing::Usable { trust, rest } = worker.standing {
        let round = match trust {
            Trust::Probation { round, .. } => round,
            Trust::Healthy | Trust::Suspect { .. } => worker.health.round(),
        };
        let trust = Trust::Probation { round, passed: 0 };
        // There is no hurry until there is a verdict.
        let rest = if open {
            damping::slowed(state, wx, of.kx, rest, 0)
        } else {
            rest
        };
        standing::set_standing(state, wx, Standing::Usable { trust, rest });
    }
    if !open {
        check_unfit(state, wx);
    }
}

/// Evicts a worker that made too many reports in a row.
pub(crate) fn check_unfit(state: &mut State, wx: Wx) {
    let enough = |worker: &Worker| worker.health.unfit.is_enough(worker.tally.ok > 0);
    if state.workers.get(wx).is_some_and(enough) {
        evict_unfit(state, wx);
    }
}

/// Evicts a worker that is unfit. The last usable one that ever succeeded is quarantined instead, since a row of bad
/// actions must not empty a pool, and evicted if it comes to this again before a success.
pub(crate) fn evict_unfit(state: &mut State, wx: Wx) {
    let (is_usable, is_spare) = (state.is_usable(wx), quarantine::is_spare(state, wx));
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    if matches!(worker.standing, Standing::Evicted(_) | Standing::Gone) {
        return;
    }
    let is_last = worker.tally.ok > 0 && is_usable && !is_spare;
    if state.policy.blame == Blame::Deferred && is_last && worker.health.unfit.spare() {
        return quarantine::quarantine(state, wx, false);
    }
    standing::set_standing(state, wx, Standing::Evicted(Evicted::Unfit));
    state.follow_ups.push(FollowUp::Annul(wx));
}

/// The action that a worker was unfit for is closed without evidence against the worker.
pub(crate) fn close_unfit_report(state: &mut State, wx: Wx, action: ActionId) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    if !worker.health.unfit.clear_action(action) {
        return;
    }
    if let Standing::Usable {
        trust: Trust::Probation { .. },
        rest,
    } = worker.standing
        && worker.health.unproved_quarantines() == 0
    {
        let (trust, rest) = (Trust::Healthy, Rest::undamped(rest));
        standing::set_standing(state, wx, Standing::Usable { trust, rest });
    }
}
