//! Results of untrusted workers.
//!
//! A worker with an *owner* runs on the owner's machine, and its results may be wrong on purpose. So its result is only
//! a vote: it counts when a worker of another owner has the same, or when a worker without an owner has it, which is
//! believed at once. A worker that was right often enough is checked by chance only. A permanent failure needs the same
//! agreement as a result.
//!
//! A worker whose vote differs from the settled one is accused, as if it had failed what others could do.

use crate::{
    ids::{AttemptId, Ax, Wx},
    model::{
        accusation::Accused,
        health::{Standing, Trust},
        votes::Vote,
    },
    outcome::{Class, End},
    rules::{damping, health},
    state::{Mutation, State},
};

/// How many equal votes of different owners settle an action, as in BOINC's default quorum.
const EQUAL: usize = 2;

/// What becomes of an action after a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// The last vote settles it.
    Decided,
    /// Another worker has to agree.
    Open,
    /// There are so many different votes that none will ever win.
    Hung,
}

/// Counts a worker's vote on an action.
pub(crate) fn count_vote(state: &mut State, ax: Ax, wx: Wx, attempt: AttemptId, end: End) -> Count {
    let owner = state.workers.get(wx).and_then(|worker| worker.ox);
    let votes = state.votes(ax);
    let is_believed = owner.is_none() && votes.is_empty() || state.fault_injected(Mutation::BelieveAll);
    let (Some(ballot), false) = (end.ballot(), is_believed) else {
        // A worker that is believed at once, and no other vote.
        return Count::Decided;
    };
    let Some(ox) = owner else {
        close_ballot(state, ax, ballot, None);
        return Count::Decided;
    };
    if votes.iter().any(|vote| vote.ox == ox) {
        // An owner votes once.
        return Count::Open;
    }
    let equal = votes.iter().filter(|vote| vote.ballot == ballot).count() + 1;
    let all = votes.len() + 1;
    if (all == 1 && !is_checked(state, wx)) || equal >= EQUAL {
        match equal >= EQUAL {
            true => close_ballot(state, ax, ballot, Some(wx)),
            // It is believed: its result counts as a success of any worker does.
            false => credit_vote(state, wx, ax),
        }
        return Count::Decided;
    }
    let at = state.now;
    if let Some(action) = state.actions.get_mut(ax) {
        action.history.get_or_insert_default().votes.push(Vote {
            wx,
            ox,
            number: attempt.number,
            ballot,
            at,
        });
    }
    match all >= state.policy.votes_max as usize {
        true => Count::Hung,
        false => Count::Open,
    }
}

/// Whether the result of this worker is to be compared this time.
fn is_checked(state: &mut State, wx: Wx) -> bool {
    let Some(worker) = state.workers.get(wx) else {
        return true;
    };
    let valid = worker.health.confirmed();
    if valid < state.policy.trusted_after {
        return true;
    }
    let part = (1.0 / f64::from(valid)).max(state.policy.check_min);
    state.rng.chance(part)
}

/// An action is settled by votes: the workers that were right have one more confirmed result, the others none any more, and are accused.
/// `last`: the worker that voted last.
fn close_ballot(state: &mut State, ax: Ax, ballot: u32, last: Option<Wx>) {
    let now = state.now;
    let Some(action) = state.actions.get_mut(ax) else {
        return;
    };
    let (id, kx) = (action.id, action.kx);
    let Some(history) = action.history.as_deref_mut() else {
        return;
    };
    let (right, wrong): (Vec<Vote>, Vec<Vote>) = std::mem::take(&mut history.votes)
        .into_iter()
        .partition(|vote| vote.ballot == ballot);
    for vote in &wrong {
        history.accused.retain(|accused| accused.wx != vote.wx);
        history.accused.push(Accused::outvoted(vote.wx, vote.number, vote.at));
    }
    for wx in right.iter().map(|vote| vote.wx).chain(last) {
        if let Some(worker) = state.workers.get_mut(wx) {
            worker.health.confirm();
        }
        credit_vote(state, wx, ax);
    }
    for vote in wrong {
        let Some(worker) = state.workers.get_mut(vote.wx) else {
            continue;
        };
        worker.health.note_failure(id, Some(kx), now);
        let outvoted = worker.health.outvote();
        worker.accusers.insert(ax);
        worker.tally.outvoted += 1;
        // From the second time in a row it is given work slowly, until a result of it is confirmed.
        let Some(further) = outvoted.checked_sub(2) else {
            continue;
        };
        if let Standing::Usable {
            trust: Trust::Healthy | Trust::Suspect { .. },
            rest,
        } = worker.standing
        {
            damping::suspect(state, vote.wx, Some(kx), further, rest);
        }
    }
}

/// A vote of a worker counts as a success: others agree, or it is believed.
fn credit_vote(state: &mut State, wx: Wx, ax: Ax) {
    if let Some(kx) = state.actions.get(ax).map(|action| action.kx) {
        health::record_success(state, wx, kx);
    }
    health::succeeded(state, wx);
    state.dirty_workers.push(wx);
}

/// Whether the end of an attempt is a vote that is not confirmed yet.
pub(crate) fn is_unconfirmed(state: &State, wx: Wx, end: End) -> bool {
    let owned = state.workers.get(wx).is_some_and(|worker| worker.ox.is_some());
    owned && matches!(end, End::Vote { .. })
}

/// Whether the end of an attempt is a vote.
pub(crate) fn is_vote(state: &State, wx: Wx, end: End) -> bool {
    let owned = state.workers.get(wx).is_some_and(|worker| worker.ox.is_some());
    matches!(end, End::Vote { .. }) || (owned && end.class() == Class::Permanent)
}
