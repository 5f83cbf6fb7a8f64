//! What the end of an attempt means for its action.

use crate::{
    ids::{AttemptId, Ax, Wx},
    outcome::{Class, End, Outcome, Reason},
    policy::Blame,
    rules::{
        accuse, annul, busy, eligible, phase, place,
        quorum::{self, Count},
        solo, spending, unfit, verdict,
    },
    state::{Mutation, State},
};

/// Takes an attempt off a worker's list. Its number among all dispatches; none: it is not on it.
#[inline]
pub(crate) fn release(state: &mut State, wx: Wx, attempt: AttemptId, sent: bool) -> Option<u64> {
    let keep = state.fault_injected(Mutation::KeepSlot);
    let worker = state.workers.get_mut(wx)?;
    let index = worker.attempts.iter().position(|held| held.attempt == attempt)?;
    let seq = worker.attempts.get(index)?.seq;
    if !keep {
        worker.attempts.swap_remove(index);
        state.in_flight = state.in_flight.saturating_sub(1);
        if !worker.buckets.is_empty() {
            spending::finish_payment(state, wx, seq, sent);
        }
    }
    Some(seq)
}

/// Whether this attempt of the action was made but is not its running one.
pub(crate) fn is_stale(state: &State, ax: Ax, attempt: AttemptId) -> bool {
    let made = state.actions.get(ax).map_or(0, |action| action.number);
    (1..=made).contains(&attempt.number) && !state.runs(ax).any(|run| run.number == attempt.number)
}

/// What becomes of an action after the end of one of its attempts.
pub(crate) enum Next {
    /// Its other attempt goes on.
    Wait,
    /// It is settled with this outcome.
    Settle(Outcome),
    /// It has failed for good.
    Fail(Reason),
    /// It needs the vote of another worker.
    Place,
    /// It is tried again if it has an attempt left.
    GoOn,
}

/// What the end of a running attempt means for its action.
#[inline]
pub(crate) fn resolve(state: &mut State, ax: Ax, wx: Wx, attempt: AttemptId, end: End) -> Next {
    let losses = state.policy.losses;
    let goes_on = phase::run_over(state, ax, attempt.number, end);
    if quorum::is_vote(state, wx, end) {
        match quorum::count_vote(state, ax, wx, attempt, end) {
            Count::Decided => {}
            Count::Open if goes_on => return Next::Wait,
            Count::Open => return Next::Place,
            Count::Hung => return Next::Fail(Reason::Exhausted),
        }
    }
    let Some(action) = state.actions.get_mut(ax) else {
        return Next::Wait;
    };
    match end.class() {
        Class::Ok => {
            let outcome = Outcome::Done { number: attempt.number };
            return Next::Settle(outcome);
        }
        Class::Permanent => {
            let reason = match end {
                End::Oversize => Reason::Oversize,
                _ => Reason::Permanent,
            };
            return Next::Fail(reason);
        }
        Class::Transient | Class::Trap => {
            action.failed = action.failed.saturating_add(1);
            place::remember(state, ax, wx);
            if accuse::accuse(state, ax, wx, attempt.number, end) {
                return Next::Fail(Reason::Poison);
            }
            if !state.is_usable(wx) {
                annul::annul(state, wx);
            }
        }
        Class::Lost => {
            action.losses = action.losses.saturating_add(1);
            if action.losses > losses && !goes_on {
                return Next::Fail(Reason::Exhausted);
            }
            // Accuses no worker, yet another one is the better bet, one that does nothing else: so nothing else is lost
            // with it.
            place::remember(state, ax, wx);
            if solo::note_loss(state, ax, wx) {
                return Next::Fail(Reason::Poison);
            }
        }
        Class::WorkerFault if end == End::Unfit && state.policy.blame == Blame::Deferred => {
            place::remember(state, ax, wx);
            if accuse::accuse(state, ax, wx, attempt.number, end) {
                return Next::Fail(Reason::Poison);
            }
            match state.is_usable(wx) {
                true => unfit::check_unfit(state, wx),
                false => annul::annul(state, wx),
            }
        }
        Class::WorkerFault | Class::Busy | Class::Host | Class::Neutral => {}
    }
    if goes_on { Next::Wait } else { Next::GoOn }
}

/// Finds the next state of an action whose attempt did not settle it.
#[inline]
pub(crate) fn go_on(state: &mut State, ax: Ax, wx: Wx, attempt: AttemptId, end: End) {
    if state.is_spent(ax) {
        if !accuse::is_in_doubt(state, ax) {
            return state.fail(ax, Reason::Exhausted);
        }
        phase::await_verdict(state, ax);
        return verdict::weigh_open(state, ax);
    }
    if matches!(end.class(), Class::Transient | Class::Trap) {
        phase::charge(state, ax);
    }
    if let End::Busy { wait } = end {
        return busy::place_after_busy(state, ax, wx, wait);
    }
    let has_failed = !matches!(end.class(), Class::Busy | Class::Host | Class::Neutral);
    place::place(state, ax, has_failed.then_some((attempt, wx)));
}

/// An attempt that was thought lost has a result.
pub(crate) fn resolve_late(state: &mut State, ax: Ax, wx: Wx, attempt: AttemptId, end: End) {
    let had = state.votes(ax).len();
    match quorum::count_vote(state, ax, wx, attempt, end) {
        Count::Decided => state.settle(ax, Outcome::Done { number: attempt.number }, Some(wx)),
        Count::Hung => state.fail(ax, Reason::Exhausted),
        // What waits avoids one owner more.
        Count::Open if had < state.votes(ax).len() && state.runs(ax).next().is_none() => {
            let Some(rx) = state.actions.get(ax).map(|action| action.rx) else {
                return;
            };
            if eligible::is_out_of_voters(state, ax, rx) {
                return state.fail(ax, Reason::Unroutable);
            }
            phase::note_voting(state, ax, rx);
            place::place_again(state, ax);
        }
        Count::Open => {}
    }
}
