use crate::ids::{AttemptId, Ax, Kx};
use crate::model::latency::RunningAttempt;
use crate::moment::Moment;
use crate::state::{Mutation, State};
use crate::timers::Timer;
use std::time::Duration;

/// An attempt was given to a worker: if it becomes slow it may get a second one beside it.
pub(crate) fn watch(state: &mut State, ax: Ax, attempt: AttemptId) {
    if state.policy.hedge <= 0.0 {
        return;
    }
    let (now, running) = (state.now, state.tallies.running);
    let all = state.fault_injected(Mutation::HedgeAll);
    let action = state.actions.get(ax).filter(|action| action.idempotent || all);
    let Some(kx) = action.map(|action| action.kx) else {
        return;
    };
    let Some(latency) = state.kinds.get_mut(kx).map(|kind| &mut kind.latency) else {
        return;
    };
    latency.attempts += 1;
    let begun = RunningAttempt { at: now, ax, attempt };
    begun.push(&mut latency.begun, &state.actions, running);
    look_for_slow(state, kx);
}

/// An attempt had a result after so long.
pub(crate) fn note_duration(state: &mut State, kx: Kx, took: Duration) {
    let (least, share) = (state.policy.hedge_min, state.policy.hedge);
    if share > 0.0
        && let Some(kind) = state.kinds.get_mut(kx)
    {
        let before = kind.latency.slow;
        kind.latency.took(took, least);
        if kind.latency.slow != before {
            look_for_slow(state, kx);
        }
    }
}

/// Sets the timer for the oldest attempt of a kind that is not slow yet.
pub(crate) fn look_for_slow(state: &mut State, kx: Kx) {
    let Some(latency) = state.kinds.get_mut(kx).map(|kind| &mut kind.latency) else {
        return;
    };
    let wakes = match (latency.slow, latency.begun.front()) {
        (Some(slow), Some(first)) if !latency.is_off() => first.at + slow,
        _ => Moment::NEVER,
    };
    let before = std::mem::replace(&mut latency.wakes, wakes);
    if before != wakes {
        state.timers.clear(before, Timer::Slow(kx));
        state.timers.set(wakes, Timer::Slow(kx));
    }
}

/// A slow attempt has to wait until somebody has nothing to do.
pub(crate) fn remember_slow(state: &mut State, begun: RunningAttempt) {
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
        kind.latency.over += 1;
        kind.latency.won += u64::from(won);
    }
}
