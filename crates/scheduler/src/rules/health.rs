//! Records successes, failures and shortages of a worker, and what follows for its standing.

use crate::{
    ids::{ActionId, Kx, Wx},
    model::health::{Rest, Standing, Trust},
    policy::Blame,
    rules::{damping, outage, place, quarantine, skill, standing},
    state::State,
};

/// Takes note that a worker succeeded with an action of this kind.
pub(crate) fn record_success(state: &mut State, wx: Wx, kx: Kx) {
    let Some(kind) = state.kinds.get_mut(kx) else { return };
    kind.failure_rate.succeeded(wx);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let relief = kind.failure_rate.relief;
    worker.health.log.note_success(relief);
    skill::note_success(state, wx, kx, relief);
}

pub(crate) fn succeeded(state: &mut State, wx: Wx) {
    let (forgive_after, probation) = (state.policy.forgive_after, state.policy.probation);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    worker.health.end_streaks();
    worker.busy.end_waits();
    standing::set_consecutive_failures(state, wx, 0);
    place::end_shunning(state, wx);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    let trust = match trust {
        Trust::Healthy => {
            worker.health.note_healthy_success(forgive_after);
            Trust::Healthy
        }
        Trust::Suspect { .. } => Trust::Healthy,
        Trust::Probation { passed, .. } if passed + 1 >= probation => {
            worker.health.pass_probation();
            Trust::Healthy
        }
        Trust::Probation { round, passed } => Trust::Probation {
            round,
            passed: passed + 1,
        },
    };
    let rest = rest.undamped();
    standing::set_standing(state, wx, Standing::Usable { trust, rest });
}

pub(crate) fn failed(state: &mut State, wx: Wx, action: ActionId, kx: Option<Kx>) {
    let (now, limit, fails_again) = (
        state.now,
        damping::suspect_after(state, wx, kx),
        outage::fails_again(state, wx, action),
    );
    let consecutive_failures = state
        .workers
        .get(wx)
        .map_or(0, |worker| worker.health.consecutive_failures());
    let consecutive_failures = consecutive_failures.saturating_add(1);
    standing::set_consecutive_failures(state, wx, consecutive_failures);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    worker.health.note_failure(action, kx, now);
    worker.health.add_undecided(action, limit);
    let doubtful = worker.health.undecided() >= limit;
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    match state.policy.blame {
        Blame::Deferred => match trust {
            Trust::Healthy if !doubtful => {}
            // It is most likely the action's fault: the worker is not to be slowed down for it.
            Trust::Healthy | Trust::Suspect { .. } if fails_again => {}
            Trust::Healthy => damping::suspect(state, wx, kx, 0, rest),
            Trust::Suspect { further } => damping::suspect(state, wx, kx, further.saturating_add(1), rest),
            Trust::Probation { round, .. } => {
                // It may be the action's fault. Until that is known there is no hurry.
                let rest = damping::slowed(state, wx, kx, rest, u32::MAX);
                let trust = Trust::Probation { round, passed: 0 };
                standing::set_standing(state, wx, Standing::Usable { trust, rest });
            }
        },
        Blame::InARow { failures } => {
            let guilty = consecutive_failures >= failures || matches!(trust, Trust::Probation { .. });
            if guilty && quarantine::may_quarantine(state, wx) {
                quarantine::quarantine(state, wx, true);
            }
        }
        Blame::NoWorker => {}
    }
}

/// Lets a worker rest for which the host lacked a resource. Its health stays as it is.
pub(crate) fn note_shortage(state: &mut State, wx: Wx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let wait = worker.health.note_shortage(&state.policy);
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    let until = state.later(wait).max(rest.until());
    let rest = match rest {
        Rest::Busy { .. } => rest,
        Rest::None | Rest::Damped { .. } => Rest::Damped { until },
    };
    standing::set_standing(state, wx, Standing::Usable { trust, rest });
}
