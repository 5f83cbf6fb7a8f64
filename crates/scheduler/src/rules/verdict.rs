//! Whose fault a failure was: the deferred verdict.
//!
//! A failure alone proves little: the action may be bad, or the worker. So it is only *pending*, and what becomes of
//! the action decides. If it succeeds elsewhere, the workers that failed it were guilty, each with an equal part; if it
//! fails for good wherever it goes, they are cleared. Guilt adds to a worker's score, success takes from it (CUSUM: the
//! score is the logarithm of how much likelier a bad worker is than one that is as flaky as all), and the score has to
//! be high before anything follows. How flaky all are is learned for each kind.

use crate::{
    ids::{ActionId, Ax, Kx, Px, Rx, Wx},
    model::{
        accusation::{Accused, Closed, Mark},
        health::{Standing, Trust},
    },
    outcome::Verdict,
    policy::Blame,
    rules::{damping, outage, quarantine, skill, standing, unfit},
    state::{FollowUp, State},
};

/// How many workers that fail an action are enough to hold that it was at fault. As many as actions make a worker
/// suspect by default.
const JURY: usize = 3;

/// How sure it is that a worker was at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// The action died, and nothing is proved.
    Open,
    /// Another worker had a result.
    Result,
    /// Others had the same result, which was another one.
    Votes,
}

/// The action had a result from `by`: the other workers that failed it before are guilty.
pub(crate) fn convict(state: &mut State, closed: Closed, by: Option<Wx>, accused: &[Accused]) {
    // A worker that made good for its own failure says nothing about which workers fail more than others, nor does a
    // failure while nothing worked.
    let is_guilty = |accused: &Accused| {
        let px = state.workers.get(accused.wx).map(|worker| worker.px);
        Some(accused.wx) != by && px.is_some_and(|px| !outage::was_out(state, px, accused.at))
    };
    let (guilty, innocent): (Vec<Accused>, Vec<Accused>) = accused.iter().partition(|accused| is_guilty(accused));
    let own = innocent.iter().find(|accused| Some(accused.wx) == by);
    if let (Some(own), Some(kind)) = (own, state.kinds.get_mut(closed.kx)) {
        // It still shows how flaky the kind is.
        kind.failure_rate.convicted(own.wx, own.spent);
    }
    acquit(state, closed, &innocent);
    let shares = guilty.len() as u32;
    for accused in &guilty {
        close_accusation(state, closed, accused, Verdict::Guilty { shares });
    }
    let convictions = guilty.into_iter().map(|accused| FollowUp::Convict {
        closed,
        accused,
        shares,
    });
    state.follow_ups.extend(convictions);
}

/// One of `shares` workers that failed an action is guilty.
pub(crate) fn convict_one(state: &mut State, closed: Closed, accused: Accused, shares: u32) {
    let Closed { id, kx, .. } = closed;
    let Some(kind) = state.kinds.get_mut(kx) else { return };
    let (guilt, relief) = (kind.failure_rate.guilt(accused.wx), kind.failure_rate.relief);
    kind.failure_rate.convicted(accused.wx, accused.spent);
    if state.policy.blame != Blame::Deferred {
        return;
    }
    let health = state.workers.get(accused.wx).map(|worker| &worker.health);
    // One that had a success since then is fit after all: it only failed.
    if accused.mark == Mark::Unfit && health.is_some_and(|health| health.unfit.contains(id)) {
        return unfit::evict_unfit(state, accused.wx);
    }
    let proof = if accused.is_outvoted {
        Proof::Votes
    } else {
        Proof::Result
    };
    weigh(state, accused.wx, (id, kx), (guilt / f64::from(shares), relief), proof);
}

/// A failure counts so much against a worker, a success so much for it: it is quarantined if that makes it enough, and
/// on probation for any guilt that is proved.
fn weigh(state: &mut State, wx: Wx, (id, kx): (ActionId, Kx), (guilt, relief): (f64, f64), proof: Proof) {
    let px = state.workers.get(wx).map(|worker| worker.px);
    if state.is_barred(wx, kx) {
        // It pays for this kind already.
        return;
    }
    let bursts = px.and_then(|px| Some(&state.pools.get(px)?.bursts));
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let guilt = match bursts {
        Some(bursts) if worker.health.log.is_counted_in_burst(id, bursts) => 0.0,
        _ => guilt,
    };
    worker.health.log.convict(id, guilt, relief);
    state.verdicts = state.verdicts.saturating_add(1);
    let is_unskilled = skill::weigh_skill(state, wx, (kx, id), guilt, relief);
    let Some(worker) = state.workers.get(wx) else { return };
    let Standing::Usable { trust, rest } = worker.standing else {
        return;
    };
    if is_unskilled && matches!(trust, Trust::Healthy | Trust::Suspect { .. }) && skill::may_bar(state, wx, kx) {
        return skill::exclude(state, wx, kx);
    }
    let enough = worker.health.log.score()
        >= match proof {
            // By chance alone others do not agree on another result.
            Proof::Votes => state.policy.quarantine_score,
            Proof::Open | Proof::Result => state.quarantine_score(),
        };
    match trust {
        Trust::Healthy | Trust::Suspect { .. } if !enough => {}
        // It reported once that it is unfit, and was never quarantined.
        Trust::Probation { round: 0, .. } if !enough => {}
        Trust::Probation { .. } if !enough && proof == Proof::Open => {}
        // What was proved wrong is no matter of chance: the share of a pool that may be taken out does not protect it.
        _ if proof == Proof::Votes && quarantine::may_quarantine_outvoted(state, wx) => {
            quarantine::quarantine(state, wx, false)
        }
        _ if quarantine::may_quarantine(state, wx) => quarantine::quarantine(state, wx, true),
        Trust::Suspect { .. } => {}
        _ => damping::suspect(state, wx, Some(kx), 0, rest),
    }
}

/// An accusation has its verdict.
fn close_accusation(state: &mut State, closed: Closed, accused: &Accused, verdict: Verdict) {
    let Some(worker) = state.workers.get_mut(accused.wx) else {
        return;
    };
    worker.accusers.remove(&closed.ax);
    worker.health.decide(closed.id);
    state.dirty_workers.push(accused.wx);
    state.commands.push(accused.judged(closed.id, worker.id, verdict));
}

/// The action failed wherever it went: no worker is guilty, and each of them fails such actions as often as they come.
pub(crate) fn blame_action(state: &mut State, closed: Closed, accused: &[Accused]) {
    if let Some(kind) = state.kinds.get_mut(closed.kx) {
        let failures = accused.iter().map(|accused| accused.spent).sum();
        kind.failure_rate.note_bad(failures);
    }
    acquit(state, closed, accused);
}

/// A failure is no evidence against a worker.
fn forget_failure(state: &mut State, wx: Wx, closed: Closed) {
    let relief = state.kinds.get(closed.kx).map_or(0.0, |kind| kind.failure_rate.relief);
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.health.log.acquit(closed.id, relief);
    }
    skill::acquit(state, wx, (closed.kx, closed.id), relief);
}

/// The action failed wherever it went, or is not wanted any more: no worker is guilty.
pub(crate) fn acquit(state: &mut State, closed: Closed, accused: &[Accused]) {
    for accused in accused {
        close_accusation(state, closed, accused, Verdict::Cleared);
        unfit::close_unfit_report(state, accused.wx, closed.id);
        forget_failure(state, accused.wx, closed);
        let suspect_after = damping::suspect_after(state, accused.wx, Some(closed.kx));
        let Some(worker) = state.workers.get(accused.wx) else {
            continue;
        };
        let Standing::Usable { trust, rest } = worker.standing else {
            continue;
        };
        let trust = match trust {
            Trust::Suspect { .. }
                if worker.health.undecided() < suspect_after
                    && worker.health.log.score() < state.quarantine_score() =>
            {
                Trust::Healthy
            }
            Trust::Probation { .. } if worker.health.undecided() == 0 => trust,
            _ => continue,
        };
        let rest = match outage::is_slowed_with_pool(state, accused.wx) {
            true => rest,
            false => rest.undamped(),
        };
        standing::set_standing(state, accused.wx, Standing::Usable { trust, rest });
    }
}

/// An action was closed before there was a verdict on its failures. If enough workers failed it that is no evidence
/// against them; if few tried it, there is no evidence for them either.
pub(crate) fn close(state: &mut State, closed: Closed, rx: Rx, accused: &[Accused]) {
    let failed_by = accused.len();
    if failed_by >= JURY.min(state.usable(rx)) || state.policy.blame != Blame::Deferred {
        return blame_action(state, closed, accused);
    }
    let open = accused.iter().map(|accused| FollowUp::CloseOpen {
        closed,
        accused: *accused,
        failed_by,
    });
    state.follow_ups.extend(open);
}

/// One of `failed_by` workers that failed an action which was closed without a verdict.
pub(crate) fn close_open(state: &mut State, closed: Closed, accused: Accused, failed_by: usize) {
    let Closed { id, kx, .. } = closed;
    let px = state.workers.get(accused.wx).map(|worker| worker.px);
    let is_out = |px: Px| state.is_systemic(px) || outage::was_out(state, px, accused.at);
    if accused.spent == 0 || px.is_none_or(is_out) {
        return acquit(state, closed, &[accused]);
    }
    let pool = px.and_then(|px| state.pools.get(px));
    let is_in_burst = pool.is_some_and(|pool| pool.bursts.at(accused.at).is_some());
    let Some(kind) = state.kinds.get_mut(kx) else { return };
    if is_in_burst {
        // It is no evidence against this worker, but of how often any worker fails.
        kind.failure_rate.unproved(accused.wx, accused.spent);
        return acquit(state, closed, &[accused]);
    }
    let (guilt, relief) = (
        kind.failure_rate.suspicion(accused.wx, failed_by),
        kind.failure_rate.relief,
    );
    kind.failure_rate.unproved(accused.wx, accused.spent);
    if let Some(worker) = state.workers.get_mut(accused.wx) {
        worker.accusers.remove(&closed.ax);
        state.dirty_workers.push(accused.wx);
        state.commands.push(accused.judged(id, worker.id, Verdict::Unproved));
    }
    weigh(state, accused.wx, (id, kx), (guilt, relief), Proof::Open);
    // On probation a worker waits for verdicts, and this is the last word.
    if let Some(worker) = state.workers.get_mut(accused.wx)
        && let Standing::Usable { trust, rest } = worker.standing
        && matches!(trust, Trust::Probation { .. })
    {
        worker.health.decide(id);
        if worker.health.undecided() == 0 {
            let rest = rest.undamped();
            standing::set_standing(state, accused.wx, Standing::Usable { trust, rest });
        }
    }
}

/// An action that too few workers have tried has no attempt left and waits for what becomes of those that failed it:
/// its own failures count already.
pub(crate) fn weigh_open(state: &mut State, ax: Ax) {
    let Some(action) = state.actions.get(ax) else { return };
    let (id, kx, rx) = (action.id, action.kx, action.rx);
    let accused = action.history.as_ref().map_or(&[][..], |history| &history.accused);
    let failed_by = accused.len();
    if failed_by >= JURY.min(state.usable(rx)) {
        return;
    }
    let closed = Closed { ax, id, kx };
    let open = accused.iter().filter(|one| one.spent > 0);
    let open = open.map(|one| FollowUp::WeighOpen {
        closed,
        wx: one.wx,
        failed_by,
    });
    state.follow_ups.extend(open);
}

/// One of `failed_by` workers that failed an action which has no attempt left and is not closed.
pub(crate) fn weigh_open_one(state: &mut State, closed: Closed, wx: Wx, failed_by: usize) {
    let Some(kind) = state.kinds.get(closed.kx) else { return };
    let evidence = (kind.failure_rate.suspicion(wx, failed_by), kind.failure_rate.relief);
    weigh(state, wx, (closed.id, closed.kx), evidence, Proof::Open);
}
