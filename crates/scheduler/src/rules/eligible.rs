//! Which workers an action avoids, and whether any is left for it. Changes nothing.

use crate::{
    ids::{Ax, Kx, Rx, Wx},
    model::{action::Phase, failure_rate::TRAPS_MIN, retry::Exclusion},
    policy::Blame,
    state::{Mutation, State},
};

/// Whether an action stands behind fresh work because it made a worker busy.
pub(crate) fn is_deferred(state: &State, ax: Ax) -> bool {
    let history = state.actions.get(ax).and_then(|action| action.history.as_deref());
    history.is_some_and(|history| history.busy_replies.is_deferred())
}

/// The workers of its route that an action must not go to, because their owner has voted: in no order.
fn voted(state: &State, ax: Ax) -> impl Iterator<Item = Wx> + '_ {
    let action = state
        .actions
        .get(ax)
        .filter(|_| !state.fault_injected(Mutation::SameOwner));
    let route = action.and_then(|action| state.queues.routes.get(action.rx));
    let pools = route.map_or(&[][..], |route| &route.pools);
    let serves = |wx: &Wx| state.workers.get(*wx).is_some_and(|worker| pools.contains(&worker.px));
    let owners = state.votes(ax).iter().filter_map(|vote| state.owners.get(vote.ox));
    owners.flatten().copied().filter(serves)
}

/// The workers of its route that an action must not go to, for that or because they are barred from its kind: in no
/// order, each once.
pub(crate) fn barred(state: &State, ax: Ax) -> impl Iterator<Item = Wx> + '_ {
    let kind = state.actions.get(ax).and_then(|action| state.kinds.get(action.kx));
    let barred = kind.map_or(&[][..], |kind| &kind.barred);
    let is_new = move |wx: &Wx| barred.binary_search(wx).is_err();
    barred.iter().copied().chain(voted(state, ax).filter(is_new))
}

/// How many usable workers of its route an action may go to at all.
pub(crate) fn allowed(state: &State, ax: Ax, rx: Rx) -> usize {
    let barred = barred(state, ax).filter(|wx| state.is_usable(*wx));
    state.usable(rx).saturating_sub(barred.count())
}

/// Whether no worker is left, now or after waiting, that may vote on an action beside those that have.
pub(crate) fn is_out_of_voters(state: &State, ax: Ax, rx: Rx) -> bool {
    if state.votes(ax).is_empty() || state.draining {
        return false;
    }
    let is_present = |wx: &Wx| {
        state
            .workers
            .get(*wx)
            .is_some_and(|worker| worker.standing.is_present())
    };
    voted(state, ax).filter(is_present).count() >= state.over_pools(rx, |pool| pool.present)
}

/// What waits or rests of a route and has votes.
pub(crate) fn voting(state: &State, rx: Rx) -> Vec<Ax> {
    let route = state.queues.routes.get(rx);
    route.map_or_else(Vec::new, |route| route.voting.iter().copied().collect())
}

/// Whether an action has one attempt left, and a worker that did not fail it and has not failed since its last success
/// could have it. It waits for such a worker, as long as its patience lasts: in a pool of which half is bad, others
/// lose it.
pub(crate) fn is_choosy(state: &State, ax: Ax) -> bool {
    let Some(action) = state.actions.get(ax) else {
        return false;
    };
    let Some(history) = action.history.as_deref() else {
        return false;
    };
    // How many it has by the rate of its kind may become fewer, but never fewer than the fewest.
    let fewest = state.attempts_max(action).min(match action.attempts {
        0 => state.policy.attempts_min,
        own => own,
    });
    // One more trap may be the proof that it is poison.
    let fewest = if history.has_trapped {
        fewest.min(TRAPS_MIN)
    } else {
        fewest
    };
    let is_last = action.failed > 0 && action.failed + 1 >= fewest;
    if !is_last || history.solo || state.policy.blame != Blame::Deferred {
        return false;
    }
    let is_clean = |wx: &&Wx| state.is_usable(**wx) && !state.has_failed(**wx);
    let tried = history.failed_on().iter().filter(is_clean).count();
    let failing = state.over_pools(action.rx, |pool| pool.failing);
    allowed(state, ax, action.rx) > tried + failing
}

/// The workers that an action avoids under this bar: rising, each once.
pub(crate) fn avoided(state: &State, ax: Ax, bar: Exclusion) -> Vec<Wx> {
    let history = state.actions.get(ax).and_then(|action| action.history.as_deref());
    let is_open = |kx: Kx| state.kinds.get(kx).is_none_or(|kind| kind.barred.is_empty());
    if history.is_none() && state.actions.get(ax).is_none_or(|action| is_open(action.kx)) {
        return Vec::new();
    }
    let mut avoid = history.map_or_else(Vec::new, |history| history.avoid(bar));
    let mut barred = barred(state, ax).peekable();
    if barred.peek().is_some() {
        avoid.extend(barred);
        avoid.sort_unstable();
        avoid.dedup();
    }
    avoid
}

/// Whether a solo action that waits does not avoid this worker.
pub(crate) fn solo_takes(state: &State, ax: Ax, wx: Wx) -> bool {
    match state.actions.get(ax).map(|action| action.phase) {
        Some(Phase::Waiting { bar, .. }) => avoided(state, ax, bar).binary_search(&wx).is_err(),
        _ => false,
    }
}
