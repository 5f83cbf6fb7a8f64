use crate::ids::{AttemptId, Ax, Kx};
use crate::model::latency::Begun;
use crate::moment::Moment;
use crate::state::{Plant, State};
use crate::timers::Timer;
use std::time::Duration;

/// An attempt was given to a worker: if it becomes slow it may get a second one beside it.
pub(crate) fn watch(state: &mut State, ax: Ax, attempt: AttemptId) {
    if state.policy.hedge <= 0.0 {
        return;
    }
    let (now, running) = (state.now, state.tallies.running);
    let all = state.planted(Plant::HedgeAll);
    let action = state.actions.get(ax).filter(|action| action.idempotent || all);
    let Some(kx) = action.map(|action| action.kx) else {
        return;
    };
    let Some(lag) = state.kinds.get_mut(kx).map(|kind| &mut kind.lag) else {
        return;
    };
    lag.attempts += 1;
    let begun = Begun { at: now, ax, attempt };
    begun.push(&mut lag.begun, &state.actions, running);
    look_for_slow(state, kx);
}

/// An attempt had a result after so long.
pub(crate) fn timed(state: &mut State, kx: Kx, took: Duration) {
    let (least, share) = (state.policy.hedge_min, state.policy.hedge);
    if share > 0.0
        && let Some(kind) = state.kinds.get_mut(kx)
    {
        let before = kind.lag.slow;
        kind.lag.took(took, least);
        if kind.lag.slow != before {
            look_for_slow(state, kx);
        }
    }
}

/// Sets the timer for the oldest attempt of a kind that is not slow yet.
pub(crate) fn look_for_slow(state: &mut State, kx: Kx) {
    let Some(lag) = state.kinds.get_mut(kx).map(|kind| &mut kind.lag) else {
        return;
    };
    let wakes = match (lag.slow, lag.begun.front()) {
        (Some(slow), Some(first)) if !lag.is_off() => first.at + slow,
        _ => Moment::NEVER,
    };
    let before = std::mem::replace(&mut lag.wakes, wakes);
    if before != wakes {
        state.timers.clear(before, Timer::Slow(kx));
        state.timers.set(wakes, Timer::Slow(kx));
    }
}

/// A slow attempt has to wait until somebody has nothing to do.
pub(crate) fn remember_slow(state: &mut State, begun: Begun) {
    let Some(rx) = state.actions.get(begun.ax).map(|action| action.rx) else {
        return;
    };
    if let Some(route) = state.queues.routes.get_mut(rx) {
        begun.push(&mut route.slow, &state.actions, state.tallies.running);
    }
}

/// A second attempt is over. `won`: it had the result.
pub(crate) fn hedge_over(state: &mut State, kx: Kx, won: bool) {
    if let Some(kind) = state.kinds.get_mut(kx) {
        kind.lag.over += 1;
        kind.lag.won += u64::from(won);
    }
}
