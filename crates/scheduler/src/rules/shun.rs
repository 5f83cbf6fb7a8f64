//! The last attempt of an action is not spent on a worker that has failed since its last success, if there is another.

use crate::{
    ids::{Ax, Rx, Wx},
    model::retry::RetryHistory,
    state::State,
};

/// Has an action avoid those workers with room that have failed since their last success.
pub(crate) fn shun_free(state: &mut State, ax: Ax, rx: Rx) {
    let pools = state.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
    let pools = pools.iter().filter_map(|px| state.pools.get(*px));
    let entries = pools.flat_map(|pool| pool.free.iter().chain(&pool.prefetch));
    let failing: Vec<Wx> = entries
        .map(|entry| entry.wx)
        .filter(|wx| state.has_failed(*wx))
        .collect();
    avoid_failing(state, ax, &failing);
}

pub(crate) fn avoid_failing(state: &mut State, ax: Ax, failing: &[Wx]) {
    let Some(history) = state
        .actions
        .get_mut(ax)
        .and_then(|action| action.history.as_deref_mut())
    else {
        return;
    };
    for wx in failing {
        if !history.shunned.contains(wx) {
            history.shunned.push(*wx);
        }
        if let Some(worker) = state.workers.get_mut(*wx) {
            worker.shunned_by.insert(ax);
        }
    }
}

/// Ends what `avoid_failing` began.
pub(crate) fn clear_shunned(state: &mut State, ax: Ax) {
    let history = state
        .actions
        .get_mut(ax)
        .and_then(|action| action.history.as_deref_mut());
    let shunned = history.map_or_else(Vec::new, |history| std::mem::take(&mut history.shunned));
    remove_shunned(state, ax, &shunned);
}

/// An action does not avoid these workers any more for their failures.
fn remove_shunned(state: &mut State, ax: Ax, shunned: &[Wx]) {
    for wx in shunned {
        if let Some(worker) = state.workers.get_mut(*wx) {
            worker.shunned_by.remove(&ax);
        }
    }
}

/// Takes a settled action off the lists of the workers that it avoided.
pub(crate) fn forget_shunned(state: &mut State, ax: Ax, history: &RetryHistory) {
    remove_shunned(state, ax, &history.shunned);
}
