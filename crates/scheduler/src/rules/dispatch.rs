//! Gives a worker with room what waits for it.

use crate::{
    ids::{Ax, Rx, Wx},
    model::{order::Key, retry::Exclusion, worker::Capacity},
    rules::{assign, eligible, hedge, listing, outage, phase, place, saving, skill, solo, unfit},
    state::{Mutation, State},
};

/// Gives a worker what waits for it until it has no room or nothing waits.
pub(crate) fn pull(state: &mut State, wx: Wx) {
    if state.draining || state.fault_injected(Mutation::ForgetWorker) {
        return;
    }
    solo::unreserve(state, wx);
    saving::stop_saving(state, wx);
    while let Some(worker) = state.workers.get(wx) {
        if worker.listed.0 == Capacity::None || state.is_held_back(worker.px) {
            return;
        }
        let routes = state.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
        let first = match state.is_systemic(worker.px)
            || unfit::is_probed_for_fitness(state, wx)
            || outage::is_slowed_with_pool(state, wx)
        {
            false => routes.iter().filter_map(|rx| state.queues.first_for(*rx, wx)).min(),
            true => routes.iter().filter_map(|rx| state.queues.probe_for(*rx, wx)).min(),
        };
        if pull_solo(state, wx, first) {
            return;
        }
        let Some(first) = first else {
            return hedge::hedge_idle(state, wx);
        };
        if place::shun(state, first.ax, wx) || skill::replace_if_excluded(state, first.ax, wx) {
            continue;
        }
        let Some(key) = saving::affordable(state, wx, first) else {
            if state.workers.get(wx).is_some_and(|worker| !worker.saving) {
                pull_solo(state, wx, None);
            }
            return;
        };
        // A cheaper one instead of the first.
        if key.ax != first.ax && (place::shun(state, key.ax, wx) || skill::replace_if_excluded(state, key.ax, wx)) {
            continue;
        }
        phase::leave(state, key.ax);
        let wx = better(state, key.ax, wx);
        assign::assign(state, key.ax, wx);
    }
}

/// The worker that is to have an action which `wx` could have: another one that did not fail it, if there happens to be
/// one.
fn better(state: &State, ax: Ax, wx: Wx) -> Wx {
    let Some(action) = state.actions.get(ax).filter(|action| action.history.is_some()) else {
        return wx;
    };
    let avoid = eligible::avoided(state, ax, Exclusion::Tried);
    match avoid.binary_search(&wx) {
        Ok(_) => assign::find(state, action.rx, action.kx, &avoid, false).unwrap_or(wx),
        Err(_) => wx,
    }
}

/// Looks for a solo action that goes before `first`, when a worker has room. True: nothing else is to be given to it.
fn pull_solo(state: &mut State, wx: Wx, first: Option<Key>) -> bool {
    let Some(worker) = state.workers.get(wx) else {
        return true;
    };
    let load = worker.load();
    let routes = state.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
    let mut waiting: Vec<(Key, Rx)> = routes
        .iter()
        .filter_map(|rx| Some((solo::solo_for(state, *rx, wx)?, *rx)))
        .filter(|(key, _)| first.is_none_or(|first| *key < first))
        .collect();
    waiting.sort_unstable();
    if load == 0 {
        for (key, _) in waiting {
            if saving::pays_for(state, wx, key.ax) {
                pull_alone(state, wx, key);
                return true;
            }
            if state.workers.get(wx).is_none_or(|worker| worker.saving) {
                return true;
            }
        }
        return false;
    }
    let Some((_, rx)) = waiting.first().copied() else {
        return false;
    };
    // One worker is kept free for it, not all of them.
    let reserved = state.queues.routes.get(rx).and_then(|route| route.reserved);
    let is_kept = |wx| {
        let worker = state.workers.get(wx);
        worker.is_some_and(|worker| worker.reserved_for == Some(rx) && worker.load() > 0 && worker.standing.is_usable())
    };
    if reserved.is_some_and(is_kept) {
        return false;
    }
    if let Some(route) = state.queues.routes.get_mut(rx) {
        route.reserved = Some(wx);
    }
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.reserved_for = Some(rx);
    }
    listing::update_listing(state, wx);
    true
}

/// Gives a solo action that waits to a worker that has nothing, or to one that did not fail it, if there happens to be
/// one.
fn pull_alone(state: &mut State, wx: Wx, key: Key) {
    let Some((rx, kx)) = state.actions.get(key.ax).map(|action| (action.rx, action.kx)) else {
        return;
    };
    phase::leave(state, key.ax);
    let avoid = eligible::avoided(state, key.ax, Exclusion::Tried);
    let better = avoid
        .binary_search(&wx)
        .ok()
        .and_then(|_| solo::find_idle(state, rx, kx, &avoid));
    solo::assign_alone(state, key.ax, better.unwrap_or(wx));
    if better.is_some() {
        pull(state, wx);
    }
}
