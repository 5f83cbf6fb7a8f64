//! Accepts and cancels actions.

use crate::{
    command::Command,
    event::Spec,
    ids::{ActionId, Ax},
    model::{
        action::{Action, Phase},
        order::Turn,
    },
    outcome::{Outcome, Reason},
    rules::place,
    state::State,
    timers::Timer,
};

/// Accepts an action and places it, or refuses it at once.
#[inline]
pub(crate) fn submit(state: &mut State, id: ActionId, spec: Spec) {
    if let Some(ax) = accept(state, id, spec) {
        place::place(state, ax, None);
    }
}

/// Accepts an action, which is in no state then. None: it is refused at once, or known already.
#[inline]
pub(crate) fn accept(state: &mut State, id: ActionId, spec: Spec) -> Option<Ax> {
    if state.actions.contains(id) {
        return None;
    }
    // A kind that was never defined is served by no pool.
    let kx = state.kinds.slot(spec.kind);
    let route = kx.and_then(|kx| Some((kx, state.kinds.get(kx)?.rx)));
    let reason = match route {
        _ if spec.deadline <= state.now => Reason::Deadline,
        None => Reason::Unroutable,
        Some((kx, rx)) => {
            let ax = state.actions.insert(
                id,
                Action {
                    id,
                    task: spec.task,
                    deadline: spec.deadline,
                    rx,
                    kx,
                    priority: spec.priority,
                    attempts: match spec.attempts {
                        0 => state.policy.attempts,
                        own => own,
                    },
                    idempotent: spec.idempotent,
                    number: 0,
                    failed: 0,
                    losses: 0,
                    turn: Turn::Fresh,
                    phase: Phase::Between,
                    history: None,
                },
            );
            state.timers.set(spec.deadline, Timer::Deadline(ax));
            return Some(ax);
        }
    };
    state.commands.push(Command::Settle {
        action: id,
        outcome: Outcome::Failed(reason),
    });
    None
}

/// Settles an action that its task does not want any more.
pub(crate) fn cancel(state: &mut State, id: ActionId) {
    if let Some(ax) = state.actions.slot(id) {
        state.fail(ax, Reason::Cancelled);
    }
}
