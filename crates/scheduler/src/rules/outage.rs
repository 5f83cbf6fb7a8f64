//! When a whole pool fails: the service is down, or the work is bad, and no worker is to blame.
//!
//! No worker would be convicted then anyway, since nothing succeeds elsewhere. But attempt after attempt would be spent
//! on a service that is not there. So after a while in which a pool had no success, with enough failures from enough
//! actions on enough workers, it is only *probed*. Traps do not count: an outage makes no worker trap, bad actions do.
//!
//! If a shorter burst goes on, the workers that fail in it pause, longer the longer it takes, and are then tried with
//! actions that never failed. The first of them that succeeds ends the pauses of all. Actions that failed in a streak,
//! by a trap or not, which a success ended soon, and fail again, are bad ones: no worker pauses for these.
//!
//! A pool in which nothing ever worked is neither probed nor does it pause: more likely than a service that is down
//! when the run begins are a mistake in each action or in the workers' code, and then a run is to end soon and report
//! it.

use std::time::Duration;

use crate::{
    command::Command,
    ids::{ActionId, Px, Wx},
    model::{
        health::{Standing, Trust},
        outage::{BURSTS, Burst, Probe},
        pool::Pool,
    },
    moment::Moment,
    policy::Blame,
    rules::standing,
    state::State,
    timers::Timer,
};

/// Whether neither a pool nor any other that serves the same kinds ever had a success, and each of their workers has
/// failed: then the work is bad or the workers are, and it is to end soon. A service that is down when a run begins
/// looks the same; the last attempts of actions wait for it, see `may_be_down`.
pub(crate) fn is_hopeless(state: &State, px: Px) -> bool {
    let is_lost = |pool: &Pool| !pool.has_worked && pool.failing >= pool.usable;
    state
        .pools
        .get(px)
        .is_some_and(|pool| is_lost(pool) && pool.routes.iter().all(|rx| state.over_route(*rx).all(is_lost)))
}

/// An attempt was given to a worker of a pool.
#[inline]
pub(crate) fn count_probe(state: &mut State, px: Px) {
    let until = state.later(state.policy.probe_every);
    let Some(probe) = state.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
        return;
    };
    if probe.spend(until) {
        state.timers.set(until, Timer::Probe(px));
    }
}

/// A worker of this pool failed an action.
pub(crate) fn note_failure(state: &mut State, px: Px, wx: Wx, action: ActionId) {
    let now = state.now;
    note_streak(state, px, action);
    let is_news = !fails_again(state, wx, action);
    if let Some(pool) = state.pools.get_mut(px) {
        pool.bursts.failed(now, wx, is_news, pool.usable);
    }
}

/// Most workers of a pool failed, and now one of them succeeded: the pauses of the others are over.
fn end_pauses(state: &mut State, slowed: &[Wx]) {
    for wx in slowed {
        let Some(Standing::Usable { trust, rest }) = state.workers.get(*wx).map(|worker| worker.standing) else {
            continue;
        };
        let trust = match trust {
            Trust::Suspect { .. } => Trust::Suspect { further: 0 },
            trust => trust,
        };
        let now = state.now;
        if let Some(worker) = state.workers.get_mut(*wx) {
            worker.health.restart_failing(now);
        }
        let rest = rest.undamped();
        standing::set_standing(state, *wx, Standing::Usable { trust, rest });
        state.dirty_workers.push(*wx);
    }
}

/// Whether a worker has failed since its last success, as most of its pool for so long that they are slowed down for
/// it. It is to be probed with what never failed: if the front of the line is bad work, that is found out.
pub(crate) fn is_slowed_with_pool(state: &State, wx: Wx) -> bool {
    let worker = state.workers.get(wx).filter(|worker| worker.health.is_failing());
    worker.is_some_and(|_| burst(state, wx).is_some_and(|burst| burst.is_long()))
}

/// The burst in which this worker fails since its last success as most of its pool. Not if it failed before: then it is
/// no better for the others being worse.
pub(crate) fn burst(state: &State, wx: Wx) -> Option<Burst> {
    let worker = state.workers.get(wx)?;
    let pool = state.pools.get(worker.px).filter(|pool| pool.has_worked)?;
    let burst = pool.bursts.now(state.now, pool.usable)?;
    worker.health.is_failing_since(burst.since).then_some(burst)
}

/// A worker of this pool failed an action in a way that a service which is down explains.
pub(crate) fn note_outage(state: &mut State, px: Px, wx: Wx, action: ActionId) {
    let (now, pause, after) = (state.now, state.policy.probe_every, state.policy.systemic_after);
    if state.policy.blame != Blame::Deferred {
        return;
    }
    if fails_again(state, wx, action) {
        return probe_again(state, px);
    }
    let Some(pool) = state.pools.get_mut(px) else { return };
    pool.streak.note_failure(now, wx, action);
    let is_outage = pool.streak.is_outage(now, after, pool.usable);
    if !is_outage || !pool.has_worked || pool.probe.is_some() {
        return;
    }
    pool.probe = Some(Probe::paused(now + pause));
    let pool = pool.id;
    state.timers.set(now + pause, Timer::Probe(px));
    state.commands.push(Command::Systemic { pool, on: true });
}

/// Takes note that an action failed in the row of failures that its pool is in.
fn note_streak(state: &mut State, px: Px, action: ActionId) {
    let ax = state.actions.slot(action);
    let pool = state.pools.get_mut(px);
    let (Some(pool), Some(action)) = (pool, ax.and_then(|ax| state.actions.get_mut(ax))) else {
        return;
    };
    pool.streak.begin();
    let history = action.history.get_or_insert_default();
    if history.last_streak != Some(pool.streak.number()) {
        history.fails_again |= pool.refutes(history.last_streak);
        history.last_streak = Some(pool.streak.number());
    }
}

/// Whether an action failed in an earlier row of failures of this worker's pool, which a success of another one ended
/// so soon that nothing but the action explains it.
pub(crate) fn fails_again(state: &State, wx: Wx, action: ActionId) -> bool {
    let pool = state.workers.get(wx).and_then(|worker| state.pools.get(worker.px));
    let ax = state.actions.slot(action);
    let history = ax.and_then(|ax| state.actions.get(ax)?.history.as_deref());
    pool.zip(history)
        .is_some_and(|(pool, history)| history.fails_again || pool.refutes(history.last_streak))
}

/// This worker of the pool had a result, after `took`.
pub(crate) fn note_success(state: &mut State, px: Px, wx: Wx, took: Duration) {
    let now = state.now;
    let Some(pool) = state.pools.get_mut(px) else { return };
    let had_worked = std::mem::replace(&mut pool.has_worked, true);
    let slowed = pool.bursts.slowed_with(wx, now, pool.usable);
    pool.bursts.worked(now.before(took));
    if let Some(streak) = pool.streak.end() {
        if had_worked && streak.is_outage(now, state.policy.systemic_after, pool.usable) {
            if pool.long_streaks.len() >= BURSTS {
                pool.long_streaks.pop_front();
            }
            pool.long_streaks.push_back(streak.number());
        }
        pool.outage = streak.outage(now, pool.usable).or(pool.outage);
    }
    end_pauses(state, &slowed);
    let Some(probe) = state.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
        return;
    };
    let (is_over, until) = probe.note_success();
    if is_over && let Some(pool) = state.pools.get_mut(px) {
        pool.probe = None;
        state.commands.push(Command::Systemic {
            pool: pool.id,
            on: false,
        });
    }
    state.timers.clear(until, Timer::Probe(px));
    mark_free_dirty(state, px);
}

/// Whether nothing worked in a pool at that moment, so that a failure then is no evidence against its worker.
pub(crate) fn was_out(state: &State, px: Px, at: Moment) -> bool {
    let outage = state.pools.get(px).and_then(|pool| pool.outage);
    outage.is_some_and(|outage| (outage.since..=outage.until).contains(&at))
}

/// The pause is over.
pub(crate) fn probe(state: &mut State, px: Px) {
    let Some(probe) = state.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
        return;
    };
    probe.resume();
    mark_free_dirty(state, px);
}

/// A probe was spent on an action that proves nothing about the service: another one may be made at once.
pub(crate) fn probe_again(state: &mut State, px: Px) {
    let Some(probe) = state.pools.get_mut(px).and_then(|pool| pool.probe.as_mut()) else {
        return;
    };
    let until = probe.give_back();
    state.timers.clear(until, Timer::Probe(px));
    mark_free_dirty(state, px);
}

/// Has every worker of a pool that has room look for work.
fn mark_free_dirty(state: &mut State, px: Px) {
    let Some(pool) = state.pools.get(px) else { return };
    let free = pool.free.iter().chain(&pool.prefetch).map(|entry| entry.wx);
    state.dirty_workers.extend(free);
}
