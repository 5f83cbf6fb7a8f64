//! Takes back accusations of a worker that was taken out.
//!
//! What it did to actions counts no more: their failures there are annulled, once for each action.

use std::collections::BTreeSet;

use crate::{
    ids::{Ax, Kx, Wx},
    model::action::{Action, Phase},
    outcome::Verdict,
    rules::{phase, place},
    state::State,
};

/// An action was given an attempt back. If it was only waiting for that, it goes on.
fn revive(state: &mut State, ax: Ax) {
    let awaits = state.actions.get(ax).is_some_and(|action| {
        let awaits = action
            .history
            .as_deref()
            .is_some_and(|history| history.awaiting_verdict);
        awaits && matches!(action.phase, Phase::Resting { .. })
    });
    if awaits && !state.is_spent(ax) {
        if let Some(history) = state
            .actions
            .get_mut(ax)
            .and_then(|action| action.history.as_deref_mut())
        {
            history.awaiting_verdict = false;
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
    worker.health.decide_all();
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
    worker.health.decide_all();
    annul_each(state, wx, of_it);
}

fn annul_each(state: &mut State, wx: Wx, accusers: BTreeSet<Ax>) {
    let Some(worker) = state.workers.get(wx) else { return };
    let id = worker.id;
    state.dirty_workers.push(wx);
    for ax in accusers {
        let Some(action) = state.actions.get_mut(ax) else {
            continue;
        };
        let Some(history) = action.history.as_deref_mut() else {
            continue;
        };
        let Some(index) = history.accused.iter().position(|accused| accused.wx == wx) else {
            continue;
        };
        let is_free = history.accused.get(index).is_some_and(|accused| accused.spent == 0);
        if !is_free && std::mem::replace(&mut history.revived, true) {
            continue;
        }
        let accused = history.accused.swap_remove(index);
        action.failed = action.failed.saturating_sub(accused.spent);
        state.commands.push(accused.judged(action.id, id, Verdict::Annulled));
        revive(state, ax);
        place::stop_shunning(state, ax);
    }
}
