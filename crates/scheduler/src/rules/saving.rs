//! A worker that is short of a costly action's price saves for it.

use crate::{
    ids::{Ax, Kx, Rx, Wx},
    model::{order::Key, pool::Pool},
    rules::listing,
    state::State,
};

/// No worker with room can pay for this action: the first that will be able to saves for it, and is given nothing
/// cheaper.
pub(crate) fn save_for(state: &mut State, rx: Rx, kx: Kx, avoid: &[Wx]) {
    if state.quotas.len() == 0 || state.draining {
        return;
    }
    let pools = state.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
    let free = pools
        .iter()
        .filter_map(|px| state.pools.get(*px))
        .flat_map(|pool: &Pool| &pool.free)
        .map(|entry| entry.wx)
        .filter(|wx| avoid.binary_search(wx).is_err());
    let free: Vec<Wx> = free.collect();
    let mut anybody_pays = false;
    for wx in &free {
        // The first that can pay for it looks again then.
        anybody_pays |= listing::can_pay(state, *wx, Some(kx));
    }
    if anybody_pays {
        return;
    }
    let kind = state.kinds.get(kx).map(|kind| kind.id);
    let ready = |wx: &Wx| {
        let quotas = listing::quotas(state, *wx);
        let ready = quotas.map(|(_, quota)| quota.ready_at(state.now, quota.cost(kind)));
        ready.max()
    };
    if let Some(wx) = free.into_iter().min_by_key(ready)
        && saving_helps(state, wx, kx)
    {
        save(state, wx, kx);
    }
}

/// A worker is given nothing until it can pay for what it was found to be short of.
fn save(state: &mut State, wx: Wx, kx: Kx) {
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.saving = true;
    }
    listing::update_listing(state, wx);
    if let Some((bx, _)) = listing::shortage(state, wx, Some(kx)) {
        listing::wait_no_more(state, wx, bx);
        listing::wait_at(state, wx, bx);
    }
}

/// Whether a worker can pay for this action; if it cannot and that helps, it saves for it.
pub(crate) fn pays_for(state: &mut State, wx: Wx, ax: Ax) -> bool {
    let Some(kx) = state.actions.get(ax).map(|action| action.kx) else {
        return false;
    };
    let pays = listing::can_pay(state, wx, Some(kx));
    if !pays && saving_helps(state, wx, kx) {
        save(state, wx, kx);
    }
    pays
}

/// The first action in line that a worker can pay for; those before it, `first` among them, have to wait for a reset
/// whatever is spent until then.
pub(crate) fn affordable(state: &mut State, wx: Wx, first: Key) -> Option<Key> {
    let mut key = first;
    loop {
        if pays_for(state, wx, key.ax) {
            return Some(key);
        }
        let worker = state.workers.get(wx).filter(|worker| !worker.saving)?;
        let routes = state.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
        key = state.queues.next_for(routes, wx, key)?;
    }
}

/// Whether what a worker does not spend now is there when it can pay for an action of this kind. Not if it is short
/// only of what a reset brings anyway.
fn saving_helps(state: &State, wx: Wx, kx: Kx) -> bool {
    let kind = state.kinds.get(kx).map(|kind| kind.id);
    listing::quotas(state, wx).any(|(_, quota)| quota.is_saved_for(state.now, quota.cost(kind)))
}

/// A worker may be given something again, whatever it saved for.
pub(crate) fn stop_saving(state: &mut State, wx: Wx) {
    if let Some(worker) = state.workers.get_mut(wx)
        && std::mem::take(&mut worker.saving)
    {
        listing::update_listing(state, wx);
    }
}
