use crate::ids::{ActionId, Kx, Wx};
use crate::luck::doubled;
use crate::model::health::{Rest, Standing, Trust};
use crate::policy::Blame;
use crate::rules::{damping, outage, place, quarantine, skill, standing};
use crate::state::State;

/// Takes note that a worker succeeded with an action of this kind.
pub(crate) fn relieve(state: &mut State, wx: Wx, kx: Kx) {
    let Some(kind) = state.kinds.get_mut(kx) else { return };
    kind.flake.succeeded(wx);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let record = &mut worker.record;
    if !record.past.is_empty() {
        record.since = record.since.saturating_add(1);
        record.score = (record.score + kind.flake.relief).max(0.0);
    }
    let relief = kind.flake.relief;
    skill::skill_shown(state, wx, kx, relief);
}

pub(crate) fn succeeded(state: &mut State, wx: Wx) {
    let (forgive_after, probation) = (state.policy.forgive_after, state.policy.probation);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let record = &mut worker.record;
    record.row.clear();
    record.busy_row = 0;
    record.starved = 0;
    record.unfit.clear();
    record.unfit_row = 0;
    record.unfit_last = false;
    standing::straight(state, wx, 0);
    place::is_clean_again(state, wx);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let record = &mut worker.record;
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    let trust = match trust {
        Trust::Healthy => {
            record.good += 1;
            if record.good >= forgive_after {
                record.good = 0;
                record.round = record.round.saturating_sub(1);
            }
            Trust::Healthy
        }
        Trust::Suspect { .. } => Trust::Healthy,
        Trust::Probation { passed, .. } if passed + 1 >= probation => {
            record.good = 0;
            record.unproved = 0;
            Trust::Healthy
        }
        Trust::Probation { round, passed } => Trust::Probation {
            round,
            passed: passed + 1,
        },
    };
    let rest = rest.undamped();
    standing::stand(state, wx, Standing::Usable { trust, rest });
}

pub(crate) fn failed(state: &mut State, wx: Wx, action: ActionId, kx: Option<Kx>) {
    let (now, limit, is_notorious) = (
        state.now,
        damping::suspect_after(state, wx, kx),
        outage::is_notorious(state, wx, action),
    );
    let straight = state.workers.get(wx).map_or(0, |worker| worker.record.straight);
    let straight = straight.saturating_add(1);
    standing::straight(state, wx, straight);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let record = &mut worker.record;
    record.failed(action, kx, now);
    if record.row.len() < limit && !record.row.contains(&action) {
        record.row.push(action);
    }
    let doubtful = record.row.len() >= limit;
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    match state.policy.blame {
        Blame::Deferred => match trust {
            Trust::Healthy if !doubtful => {}
            // It is most likely the action's fault: the worker is not to be slowed down for it.
            Trust::Healthy | Trust::Suspect { .. } if is_notorious => {}
            Trust::Healthy => damping::suspect(state, wx, kx, 0, rest),
            Trust::Suspect { further } => damping::suspect(state, wx, kx, further.saturating_add(1), rest),
            Trust::Probation { round, .. } => {
                // It may be the action's fault. Until that is known there is no hurry.
                let rest = damping::slowed(state, wx, kx, rest, u32::MAX);
                let trust = Trust::Probation { round, passed: 0 };
                standing::stand(state, wx, Standing::Usable { trust, rest });
            }
        },
        Blame::InARow { failures } => {
            let guilty = straight >= failures || matches!(trust, Trust::Probation { .. });
            if guilty && quarantine::may_condemn(state, wx) {
                quarantine::condemn(state, wx, true);
            }
        }
        Blame::Nobody => {}
    }
}

/// Lets a worker rest for which the host had not enough of something. What is thought of it stays as it is.
pub(crate) fn starved(state: &mut State, wx: Wx) {
    let (min, max) = (state.policy.host_min, state.policy.host_max);
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let wait = doubled(min, worker.record.starved, max);
    worker.record.starved = worker.record.starved.saturating_add(1);
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    let until = state.later(wait).max(rest.until());
    let rest = match rest {
        Rest::Busy { .. } => rest,
        Rest::None | Rest::Damped { .. } => Rest::Damped { until },
    };
    standing::stand(state, wx, Standing::Usable { trust, rest });
}
