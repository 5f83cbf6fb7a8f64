//! Settles an action: its task is told once, and the verdicts on the workers that failed it are queued.

use crate::{
    command::Command,
    ids::{AttemptId, Ax, Px, Wx},
    model::accusation::Closed,
    outcome::{Outcome, Reason},
    rules::{eligible, phase, rest, shun, slow, verdict},
    state::{Mutation, State},
    timers::Timer,
};

/// Tells the task and forgets the action. `by`: the worker whose result it is.
pub(crate) fn settle(state: &mut State, ax: Ax, outcome: Outcome, by: Option<Wx>) {
    let runs = state.runs(ax);
    phase::leave(state, ax);
    let Some(action) = state.actions.remove(ax, |action| action.id) else {
        return;
    };
    let (id, kx, rx) = (action.id, action.kx, action.rx);
    state.timers.clear(action.deadline, Timer::Deadline(ax));
    let stopped = if state.fault_injected(Mutation::KeepSecond) {
        0
    } else {
        2
    };
    for (index, run) in runs.take(stopped).enumerate() {
        let Some(worker) = state.workers.get_mut(run.wx) else {
            continue;
        };
        state.commands.push(Command::Stop {
            attempt: AttemptId {
                action: action.id,
                number: run.number,
            },
            worker: worker.id,
        });
        if action.is_solo() {
            // An attempt that is being stopped does not need the worker for itself.
            worker.solo = false;
            state.dirty_workers.push(run.wx);
        }
        if index > 0 {
            slow::hedge_over(state, kx, false);
        }
    }
    let settle = Command::Settle {
        action: action.id,
        outcome,
    };
    state.commands.push(settle);
    if state.fault_injected(Mutation::SettleTwice) {
        state.commands.push(settle);
    }
    match outcome {
        Outcome::Done { .. } => state.tallies.done += 1,
        Outcome::Failed(_) => state.tallies.failed += 1,
    }
    let closed = Closed { ax, id, kx };
    if let Some(history) = &action.history {
        shun::forget_shunned(state, ax, history);
        rest::note_fate(state, closed, history.has_rested, outcome);
    }
    let accused = action.history.map_or(Vec::new(), |history| history.accused);
    match outcome {
        _ if accused.is_empty() => {}
        Outcome::Done { .. } => verdict::convict(state, closed, by, &accused),
        Outcome::Failed(Reason::Poison | Reason::Permanent | Reason::Oversize) => {
            verdict::blame_action(state, closed, &accused);
        }
        Outcome::Failed(_) => verdict::close(state, closed, rx, &accused),
    }
}

/// Settles what no worker can take any more, after a worker of this pool is out for good.
pub(crate) fn fail_unroutable(state: &mut State, px: Px) {
    let routes = state.pools.get(px).map_or_else(Vec::new, |pool| pool.routes.clone());
    for rx in routes {
        if state.is_unroutable(rx) {
            for ax in state.queues.all(rx) {
                state.fail(ax, Reason::Unroutable);
            }
        }
        for ax in eligible::voting(state, rx) {
            if eligible::is_out_of_voters(state, ax, rx) {
                state.fail(ax, Reason::Unroutable);
            }
        }
    }
}
