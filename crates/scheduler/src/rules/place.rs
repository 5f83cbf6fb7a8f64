//! Where an action goes next: which workers it avoids, for how long, and when it rests.
//!
//! An exclusion is a wish, never a sentence. An action avoids every worker that failed it while there is one that did
//! not; it avoids less the longer it waits; and when all were tried it rests and starts over. So a pool of one still
//! retries, and no action waits for a worker that does not come.

use crate::{
    command::Command,
    ids::{AttemptId, Ax, Ox, Px, Rx, Wx},
    model::{action::Phase, retry::Exclusion},
    moment::Moment,
    outcome::{Health, Reason},
    rng::doubled,
    rules::{assign, eligible, phase, rest, saving, shun, solo},
    state::{Mutation, State},
    timers::Timer,
};

/// How many times as late the last attempt of an action is while its service may be down. Arbitrary: three seconds by
/// default are what a restart behind a proxy takes, and no more than one waits for the failure of a line that is wrong.
const DOWN: u32 = 3;

/// What to do with an action that is to run.
enum Plan {
    /// No worker can ever take it.
    Unroutable,
    /// Wait until then, and look again.
    Rest { until: Moment },
    /// Take the first worker that is not barred.
    Queue(Exclusion),
}

/// A worker of this owner has joined a pool: actions on which the owner has voted already avoid it.
pub(crate) fn owner_joined(state: &mut State, px: Px, ox: Ox) {
    let routes = state.pools.get(px).map_or_else(Vec::new, |pool| pool.routes.clone());
    for rx in routes {
        avoid_owner(state, rx, ox);
    }
}

fn avoid_owner(state: &mut State, rx: Rx, ox: Ox) {
    for ax in eligible::voting(state, rx) {
        let waits = matches!(
            state.actions.get(ax).map(|action| action.phase),
            Some(Phase::Waiting { .. })
        );
        if waits && state.votes(ax).iter().any(|vote| vote.ox == ox) {
            place_again(state, ax);
        }
    }
}

/// Remembers that an action failed on a worker.
pub(crate) fn remember(state: &mut State, ax: Ax, wx: Wx) {
    if state.fault_injected(Mutation::SameWorker) {
        return;
    }
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    action.history.get_or_insert_default().remember(wx);
}

/// Finds the next state of an action that is in none. `failed`: its attempt that just failed and the worker, for
/// the report.
pub(crate) fn place(state: &mut State, ax: Ax, failed: Option<(AttemptId, Wx)>) {
    let mut plan = plan(state, ax);
    if failed.is_some() {
        if let Some(history) = state
            .actions
            .get_mut(ax)
            .and_then(|action| action.history.as_deref_mut())
        {
            history.busy_replies.end_deferral();
        }
        plan = spread(state, ax, plan);
    }
    if let Plan::Rest { until } = &mut plan {
        *until = rest::until(state, ax, *until);
    }
    if let Some((attempt, wx)) = failed
        && let Some(worker) = state.workers.get(wx)
    {
        let at = match plan {
            Plan::Unroutable => None,
            Plan::Rest { until } => Some(until),
            Plan::Queue(_) => Some(state.now),
        };
        state.commands.extend(at.map(|at| Command::Retry {
            attempt,
            worker: worker.id,
            at,
        }));
    }
    carry_out(state, ax, plan, state.later(state.policy.patience));
}

/// Has an action that failed rest from its second failure on, even if there is a worker that it was not tried on:
/// whatever is wrong for a moment is wrong on all of them. Its last attempt is no sooner than the shortest backoff
/// after its first failure.
fn spread(state: &mut State, ax: Ax, plan: Plan) -> Plan {
    let Some(action) = state.actions.get(ax) else {
        return plan;
    };
    let Some(first) = action.history.as_deref().and_then(|history| history.first_failed) else {
        return plan;
    };
    let (failed, most, least) = (action.failed, state.attempts_max(action), state.policy.backoff_min);
    if failed < 2 || least.is_zero() {
        return plan;
    }
    let earliest = match failed + 1 >= most {
        true if may_be_down(state, ax, first) => first + least.saturating_mul(DOWN),
        true => first + least,
        false => state.now,
    };
    let until = match plan {
        Plan::Unroutable => return plan,
        Plan::Rest { until } => until,
        Plan::Queue(_) => {
            // Together these rests take as long as the shortest backoff on average.
            let rests = most.saturating_sub(2).max(1);
            let wait = state.rng.up_to(least.saturating_mul(2) / rests);
            state.later(wait)
        }
    };
    match until.max(earliest) {
        until if until > state.now => Plan::Rest { until },
        _ => plan,
    }
}

/// Whether a service that is down explains all failures of an action: none of them is a trap, and no attempt that began
/// since the first has succeeded in a pool that serves it.
fn may_be_down(state: &State, ax: Ax, first: Moment) -> bool {
    let Some(action) = state.actions.get(ax) else {
        return false;
    };
    let works = state.has_worked_since(action.rx, first);
    action.history.as_deref().is_some_and(|history| !history.has_trapped) && !works
}

/// As `place`, of an action that stands behind fresh work, or avoids workers, until then.
pub(crate) fn place_until(state: &mut State, ax: Ax, patience: Moment) {
    let plan = plan(state, ax);
    carry_out(state, ax, plan, patience);
}

/// Places an action again that waits and avoids every usable worker. Its patience goes on: workers that come and go
/// must not make it wait for ever.
pub(crate) fn place_again(state: &mut State, ax: Ax) {
    let Some(Phase::Waiting { bar, patience, .. }) = state.actions.get(ax).map(|action| action.phase) else {
        return;
    };
    phase::leave(state, ax);
    let plan = match bar {
        Exclusion::Last | Exclusion::None => Plan::Queue(Exclusion::None),
        Exclusion::Tried | Exclusion::AllBut(_) => plan(state, ax),
    };
    carry_out(state, ax, plan, patience);
}

/// `patience`: until when it avoids workers, should it have to wait.
fn carry_out(state: &mut State, ax: Ax, plan: Plan, patience: Moment) {
    match plan {
        Plan::Unroutable => state.fail(ax, Reason::Unroutable),
        Plan::Rest { until } => phase::rest(state, ax, until),
        Plan::Queue(bar) => queue(state, ax, bar, patience),
    }
}

fn plan(state: &mut State, ax: Ax) -> Plan {
    let Some(rx) = state.actions.get(ax).map(|action| action.rx) else {
        return Plan::Queue(Exclusion::None);
    };
    if state.is_unroutable(rx) || eligible::is_out_of_voters(state, ax, rx) {
        return Plan::Unroutable;
    }
    if state.actions.get(ax).is_none_or(|action| action.history.is_none()) {
        return Plan::Queue(Exclusion::None);
    }
    shun::clear_shunned(state, ax);
    let usable = eligible::allowed(state, ax, rx);
    let barred: Vec<Wx> = eligible::barred(state, ax).collect();
    let workers = &state.workers;
    let is_usable =
        |wx: &Wx| !barred.contains(wx) && workers.get(*wx).is_some_and(|worker| worker.standing.is_usable());
    let Some(history) = state.actions.get_mut(ax).and_then(|action| action.history.as_mut()) else {
        return Plan::Queue(Exclusion::None);
    };
    history.forget(|wx| {
        workers
            .get(wx)
            .is_none_or(|worker| worker.standing.health() == Health::Gone)
    });
    if history.failed_on().is_empty() {
        return Plan::Queue(Exclusion::None);
    }
    // No worker is usable: the first that is again has all of them looked at.
    if usable == 0 || history.failed_on().iter().filter(|wx| is_usable(wx)).count() < usable {
        return Plan::Queue(Exclusion::Tried);
    }
    if let Some(turn) = history.next_turn(is_usable) {
        return Plan::Queue(Exclusion::AllBut(turn));
    }
    let longest = doubled(
        state.policy.backoff_min,
        history.begin_round(),
        state.policy.backoff_max,
    );
    let wait = state.rng.up_to(longest);
    Plan::Rest {
        until: state.later(wait),
    }
}

/// Gives an action to the best worker that it does not avoid; if there is none, it stands in line.
fn queue(state: &mut State, ax: Ax, bar: Exclusion, patience: Moment) {
    let Some(action) = state.actions.get(ax) else { return };
    let (rx, kx, key) = (action.rx, action.kx, action.key(ax));
    let mut avoid = eligible::avoided(state, ax, bar);
    let solo = action.is_solo();
    if solo {
        if solo::queue_solo(state, ax, bar) {
            return;
        }
        saving::save_for(state, rx, kx, &avoid);
    } else {
        let choosy = matches!(bar, Exclusion::Tried | Exclusion::AllBut(_)) && eligible::is_choosy(state, ax);
        if let Some(wx) = assign::find(state, rx, kx, &avoid, choosy) {
            return assign::assign(state, ax, wx);
        }
        if choosy {
            shun::shun_free(state, ax, rx);
            avoid = eligible::avoided(state, ax, bar);
        }
        saving::save_for(state, rx, kx, &avoid);
    }
    let may_wait = (avoid.is_empty() || bar == Exclusion::None) && !eligible::is_deferred(state, ax);
    let patience = if may_wait || state.fault_injected(Mutation::EndlessPatience) {
        Moment::NEVER
    } else {
        patience
    };
    let group = if solo { None } else { state.queues.push(rx, &avoid, key) };
    let bar = if avoid.is_empty() { Exclusion::None } else { bar };
    if let Some(action) = state.actions.get_mut(ax) {
        action.phase = Phase::Waiting { group, bar, patience };
    }
    phase::note_voting(state, ax, rx);
    state.timers.set(patience, Timer::Patience(ax));
    state.tallies.waiting += 1;
}

/// Has a waiting action avoid a worker that it should not have its last attempt on. False: it may have it there.
pub(crate) fn shun(state: &mut State, ax: Ax, wx: Wx) -> bool {
    let Some(Phase::Waiting { bar, patience, .. }) = state.actions.get(ax).map(|action| action.phase) else {
        return false;
    };
    if !matches!(bar, Exclusion::Tried | Exclusion::AllBut(_))
        || !state.has_failed(wx)
        || !eligible::is_choosy(state, ax)
    {
        return false;
    }
    shun::avoid_failing(state, ax, &[wx]);
    phase::leave(state, ax);
    queue(state, ax, bar, patience);
    true
}

/// An action was given an attempt back: the next one is not its last.
pub(crate) fn stop_shunning(state: &mut State, ax: Ax) {
    let history = state.actions.get(ax).and_then(|action| action.history.as_deref());
    if history.is_some_and(|history| !history.shunned.is_empty()) {
        place_again(state, ax);
    }
}

/// A worker has a success after failures: actions need not avoid it any more for these.
pub(crate) fn end_shunning(state: &mut State, wx: Wx) {
    let shunned_by = match state.workers.get_mut(wx) {
        Some(worker) if !worker.shunned_by.is_empty() => std::mem::take(&mut worker.shunned_by),
        _ => return,
    };
    for ax in shunned_by {
        if let Some(history) = state
            .actions
            .get_mut(ax)
            .and_then(|action| action.history.as_deref_mut())
        {
            history.shunned.retain(|shunned| *shunned != wx);
        }
        place_again(state, ax);
    }
}

/// An action has waited long enough: it avoids less.
pub(crate) fn end_patience(state: &mut State, ax: Ax) {
    let Some(action) = state.actions.get(ax) else { return };
    let Phase::Waiting { bar, patience, .. } = action.phase else {
        return;
    };
    let history = action.history.as_deref();
    // As long as something works, there is a worker that is worth waiting for.
    let worked = state.over_route(action.rx).map(|pool| pool.bursts.worked_at).max();
    let gives_up = history
        .and_then(|history| history.first_failed)
        .max(worked)
        .map_or(state.now, |last| last + state.policy.backoff_max);
    if matches!(bar, Exclusion::Tried | Exclusion::AllBut(_)) && state.now < gives_up && eligible::is_choosy(state, ax)
    {
        phase::leave(state, ax);
        return phase::rest(state, ax, state.later(state.policy.backoff_min));
    }
    let last = history.and_then(|history| history.failed_on().last().copied());
    let last_counts =
        last.is_some_and(|wx| state.is_usable(wx) && !eligible::barred(state, ax).any(|barred| barred == wx));
    let others = eligible::allowed(state, ax, action.rx) > usize::from(last_counts);
    let next = match bar {
        Exclusion::Tried | Exclusion::AllBut(_) if others => Exclusion::Last,
        _ => Exclusion::None,
    };
    phase::leave(state, ax);
    shun::clear_shunned(state, ax);
    phase::end_deferral(state, ax);
    // Counted from when this was due, not from when it was noticed: twice the patience is the most.
    queue(state, ax, next, patience + state.policy.patience);
}

/// Looks again at the actions of a pool's routes that avoid every usable worker now.
pub(crate) fn place_stuck(state: &mut State, px: Px) {
    if state.fault_injected(Mutation::ForgetStuck) {
        return;
    }
    let mut index = 0;
    while let Some(rx) = state.route(px, index) {
        index += 1;
        let usable = state.usable(rx);
        if usable == 0 {
            continue;
        }
        let mut stuck = state.queues.stuck(rx, usable, |wx| state.is_usable(wx));
        stuck.extend(solo::stuck_solo(state, rx));
        for ax in stuck {
            place_again(state, ax);
        }
    }
}

/// The rest of an action is over.
pub(crate) fn rested(state: &mut State, ax: Ax) {
    if state.is_spent(ax) {
        return state.fail(ax, Reason::Exhausted);
    }
    phase::leave(state, ax);
    match rest::goes_on_until(state, ax) {
        Some(until) => phase::rest(state, ax, until),
        None => place(state, ax, None),
    }
}
