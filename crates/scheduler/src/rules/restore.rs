//! Goes on from what became of quotas, workers and actions before the run was resumed.

use crate::{
    bucket::BucketHistory,
    event::{FailedBefore, Spec},
    ids::{ActionId, Ax, BucketId, WorkerId},
    model::health::{Rest, Standing, Trust, WorkerCheckpoint},
    outcome::{End, Health, Reason},
    rules::{accuse, annul, listing, place, spending, standing, submit},
    state::State,
};

/// Restores a bucket, from which nothing was spent yet.
pub(crate) fn restore_bucket(state: &mut State, id: BucketId, history: &BucketHistory) {
    let Some(bx) = state.quotas.slot(id) else { return };
    let now = state.now;
    if let Some(quota) = state.quotas.get_mut(bx) {
        quota.restore(now, history);
    }
    spending::changed(state, bx);
}

/// Restores a worker, which was given nothing yet.
pub(crate) fn restore_worker(state: &mut State, id: WorkerId, before: &WorkerCheckpoint) {
    let Some(wx) = state.workers.slot(id) else { return };
    let now = state.now;
    let Some(worker) = state.workers.get_mut(wx).filter(|worker| worker.attempts.is_empty()) else {
        return;
    };
    worker.tally.quarantines = before.quarantines;
    worker
        .health
        .restore(before.round, before.unproved_quarantines, before.score);
    let rest = if before.busy_until > now {
        Rest::Busy {
            until: before.busy_until,
        }
    } else {
        Rest::None
    };
    let usable = |trust| Standing::Usable { trust, rest };
    let next = match before.health {
        Health::Quarantined { until, round } if until > now => Standing::Quarantined {
            until,
            round,
            judged: before.judged,
        },
        Health::Quarantined { round, .. } | Health::Probation { round } => {
            usable(Trust::Probation { round, passed: 0 })
        }
        Health::Draining => Standing::Draining,
        Health::Evicted(why) => Standing::Evicted(why),
        Health::Healthy | Health::Suspect | Health::Busy { .. } | Health::Gone => usable(Trust::Healthy),
    };
    standing::set_standing(state, wx, next);
    listing::update_listing(state, wx);
}

/// Accepts an action whose attempts of before failed like this.
pub(crate) fn resubmit(state: &mut State, id: ActionId, spec: Spec, failed: &[FailedBefore]) {
    let Some(ax) = submit::accept(state, id, spec) else {
        return;
    };
    for before in failed {
        take_failure(state, ax, before);
    }
    // What failed on a worker that has been taken out since does not count.
    for wx in failed
        .iter()
        .filter_map(|before| state.workers.slot(before.worker?))
        .collect::<Vec<_>>()
    {
        if !state.is_usable(wx) {
            annul::annul(state, wx);
        }
    }
    if state.is_spent(ax) {
        return state.fail(ax, Reason::Exhausted);
    }
    place::place(state, ax, None);
}

fn take_failure(state: &mut State, ax: Ax, before: &FailedBefore) {
    let now = state.now;
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    let (id, kx) = (action.id, action.kx);
    action.number = action.number.max(before.number);
    match before.is_lost {
        true => action.losses = action.losses.saturating_add(1),
        false => action.failed = action.failed.saturating_add(1),
    }
    let Some(wx) = before.worker.and_then(|worker| state.workers.slot(worker)) else {
        return;
    };
    place::remember(state, ax, wx);
    if !before.is_lost {
        // Whatever else the two failures had in common is not known any more, so it is never poison.
        accuse::accuse(state, ax, wx, before.number, End::Transient);
        if let Some(worker) = state.workers.get_mut(wx) {
            worker.health.note_failure(id, Some(kx), now);
        }
    }
}
