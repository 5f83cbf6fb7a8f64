//! Watches for attempts that take longer than others of their kind.

use std::time::Duration;

use crate::{
    ids::{AttemptId, Ax, Kx},
    model::latency::{Latency, RunningAttempt},
    state::{Mutation, State},
    timers::Timer,
};

/// An attempt was given to a worker: if it becomes slow it may get a second one beside it.
#[inline]
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
    let begun = RunningAttempt { at: now, ax, attempt };
    latency.note_attempt(begun, state.actions.slab(), running);
    look_for_slow(state, kx);
}

/// An attempt had a result after so long.
#[inline]
pub(crate) fn note_duration(state: &mut State, kx: Kx, took: Duration) {
    let (least, share) = (state.policy.hedge_min, state.policy.hedge);
    if share > 0.0
        && let Some(kind) = state.kinds.get_mut(kx)
        && kind.latency.note_duration(took, least)
    {
        look_for_slow(state, kx);
    }
}

/// Sets the timer for the oldest attempt of a kind that is not slow yet.
pub(crate) fn look_for_slow(state: &mut State, kx: Kx) {
    let latency = state.kinds.get_mut(kx).map(|kind| &mut kind.latency);
    if let Some((before, wakes)) = latency.and_then(Latency::reschedule) {
        state.timers.clear(before, Timer::Slow(kx));
        state.timers.set(wakes, Timer::Slow(kx));
    }
}

/// A slow attempt has to wait until a worker is idle.
pub(crate) fn remember_slow(state: &mut State, begun: RunningAttempt) {
    let Some(rx) = state.actions.get(begun.ax).map(|action| action.rx) else {
        return;
    };
    if let Some(route) = state.queues.routes.get_mut(rx) {
        begun.push(&mut route.slow, state.actions.slab(), state.tallies.running);
    }
}

/// A second attempt is over. `won`: it had the result.
pub(crate) fn hedge_over(state: &mut State, kx: Kx, won: bool) {
    if let Some(kind) = state.kinds.get_mut(kx) {
        kind.latency.end_hedge(won);
    }
}
