//! Records a failure as an accusation of its worker, and tells when the action is poison.

use crate::{
    ids::{Ax, Wx},
    model::{
        accusation::{Accused, Mark},
        failure_rate::TRAPS_MIN,
        health::{Standing, Trust},
    },
    outcome::End,
    policy::Blame,
    state::State,
};

/// From which part of the score that condemns a worker on an action waits for what becomes of the worker. Arbitrary.
const DOUBT: f64 = 0.5;

/// Takes note that an action failed on a worker. True: it broke distinct workers that can be trusted in the same way,
/// so often that the fault is its own.
pub(crate) fn accuse(state: &mut State, ax: Ax, wx: Wx, number: u32, end: End) -> bool {
    let mark = match end {
        End::Trap { fingerprint } if fingerprint != 0 && is_trusted(state, wx) => Mark::Trap(fingerprint),
        End::Unfit => Mark::Unfit,
        _ => Mark::None,
    };
    let spent = u32::from(mark != Mark::Unfit);
    let now = state.now;
    let works = |wx: Wx| state.workers.get(wx).is_some_and(|worker| worker.tally.ok > 0);
    let has_worked = works(wx);
    let Some(action) = state.actions.get_mut(ax) else {
        return false;
    };
    let kx = action.kx;
    let history = action.history.get_or_insert_default();
    // One that is unfit for an action twice, and succeeded with others, is as good as two.
    let mut accused = history.accused.iter();
    let is_unfit = mark == Mark::Unfit && accused.any(|other| other.mark == mark && (has_worked || works(other.wx)));
    history.first_failed.get_or_insert(now);
    history.has_trapped |= end != End::Transient;
    match history.accused.iter_mut().find(|accused| accused.wx == wx) {
        Some(accused) => {
            accused.number = number;
            accused.spent += spent;
            accused.at = now;
            accused.alike = if accused.mark == mark { accused.alike + 1 } else { 1 };
            accused.mark = mark;
        }
        None => history.accused.push(Accused {
            wx,
            number,
            spent,
            at: now,
            mark,
            alike: 1,
            is_outvoted: false,
        }),
    }
    let alike = history.accused.iter().filter(|other| other.mark == mark);
    let (workers, traps) = alike.fold((0, 0), |(workers, traps), other| (workers + 1, traps + other.alike));
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.accusers.insert(ax);
    }
    let proof = state.kinds.get(kx).map_or(TRAPS_MIN, |kind| kind.failure_rate.traps());
    is_unfit || matches!(mark, Mark::Trap(_)) && workers > 1 && traps >= proof && !is_in_doubt(state, ax)
}

/// Whether a trap on this worker speaks against the action.
fn is_trusted(state: &State, wx: Wx) -> bool {
    state.workers.get(wx).is_some_and(|worker| {
        matches!(
            worker.standing,
            Standing::Usable {
                trust: Trust::Healthy | Trust::Suspect { .. },
                ..
            }
        )
    })
}

/// Whether an action that has no attempt left should wait for the verdict on a worker that failed it.
pub(crate) fn is_in_doubt(state: &State, ax: Ax) -> bool {
    let Some(history) = state.actions.get(ax).and_then(|action| action.history.as_deref()) else {
        return false;
    };
    let doubtful = |accused: &Accused| {
        state.workers.get(accused.wx).is_some_and(|worker| {
            worker.standing.is_usable() && worker.health.log.score() >= DOUBT * state.quarantine_score()
        })
    };
    state.policy.blame == Blame::Deferred && !history.revived && history.accused.iter().any(doubtful)
}
