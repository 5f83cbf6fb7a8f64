//! How long an action rests before it is tried again.
//!
//! It rests because whatever is wrong for a moment is wrong on all workers. As long as none of the last actions that
//! rested had a result in the end, no such thing is wrong: then an action rests only until its pool has shown that it
//! works. One of them at a time still rests in full, and when that one has a result, so do all again.

use std::time::Duration;

use crate::{
    ids::Ax,
    model::accusation::Closed,
    moment::Moment,
    outcome::{Outcome, Reason},
    state::State,
};

/// The shortest rest. Arbitrary: less is none on a real clock.
const REST_MIN: Duration = Duration::from_millis(1);

/// Until when an action rests that would rest until then.
pub(crate) fn until(state: &mut State, ax: Ax, until: Moment) -> Moment {
    let now = state.now;
    let Some(action) = state.actions.get_mut(ax) else {
        return until;
    };
    let (Some(history), Some(kind)) = (action.history.as_deref_mut(), state.kinds.get_mut(action.kx)) else {
        return until;
    };
    let Some(first) = history.first_failed else {
        return until;
    };
    if kind.fates.calls_for_rest(action.id) {
        history.has_rested = true;
        return until;
    }
    history.rests_until = Some(until);
    next_look(now, first).min(until)
}

/// The rest of an action is over. Until when it goes on, because its pools have not worked since it first failed.
pub(crate) fn goes_on_until(state: &mut State, ax: Ax) -> Option<Moment> {
    let now = state.now;
    let (rx, history) = state
        .actions
        .get(ax)
        .map(|action| (action.rx, action.history.as_deref()))?;
    let (first, until) = history.and_then(|history| Some((history.first_failed?, history.rests_until?)))?;
    let has_worked = state.has_worked_since(rx, first);
    let history = state.actions.get_mut(ax)?.history.as_deref_mut()?;
    if has_worked || until <= now {
        history.has_rested |= until <= now;
        history.rests_until = None;
        return None;
    }
    Some(next_look(now, first).min(until))
}

/// When it is looked again whether the pools of an action that first failed then have worked: each time after twice as
/// long.
fn next_look(now: Moment, first: Moment) -> Moment {
    now + now.since(first).max(REST_MIN)
}

/// Takes note of what became of an action that failed or got lost.
pub(crate) fn note_fate(state: &mut State, closed: Closed, has_rested: bool, outcome: Outcome) {
    let Some(kind) = state.kinds.get_mut(closed.kx) else {
        return;
    };
    let worked = match outcome {
        Outcome::Done { .. } => Some(true),
        Outcome::Failed(Reason::Exhausted | Reason::Poison | Reason::Permanent | Reason::Oversize) => Some(false),
        Outcome::Failed(_) => None,
    };
    kind.fates.note(closed.id, worked.filter(|_| has_rested));
}
