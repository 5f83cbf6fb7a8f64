//! Busy replies: how long a worker rests for them, and when the limit is the action's and not the worker's.
//!
//! A busy reply costs no attempt and accuses no worker: the worker rests. But it is a hint and not an excuse. If a
//! worker whose own buckets have room is busy again and again, it either meets a limit that was not declared, so it is
//! given less at once (`model/concurrency.rs`), or it does not work at all, so one of many busy replies in a row counts
//! as a failure.
//!
//! The limit may also be the action's: a resource that one action needs, and no other. Such an action would stop one
//! worker after the other. So an action that made a worker busy goes behind the others for a while; one that did so
//! twice rests itself until the first of these workers wakes. Then one of them is *tried with other work* before its
//! time is up: a success shows that the limit is the action's. Workers that rest because of it alone are woken, and
//! from then on no worker rests for this action; it rests itself. If the tried worker is busy again, the limit was the
//! worker's, and actions of this kind have to get twice as many busy replies before that is tried again.

use std::time::Duration;

use crate::{
    ids::{ActionId, Ax, Wx},
    model::{
        busy::BusyTrial,
        health::{Rest, Standing},
        order::Turn,
    },
    moment::Moment,
    outcome::{Class, End, Reason},
    rules::{eligible, listing, phase, place, spending, standing},
    state::State,
};

/// How much longer than asked for a busy worker is left alone, at most, as a part: so that workers which share a limit
/// do not all come back at once. Never shorter: it named the time itself. Arbitrary.
const BUSY_JITTER: f64 = 0.1;

/// What the end of an attempt is taken for: a worker that was busy too many times in a row has failed.
#[inline]
pub(crate) fn effective_end(state: &mut State, wx: Wx, action: ActionId, end: End) -> End {
    if !matches!(end, End::Busy { .. }) || has_own_limit(state, action) {
        return end;
    }
    let now = state.now;
    // What it may spend is spent: that it is busy was to be expected.
    let is_open = !listing::is_spent_out(state, wx);
    let Some(worker) = state.workers.get_mut(wx) else {
        return end;
    };
    // Its other slots met the same limit, and it rests already.
    if worker.is_busy(now) || !is_open {
        return end;
    }
    // A single attempt tells nothing of how many at once are too many.
    let failed_at = worker.load().saturating_add(1);
    let (is_soon, has_failed) = worker.busy.note_with_quota(now, &state.policy);
    if is_soon && failed_at > 1 {
        worker.concurrency.narrow(failed_at);
    }
    if has_failed { End::Transient } else { end }
}

/// A worker succeeded: some of what it was given less at once comes back.
#[inline]
pub(crate) fn widen(state: &mut State, wx: Wx) {
    let after = state.policy.widen_after;
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    worker.busy.note_success();
    worker.concurrency.note_success(after);
}

/// A worker was busy with an action: it rests as long as it asks for. `wait` is zero if it does not ask.
pub(crate) fn rest_busy(state: &mut State, wx: Wx, action: ActionId, wait: Duration) {
    if has_own_limit(state, action) {
        return;
    }
    let (now, dry) = (state.now, listing::is_spent_out(state, wx));
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    let known = match rest {
        Rest::Busy { until } => until,
        Rest::None | Rest::Damped { .. } => Moment::START,
    };
    worker.busy.rest_for(action, known > now, dry);
    let until = if wait > Duration::ZERO {
        now + state.rng.lengthened(wait, BUSY_JITTER)
    } else if known > now {
        // It rests already: its other slots met the same limit, which is no reason to double the wait.
        known
    } else {
        now + worker.busy.next_wait(dry, &state.policy)
    };
    worker.busy.end_reply();
    if known <= now && !dry {
        spending::contradicted(state, wx);
    }
    let until = until.max(known);
    let rest = Rest::Busy { until };
    spending::close_shared(state, wx, until);
    standing::set_standing(state, wx, Standing::Usable { trust, rest });
}

/// Finds the next state of an action after a busy answer.
pub(crate) fn place_after_busy(state: &mut State, ax: Ax, wx: Wx, wait: Duration) {
    let Some(action) = state.actions.get(ax) else { return };
    let (id, kx, rx) = (action.id, action.kx, action.rx);
    if state.is_unroutable(rx) || eligible::is_out_of_voters(state, ax, rx) {
        return state.fail(ax, Reason::Unroutable);
    }
    if has_own_limit(state, id) {
        return rest_itself(state, ax, wait);
    }
    if state
        .workers
        .get(wx)
        .is_none_or(|worker| worker.busy.cause() != Some(id))
    {
        // The worker's quota was spent, or something else had made it busy already.
        return place::place(state, ax, None);
    }
    let refuted = state.kinds.get(kx).map_or(0, |kind| kind.refuted);
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    action.turn = Turn::Late;
    let history = action.history.get_or_insert_default();
    let avoids_none = history.avoids_none();
    let replies = &mut history.busy_replies;
    replies.note(wx);
    let (rests, is_tried) = (replies.are_several(), replies.call_for_trial(refuted));
    let wakes = wakes(state, ax);
    if is_tried {
        try_other_work(state, ax);
    }
    // While it avoids a worker, it must not do so for longer than other actions do.
    let from = if avoids_none { wakes } else { state.now };
    match rests {
        true => phase::rest(state, ax, wakes),
        false => place::place_until(state, ax, from + state.policy.patience),
    }
}

/// The limit is the action's: it rests, and its many busy answers in a row count as a failure of its own.
fn rest_itself(state: &mut State, ax: Ax, wait: Duration) {
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    let replies = &mut action.history.get_or_insert_default().busy_replies;
    let (unhinted, has_failed) = replies.note_own_limit(&state.policy);
    let wait = match wait {
        Duration::ZERO => unhinted,
        wait => state.rng.lengthened(wait, BUSY_JITTER),
    };
    if has_failed {
        action.failed = action.failed.saturating_add(1);
        if state.is_spent(ax) {
            return state.fail(ax, Reason::Exhausted);
        }
    }
    phase::rest(state, ax, state.later(wait));
}

/// When the first of the workers that rest because of this action wakes; now if none does.
fn wakes(state: &State, ax: Ax) -> Moment {
    let until = resting_for(state, ax).map(|(_, until)| until);
    until.min().unwrap_or(state.now).max(state.now)
}

/// The workers that rest because of this action alone, and until when.
fn resting_for(state: &State, ax: Ax) -> impl Iterator<Item = (Wx, Moment)> + '_ {
    let action = state.actions.get(ax);
    let id = action.map(|action| action.id);
    let history = action.and_then(|action| action.history.as_deref());
    let workers = history.map_or(&[][..], |history| history.busy_replies.workers());
    workers.iter().filter_map(move |wx| {
        let worker = state.workers.get(*wx).filter(|worker| worker.busy.cause() == id)?;
        match worker.standing {
            Standing::Usable {
                rest: Rest::Busy { until },
                ..
            } => Some((*wx, until)),
            _ => None,
        }
    })
}

/// Wakes one of the workers that rest because of an action, to see whether it is busy with other work as well.
fn try_other_work(state: &mut State, ax: Ax) {
    let after = state.assigned;
    let tried = resting_for(state, ax).map(|(wx, _)| wx).next();
    let Some(wx) = tried.filter(|_| !state.draining) else {
        return;
    };
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    let id = action.id;
    if let Some(history) = action.history.as_deref_mut() {
        history.busy_replies.begin_trial();
    }
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.busy.begin_trial(BusyTrial { action: id, after });
    }
    wake(state, wx);
}

/// A worker rests no longer, nor do the buckets that it closed for others.
fn wake(state: &mut State, wx: Wx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let Standing::Usable {
        trust,
        rest: Rest::Busy { until },
    } = worker.standing
    else {
        return;
    };
    worker.busy.wake();
    spending::reopen_shared(state, wx, until);
    let rest = Rest::None;
    standing::set_standing(state, wx, Standing::Usable { trust, rest });
    state.dirty_workers.push(wx);
}

/// An attempt of a worker that is tried with other work is over: it shows whose the limit is.
#[inline]
pub(crate) fn finish_busy_trial(state: &mut State, wx: Wx, action: ActionId, seq: u64, end: End) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let Some(trial) = worker.busy.trial().filter(|trial| seq > trial.after) else {
        return;
    };
    let is_other = action != trial.action;
    if is_other && !matches!(end.class(), Class::Ok | Class::Busy) {
        // It proves nothing.
        return;
    }
    worker.busy.end_trial();
    let ax = state.actions.slot(trial.action);
    let Some(ax) = ax.filter(|_| is_other) else { return };
    let Some(open) = state.actions.get_mut(ax) else { return };
    let kx = open.kx;
    let replies = &mut open.history.get_or_insert_default().busy_replies;
    let own_limit = end.class() == Class::Ok;
    replies.end_trial(own_limit);
    if let Some(kind) = state.kinds.get_mut(kx) {
        kind.refuted = if own_limit { 0 } else { kind.refuted.saturating_add(1) };
    }
    if own_limit {
        let woken: Vec<Wx> = resting_for(state, ax).map(|(wx, _)| wx).collect();
        for wx in woken {
            wake(state, wx);
        }
    }
}

/// Whether the limit that this action meets is known to be its own.
fn has_own_limit(state: &State, action: ActionId) -> bool {
    let history = state.actions.find(action).and_then(|action| action.history.as_deref());
    history.is_some_and(|history| history.busy_replies.has_own_limit())
}
