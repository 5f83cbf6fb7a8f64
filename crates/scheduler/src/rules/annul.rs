use crate::ids::{Ax, Kx, Wx};
use crate::model::action::{Action, Phase};
use crate::outcome::Verdict;
use crate::rules::{phase, place};
use crate::state::State;
use std::collections::BTreeSet;

/// An action was given an attempt back. If it was only waiting for that, it goes on.
fn revive(state: &mut State, ax: Ax) {
    let held = state.actions.get(ax).is_some_and(|action| {
        let held = action.trials.as_deref().is_some_and(|trials| trials.held);
        held && matches!(action.phase, Phase::Resting { .. })
    });
    if held && !state.is_spent(ax) {
        if let Some(trials) = state
            .actions
            .get_mut(ax)
            .and_then(|action| action.trials.as_deref_mut())
        {
            trials.held = false;
        }
        phase::leave(state, ax);
        place::place(state, ax, None);
    }
}

/// A worker was taken out: what failed there was not the actions' fault.
pub(crate) fn annul(state: &mut State, wx: Wx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    worker.record.row.clear();
    let accusers = std::mem::take(&mut worker.accusers);
    annul_each(state, wx, accusers);
}

/// A worker was barred from a kind: what failed there of it was not the actions' fault.
pub(crate) fn annul_kind(state: &mut State, wx: Wx, kx: Kx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let (actions, is_of) = (&state.actions, |action: &Action| action.kx == kx);
    let all = std::mem::take(&mut worker.accusers);
    let (of_it, rest) = all.into_iter().partition(|ax| actions.get(*ax).is_some_and(is_of));
    worker.accusers = rest;
    worker.record.row.clear();
    annul_each(state, wx, of_it);
}

fn annul_each(state: &mut State, wx: Wx, accusers: BTreeSet<Ax>) {
    let Some(worker) = state.workers.get(wx) else { return };
    let id = worker.id;
    state.stirred.push(wx);
    for ax in accusers {
        let Some(action) = state.actions.get_mut(ax) else {
            continue;
        };
        let Some(trials) = action.trials.as_deref_mut() else {
            continue;
        };
        let Some(index) = trials.accused.iter().position(|accused| accused.wx == wx) else {
            continue;
        };
        let is_free = trials.accused.get(index).is_some_and(|accused| accused.spent == 0);
        if !is_free && std::mem::replace(&mut trials.revived, true) {
            continue;
        }
        let accused = trials.accused.swap_remove(index);
        action.failed = action.failed.saturating_sub(accused.spent);
        state.commands.push(accused.judged(action.id, id, Verdict::Annulled));
        revive(state, ax);
        place::is_less_choosy(state, ax);
    }
}
