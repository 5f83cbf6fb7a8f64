//! A worker that is bad at one kind of action and good at another is *barred* from the first alone.
//!
//! It is given nothing of the kind for as long as a quarantine takes. Then it has to prove itself: guilt bars it again,
//! for longer. Waiting actions avoid workers that are barred from their kind as they avoid those that failed them.
//! Those that stand in line already are moved when such a worker comes for them.

use crate::{
    command::Command,
    ids::{ActionId, Ax, Kx, Rx, Wx},
    model::skill::Skill,
    moment::Moment,
    policy::Blame,
    rules::{annul, place},
    state::State,
    timers::Timer,
};

/// Takes note that a worker succeeded with an action of this kind. `relief`: what that adds to its score.
pub(crate) fn note_success(state: &mut State, wx: Wx, kx: Kx, relief: f64) {
    let probation = state.policy.probation;
    if let Some(skill) = skill_of(state, wx, kx) {
        skill.note_success(relief, probation);
    }
}

/// Takes note of a failure without a verdict.
pub(crate) fn note_failure(state: &mut State, wx: Wx, kx: Kx, action: ActionId) {
    let now = state.now;
    if let Some(skill) = skill_of(state, wx, kx) {
        skill.note_failure(action, now);
    }
}

/// A failure is no evidence against the worker.
pub(crate) fn acquit(state: &mut State, wx: Wx, (kx, action): (Kx, ActionId), relief: f64) {
    if let Some(skill) = skill_of(state, wx, kx) {
        skill.acquit(action, relief);
    }
}

/// A failure was the worker's fault. True: it is to be given nothing more of this kind, because it is bad at it and
/// good at another one.
pub(crate) fn weigh_skill(state: &mut State, wx: Wx, (kx, action): (Kx, ActionId), guilt: f64, relief: f64) -> bool {
    let (enough, probation) = (state.quarantine_score(), state.policy.probation);
    let Some(skill) = skill_of(state, wx, kx) else {
        return false;
    };
    let is_bad = skill.convict(action, guilt, relief, enough);
    let skills = state.workers.get(wx).map_or(&[][..], |worker| &worker.skills);
    let mut others = skills.iter().filter(|other| other.kx() != kx);
    is_bad && others.any(|other| other.is_good(enough, probation))
}

/// What is known of a worker at one kind. None while there is only one kind.
fn skill_of(state: &mut State, wx: Wx, kx: Kx) -> Option<&mut Skill> {
    if state.kinds.len() < 2 || state.policy.blame != Blame::Deferred {
        return None;
    }
    let skills = &mut state.workers.get_mut(wx)?.skills;
    let index = match skills.binary_search_by_key(&kx, Skill::kx) {
        Ok(index) => index,
        Err(index) => {
            skills.insert(index, Skill::new(kx));
            index
        }
    };
    skills.get_mut(index)
}

/// Whether a worker may be barred from a kind: another one is left for it, and not too much of the pool is barred
/// already.
pub(crate) fn may_bar(state: &State, wx: Wx, kx: Kx) -> bool {
    let (Some(worker), Some(kind)) = (state.workers.get(wx), state.kinds.get(kx)) else {
        return false;
    };
    let Some(pool) = state.pools.get(worker.px) else {
        return false;
    };
    let barred = kind
        .barred
        .iter()
        .filter(|other| **other != wx && state.is_usable(**other));
    let is_mate = |other: &&Wx| state.workers.get(**other).is_some_and(|other| other.px == worker.px);
    let (all, mates) = (barred.clone().count(), barred.filter(is_mate).count());
    let share = (pool.members as f64 * state.policy.quarantine_share) as usize;
    worker.standing.is_usable()
        && !state.is_systemic(worker.px)
        && state.usable(kind.rx) > all + 1
        && mates < share.max(1)
}

/// Gives a worker nothing of a kind for a while.
pub(crate) fn exclude(state: &mut State, wx: Wx, kx: Kx) {
    let policy = &state.policy;
    let (min, max, jitter) = (policy.quarantine_min, policy.quarantine_max, policy.quarantine_jitter);
    let Some(skill) = skill_of(state, wx, kx) else { return };
    let length = skill.begin_bar(min, max);
    let until = state.now + state.rng.jittered(length, jitter);
    let before = skill_of(state, wx, kx).map_or(Moment::NEVER, |skill| skill.set_until(until));
    state.timers.clear(before, Timer::Barred(wx, kx));
    state.timers.set(until, Timer::Barred(wx, kx));
    let (Some(worker), Some(kind)) = (state.workers.get_mut(wx), state.kinds.get_mut(kx)) else {
        return;
    };
    // It pays for this kind here, and not once more as a whole.
    worker.health.log.forgive_kind(kx);
    if let Err(index) = kind.barred.binary_search(&wx) {
        kind.barred.insert(index, wx);
    }
    state.commands.push(Command::Barred {
        worker: worker.id,
        kind: kind.id,
        until: Some(until),
    });
    let rx = kind.rx;
    annul::annul_kind(state, wx, kx);
    move_choosy(state, rx, kx, None);
}

/// A worker is given actions of a kind again.
pub(crate) fn readmit(state: &mut State, wx: Wx, kx: Kx) {
    let before = match skill_of(state, wx, kx) {
        Some(skill) => skill.set_until(Moment::NEVER),
        None => return,
    };
    state.timers.clear(before, Timer::Barred(wx, kx));
    let (Some(worker), Some(kind)) = (state.workers.get(wx), state.kinds.get_mut(kx)) else {
        return;
    };
    kind.barred.retain(|other| *other != wx);
    let rx = kind.rx;
    state.commands.push(Command::Barred {
        worker: worker.id,
        kind: kind.id,
        until: None,
    });
    move_choosy(state, rx, kx, Some(wx));
    state.dirty_workers.push(wx);
}

/// Looks again at the actions of a kind that avoid this worker, or any.
fn move_choosy(state: &mut State, rx: Rx, kx: Kx, wx: Option<Wx>) {
    let is_of = |ax: &Ax| state.actions.get(*ax).is_some_and(|action| action.kx == kx);
    let moved: Vec<Ax> = state.queues.choosy(rx, wx).into_iter().filter(is_of).collect();
    for ax in moved {
        place::place_again(state, ax);
    }
}

/// Forgets what is known of a worker at all kinds.
pub(crate) fn forget_skills(state: &mut State, wx: Wx) {
    let barred: Vec<Kx> = match state.workers.get(wx) {
        Some(worker) => worker
            .skills
            .iter()
            .filter(|skill| skill.barred_until().is_some())
            .map(Skill::kx)
            .collect(),
        None => return,
    };
    for kx in barred {
        readmit(state, wx, kx);
    }
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.skills.clear();
    }
}

/// Whether a worker is barred from the kind of an action. If it came for it in line, the action avoids it from now on.
pub(crate) fn replace_if_excluded(state: &mut State, ax: Ax, wx: Wx) -> bool {
    let Some(kx) = state.actions.get(ax).map(|action| action.kx) else {
        return false;
    };
    let is_barred = state.is_barred(wx, kx);
    if is_barred {
        place::place_again(state, ax);
    }
    is_barred
}
