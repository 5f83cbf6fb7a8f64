//! Takes a worker out for a while, or for good.

use crate::{
    ids::{Px, Wx},
    model::{health::Standing, kind::Kind},
    outcome::Evicted,
    rng::doubled,
    rules::standing,
    state::{FollowUp, Mutation, State},
};

/// Whether without this one there would be a usable worker left for every kind that it serves, over all pools.
pub(crate) fn is_spare(state: &State, wx: Wx) -> bool {
    let Some(worker) = state.workers.get(wx) else {
        return false;
    };
    let own = usize::from(worker.standing.is_usable());
    let usable = |px: &Px| state.pools.get(*px).map_or(0, |pool| pool.usable);
    let routes = state.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
    let spare = if routes.is_empty() {
        usable(&worker.px) > own
    } else {
        routes.iter().all(|rx| {
            let pools = state.queues.routes.get(*rx).map_or(&[][..], |route| &route.pools);
            pools.iter().map(usable).sum::<usize>() > own
        })
    };
    // Those that are barred from a kind are none for it.
    let is_left = |kind: &Kind| {
        let serves = routes.contains(&kind.rx);
        let barred = kind
            .barred
            .iter()
            .filter(|other| **other != wx && state.is_usable(**other));
        kind.barred.is_empty() || !serves || state.usable(kind.rx) > own + barred.count()
    };
    state.fault_injected(Mutation::QuarantineLast) || spare && state.kinds.iter().all(is_left)
}

/// Whether failures alone may take this worker out.
pub(crate) fn may_quarantine(state: &State, wx: Wx) -> bool {
    let Some(worker) = state.workers.get(wx) else {
        return false;
    };
    if !is_spare(state, wx) || state.is_systemic(worker.px) {
        return false;
    }
    let Some(pool) = state.pools.get(worker.px) else {
        return false;
    };
    // Rounded down: a third of five is one.
    let share = (pool.members as f64 * state.policy.quarantine_share) as usize;
    state.fault_injected(Mutation::IgnoreShare)
        || worker.health.unproved_quarantines() >= state.policy.evict_after
        || pool.judged < share.max(1)
}

/// The same for a worker that was proved wrong, whatever part of its pool is taken out already.
pub(crate) fn may_quarantine_outvoted(state: &State, wx: Wx) -> bool {
    let px = state.workers.get(wx).map(|worker| worker.px);
    is_spare(state, wx) && px.is_some_and(|px| !state.is_systemic(px))
}

/// Quarantines a worker, or evicts it if that was done too often.
pub(crate) fn quarantine(state: &mut State, wx: Wx, judged: bool) {
    let spare = is_spare(state, wx);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    // An explicit fault takes out the last one too: a worker that cannot be started is no worker.
    if worker.health.unproved_quarantines() >= state.policy.evict_after && (spare || !judged) {
        let quarantines = worker.health.unproved_quarantines();
        standing::set_standing(state, wx, Standing::Evicted(Evicted::Unreliable { quarantines }));
        return state.follow_ups.push(FollowUp::Annul(wx));
    }
    worker.tally.quarantines += 1;
    let round = worker.health.begin_quarantine();
    let length = doubled(state.policy.quarantine_min, round - 1, state.policy.quarantine_max);
    let until = state.now + state.rng.jittered(length, state.policy.quarantine_jitter);
    standing::set_standing(state, wx, Standing::Quarantined { until, round, judged });
    state.follow_ups.push(FollowUp::Annul(wx));
}
