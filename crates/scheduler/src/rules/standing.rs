//! Changes a worker's standing, and the counts of its pool.

use crate::{
    command::Command,
    ids::{Px, Wx},
    model::health::Standing,
    outcome::Health,
    rules::listing,
    state::{FollowUp, State},
    timers::Timer,
};

/// Takes note of how many failures in a row a worker had, known or not.
pub(crate) fn set_consecutive_failures(state: &mut State, wx: Wx, failures: u32) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let was_failing = worker.health.set_consecutive_failures(failures, state.now);
    if worker.standing.is_usable() && was_failing != (failures > 0) {
        let px = worker.px;
        count_failing(state, px, was_failing, failures > 0);
    }
}

/// Changes a worker's standing, and queues what follows for waiting actions. Gives it no work: the
/// caller pulls when it is done.
pub(crate) fn set_standing(state: &mut State, wx: Wx, next: Standing) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let before = worker.standing;
    if before == next {
        return;
    }
    worker.standing = next;
    let (id, px) = (worker.id, worker.px);
    state.timers.clear(before.until(), Timer::Worker(wx));
    state.timers.set(next.until(), Timer::Worker(wx));
    let is_failing = worker.health.is_failing();
    update_pool_counts(state, px, Some(before), Some(next));
    if is_failing {
        count_failing(state, px, before.is_usable(), next.is_usable());
    }
    if !next.is_usable() {
        listing::update_listing(state, wx);
    }
    let (was, health): (Health, Health) = (before.health(), next.health());
    if was != health {
        state.commands.push(Command::HealthChanged { worker: id, health });
    }
    if before.is_present() && !next.is_present() {
        state.follow_ups.push(FollowUp::FailUnroutable(px));
    }
    match (before.is_usable(), next.is_usable()) {
        (true, true) => listing::update_listing(state, wx),
        (true, false) => state.follow_ups.push(FollowUp::PlaceStuck(px)),
        (false, true) => {
            // Listed only after what was stuck stands in line: the order of the line then decides what it is given.
            state.follow_ups.push(FollowUp::PlaceStuck(px));
            state.follow_ups.push(FollowUp::UpdateListing(wx));
        }
        (false, false) => {}
    }
}

/// Keeps a pool's counts when one of its workers changes.
pub(crate) fn update_pool_counts(state: &mut State, px: Px, before: Option<Standing>, next: Option<Standing>) {
    let Some(pool) = state.pools.get_mut(px) else { return };
    let shift = |count: &mut usize, holds: fn(Standing) -> bool| {
        *count += usize::from(next.is_some_and(holds));
        *count = count.saturating_sub(usize::from(before.is_some_and(holds)));
    };
    shift(&mut pool.members, Standing::is_member);
    shift(&mut pool.present, Standing::is_present);
    shift(&mut pool.usable, Standing::is_usable);
    shift(&mut pool.judged, Standing::is_judged);
}

/// Keeps the count of a pool's usable workers that have failed since their last success: one of them was such a worker,
/// or is one now.
fn count_failing(state: &mut State, px: Px, was: bool, is: bool) {
    if let Some(pool) = state.pools.get_mut(px) {
        pool.failing += usize::from(is);
        pool.failing = pool.failing.saturating_sub(usize::from(was));
    }
}
