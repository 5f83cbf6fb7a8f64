//! Takes an action out of its phase, or has it rest.

use crate::{
    ids::{Ax, Rx},
    model::{
        action::Phase,
        order::{Key, Turn},
    },
    moment::Moment,
    outcome::End,
    rules::slow,
    state::State,
    timers::Timer,
};

/// An action has failed and will be tried again: before fresh work, or when the run has retried too much, after it.
pub(crate) fn charge(state: &mut State, ax: Ax) {
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    action.turn = match state.retry_budget.take() {
        true => Turn::Soon,
        false => Turn::Late,
    };
}

/// Takes an action out of the state that it is in.
pub(crate) fn leave(state: &mut State, ax: Ax) {
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    let (rx, key) = (action.rx, action.key(ax));
    if action
        .history
        .as_deref()
        .is_some_and(|history| !history.votes.is_empty())
        && let Some(route) = state.queues.routes.get_mut(rx)
    {
        route.voting.remove(&ax);
    }
    match std::mem::replace(&mut action.phase, Phase::Between) {
        Phase::Between => {}
        Phase::Waiting { group, patience, .. } => {
            state.queues.remove(rx, group, key);
            leave_solo(state, rx, key);
            state.timers.clear(patience, Timer::Patience(ax));
            state.tallies.waiting -= 1;
        }
        Phase::Resting { until } => {
            if let Some(route) = state.queues.routes.get_mut(rx) {
                route.resting.remove(&ax);
            }
            state.timers.clear(until, Timer::Rested(ax));
            state.tallies.backing_off -= 1;
        }
        Phase::Running { second, .. } => {
            state.tallies.running -= 1;
            state.tallies.second -= usize::from(second.is_some());
        }
    }
}

/// An action that is in no state has stood behind fresh work for long enough.
pub(crate) fn end_deferral(state: &mut State, ax: Ax) {
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    if let Some(history) = action.history.as_deref_mut()
        && history.busy_replies.end_deferral()
    {
        action.turn = Turn::Fresh;
    }
}

/// An attempt of an action is over: it has one run less. True: another one goes on.
pub(crate) fn run_over(state: &mut State, ax: Ax, number: u32, end: End) -> bool {
    let Some(action) = state.actions.get_mut(ax) else {
        return false;
    };
    let Phase::Running {
        first,
        second: Some(second),
    } = action.phase
    else {
        leave(state, ax);
        return false;
    };
    let kx = action.kx;
    let rest = if second.number == number { first } else { second };
    action.phase = Phase::Running {
        first: rest,
        second: None,
    };
    state.tallies.second -= 1;
    if second.number == number || end == End::Ok {
        slow::hedge_over(state, kx, second.number == number && end == End::Ok);
    }
    true
}

/// Keeps an action that has no attempt left until there is a verdict on a worker that failed it.
pub(crate) fn await_verdict(state: &mut State, ax: Ax) {
    if let Some(history) = state
        .actions
        .get_mut(ax)
        .and_then(|action| action.history.as_deref_mut())
    {
        history.awaiting_verdict = true;
    }
    rest(state, ax, state.later(state.policy.patience));
}

pub(crate) fn rest(state: &mut State, ax: Ax, until: Moment) {
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    action.phase = Phase::Resting { until };
    let rx = action.rx;
    if let Some(route) = state.queues.routes.get_mut(rx) {
        route.resting.insert(ax);
    }
    note_voting(state, ax, rx);
    state.timers.set(until, Timer::Rested(ax));
    state.tallies.backing_off += 1;
}

/// Remembers that an action which waits or rests has votes.
pub(crate) fn note_voting(state: &mut State, ax: Ax, rx: Rx) {
    if !state.votes(ax).is_empty()
        && let Some(route) = state.queues.routes.get_mut(rx)
    {
        route.voting.insert(ax);
    }
}

/// Takes a solo action out of line. If it was the last, no worker is kept free any more.
fn leave_solo(state: &mut State, rx: Rx, key: Key) {
    let Some(route) = state.queues.routes.get_mut(rx) else {
        return;
    };
    if !route.solo.remove(&key) || !route.solo.is_empty() {
        return;
    }
    if let Some(wx) = route.reserved.take()
        && let Some(worker) = state.workers.get_mut(wx)
        && worker.reserved_for.take_if(|kept| *kept == rx).is_some()
    {
        state.dirty_workers.push(wx);
    }
}
