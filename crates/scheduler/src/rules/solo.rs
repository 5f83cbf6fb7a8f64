//! Actions that got lost are tried alone.
//!
//! A worker that goes away takes along everything that it was doing, and it is unknown which of that drove it away. So
//! what was lost is tried again on a worker that does nothing else meanwhile. Lost there too, and on another one again,
//! it is poison: it takes down every worker that tries it.

use crate::{
    ids::{Ax, Kx, Rx, Wx},
    model::{action::Phase, order::Key, retry::Exclusion},
    rules::{assign, eligible, phase},
    state::State,
};

/// Takes note that an action got lost on a worker. True: for the second time while it was the only one there.
pub(crate) fn note_loss(state: &mut State, ax: Ax, wx: Wx) -> bool {
    phase::charge(state, ax);
    let solo = state.workers.get(wx).is_some_and(|worker| worker.solo);
    let Some(action) = state.actions.get_mut(ax) else {
        return false;
    };
    let history = action.history.get_or_insert_default();
    // A second attempt beside the one that was lost before was not alone.
    if !std::mem::replace(&mut history.solo, true) || !solo {
        return false;
    }
    match history.lost_alone {
        Some(other) if other != wx => true,
        _ => {
            history.lost_alone = Some(wx);
            false
        }
    }
}

/// Gives a solo action to a worker that has nothing, or puts it in line for one.
pub(crate) fn queue_solo(state: &mut State, ax: Ax, bar: Exclusion) -> bool {
    let Some(action) = state.actions.get(ax) else {
        return false;
    };
    let (rx, kx, key) = (action.rx, action.kx, action.key(ax));
    let avoid = eligible::avoided(state, ax, bar);
    if let Some(wx) = find_idle(state, rx, kx, &avoid) {
        assign_alone(state, ax, wx);
        return true;
    }
    if let Some(route) = state.queues.routes.get_mut(rx) {
        route.solo.insert(key);
    }
    false
}

pub(crate) fn find_idle(state: &State, rx: Rx, kx: Kx, avoid: &[Wx]) -> Option<Wx> {
    assign::best(state, rx, kx, avoid, |pool| &pool.free, |entry| entry.load == 0)
}

pub(crate) fn assign_alone(state: &mut State, ax: Ax, wx: Wx) {
    let rx = state.actions.get(ax).map(|action| action.rx);
    if let Some(route) = rx.and_then(|rx| state.queues.routes.get_mut(rx)) {
        route.reserved.take_if(|reserved| *reserved == wx);
    }
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.solo = true;
        worker.reserved_for = None;
    }
    assign::assign(state, ax, wx);
}

/// The first solo action of a route that does not avoid this worker.
pub(crate) fn solo_for(state: &State, rx: Rx, wx: Wx) -> Option<Key> {
    let route = state.queues.routes.get(rx)?;
    route
        .solo
        .iter()
        .copied()
        .find(|key| eligible::solo_takes(state, key.ax, wx))
}

/// Solo actions of a route that avoid every usable worker.
pub(crate) fn stuck_solo(state: &State, rx: Rx) -> Vec<Ax> {
    let Some(route) = state.queues.routes.get(rx).filter(|route| !route.solo.is_empty()) else {
        return Vec::new();
    };
    let usable = state.usable(rx);
    let is_stuck = |key: &&Key| match state.actions.get(key.ax).map(|action| action.phase) {
        Some(Phase::Waiting { bar, .. }) => {
            let avoid = eligible::avoided(state, key.ax, bar);
            avoid.iter().filter(|wx| state.is_usable(**wx)).count() >= usable
        }
        _ => false,
    };
    route.solo.iter().filter(is_stuck).map(|key| key.ax).collect()
}

/// A worker has nothing: it is not kept free any more. Its solo action, if there still is one, is next.
pub(crate) fn unreserve(state: &mut State, wx: Wx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    if worker.load() == 0 {
        worker.solo = false;
        worker.reserved_for = None;
    }
}
