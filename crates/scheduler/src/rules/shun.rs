use crate::ids::{Ax, Rx, Wx};
use crate::model::retry::Trials;
use crate::state::State;

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
    let Some(trials) = state
        .actions
        .get_mut(ax)
        .and_then(|action| action.trials.as_deref_mut())
    else {
        return;
    };
    for wx in failing {
        if !trials.shunned.contains(wx) {
            trials.shunned.push(*wx);
        }
        if let Some(worker) = state.workers.get_mut(*wx) {
            worker.shunned_by.insert(ax);
        }
    }
}

/// Ends what `avoid_failing` began.
pub(crate) fn shuns_none(state: &mut State, ax: Ax) {
    let trials = state
        .actions
        .get_mut(ax)
        .and_then(|action| action.trials.as_deref_mut());
    let shunned = trials.map_or_else(Vec::new, |trials| std::mem::take(&mut trials.shunned));
    is_shunned_no_more(state, ax, &shunned);
}

/// An action does not avoid these workers any more for their failures.
fn is_shunned_no_more(state: &mut State, ax: Ax, shunned: &[Wx]) {
    for wx in shunned {
        if let Some(worker) = state.workers.get_mut(*wx) {
            worker.shunned_by.remove(&ax);
        }
    }
}

/// Takes a settled action off the lists of the workers that it avoided.
pub(crate) fn forget_shunned(state: &mut State, ax: Ax, trials: &Trials) {
    is_shunned_no_more(state, ax, &trials.shunned);
}
