//! Second attempts beside slow ones.
//!
//! Most attempts of a kind take about as long as each other, and some take much longer for no reason of their own: a
//! slow machine, a lost packet. Where a second run does no harm and a worker is idle, a slow attempt gets another
//! beside it, on another worker, and the first result counts. This is only ever spare time: nothing may wait, few
//! attempts get a second one, and a kind for which they seldom win gets none any more.

use crate::{
    command::Command,
    ids::{Kx, Rx, Wx},
    model::{
        action::Phase,
        health::{Standing, Trust},
        latency::RunningAttempt,
        retry::Exclusion,
        worker::Capacity,
    },
    rules::{assign, eligible, listing, slow},
    state::State,
};

/// How many slow attempts a worker that has nothing to do looks at. Arbitrary: one that may have a second one is nearly
/// always among the first.
const LOOKS: usize = 16;

/// The oldest attempts of a kind are slow by now.
pub(crate) fn slowed_down(state: &mut State, kx: Kx) {
    let now = state.now;
    if let Some(kind) = state.kinds.get_mut(kx) {
        kind.latency.wake();
    }
    while let Some(kind) = state.kinds.get_mut(kx)
        && let Some(first) = kind.latency.pop_slow(now, state.actions.slab())
    {
        if !hedge_anywhere(state, first) {
            slow::remember_slow(state, first);
        }
    }
    slow::look_for_slow(state, kx);
}

/// Gives a slow attempt a second one, if it may have one and a worker is idle.
fn hedge_anywhere(state: &mut State, begun: RunningAttempt) -> bool {
    let Some((rx, kx, avoid)) = may_hedge(state, begun) else {
        return false;
    };
    let best = assign::best(
        state,
        rx,
        kx,
        &avoid,
        |pool| &pool.free,
        |entry| may_help(state, entry.wx),
    );
    if let Some(wx) = best {
        hedge(state, begun, wx);
    }
    best.is_some()
}

/// A worker has room, and nothing waits for it: it may help with a slow attempt.
pub(crate) fn hedge_idle(state: &mut State, wx: Wx) {
    let Some(px) = state.workers.get(wx).map(|worker| worker.px) else {
        return;
    };
    let mut index = 0;
    while let Some(rx) = state.route(px, index) {
        index += 1;
        while let Some(begun) = slow_for(state, rx, wx) {
            if !may_help(state, wx) {
                return;
            }
            hedge(state, begun, wx);
        }
    }
}

/// The longest known slow attempt of a route that this worker may help with.
fn slow_for(state: &mut State, rx: Rx, wx: Wx) -> Option<RunningAttempt> {
    let mut index = 0;
    while index < LOOKS {
        let begun = state.queues.routes.get(rx)?.slow.get(index).copied()?;
        if !begun.is_lone(state.actions.slab()) {
            state.queues.routes.get_mut(rx)?.slow.remove(index);
            continue;
        }
        if let Some((_, kx, avoid)) = may_hedge(state, begun)
            && avoid.binary_search(&wx).is_err()
            && listing::could_pay(state, wx, kx)
        {
            state.queues.routes.get_mut(rx)?.slow.remove(index);
            return Some(begun);
        }
        index += 1;
    }
    None
}

/// Where a second attempt may go and where not. None: there may be none.
fn may_hedge(state: &State, begun: RunningAttempt) -> Option<(Rx, Kx, Vec<Wx>)> {
    let action = state.actions.get(begun.ax)?;
    let Phase::Running { first, second: None } = action.phase else {
        return None;
    };
    let may = state.kinds.get(action.kx)?.latency.may(state.policy.hedge);
    let nothing_waits = nothing_waits(state, action.rx);
    let is_believed = state.workers.get(first.wx).is_some_and(|worker| worker.ox.is_none());
    if !may || !nothing_waits || state.draining || action.is_solo() || !is_believed {
        return None;
    }
    let mut avoid = eligible::avoided(state, begun.ax, Exclusion::Tried);
    if let Err(index) = avoid.binary_search(&first.wx) {
        avoid.insert(index, first.wx);
    }
    Some((action.rx, action.kx, avoid))
}

/// Whether nothing waits in this route, nor in another one of the same pools.
fn nothing_waits(state: &State, rx: Rx) -> bool {
    let pools = state.queues.routes.get(rx).map(|route| &route.pools);
    let first = pools.and_then(|pools| state.pools.get(*pools.first()?));
    let mut routes = first.map_or(&[][..], |pool| &pool.routes).iter();
    let is_same = |other: &Rx| state.queues.routes.get(*other).map(|route| &route.pools) == pools;
    state.queues.is_empty(rx) && routes.all(|other| !is_same(other) || state.queues.is_empty(*other))
}

/// Whether a worker would begin at once and is in good standing: others have enough to prove.
fn may_help(state: &State, wx: Wx) -> bool {
    state.workers.get(wx).is_some_and(|worker| {
        let healthy = matches!(
            worker.standing,
            Standing::Usable {
                trust: Trust::Healthy,
                ..
            }
        );
        worker.listed.0 == Capacity::Slot && worker.ox.is_none() && healthy && !state.is_systemic(worker.px)
    })
}

fn hedge(state: &mut State, begun: RunningAttempt, wx: Wx) {
    let Some(kx) = state.actions.get(begun.ax).map(|action| action.kx) else {
        return;
    };
    if let Some(kind) = state.kinds.get_mut(kx) {
        kind.latency.note_hedge();
    }
    state.commands.push(Command::Hedge { attempt: begun.attempt });
    assign::assign(state, begun.ax, wx);
}
