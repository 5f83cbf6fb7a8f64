//! The lists of workers with room, and the lines of workers that wait for a quota.
//!
//! A worker that can pay for nothing is not on its pool's list: it stands in the line of the bucket that is short,
//! which remembers the least cost that a worker waits for. One timer for each such bucket goes off when there is so
//! much in it, and nothing polls before.

use crate::{
    ids::{Bx, Kx, Wx},
    model::{
        quota_state::QuotaState,
        worker::{Capacity, Entry},
    },
    moment::Moment,
    outcome::Health,
    state::{Mutation, State},
    timers::Timer,
};

/// What a worker draws from.
#[inline]
pub(crate) fn quotas(state: &State, wx: Wx) -> impl Iterator<Item = (Bx, &QuotaState)> {
    let buckets = state.workers.get(wx).map_or(&[][..], |worker| &worker.buckets);
    buckets.iter().filter_map(|bx| Some((*bx, state.quotas.get(*bx)?)))
}

/// The first bucket from which a worker cannot pay for an action of this kind (none: for the cheapest there is), and
/// what it would take.
#[inline]
pub(crate) fn shortage(state: &State, wx: Wx, kx: Option<Kx>) -> Option<(Bx, u32)> {
    let kind = || state.kinds.get(kx?).map(|kind| kind.id);
    quotas(state, wx).find_map(|(bx, quota)| {
        let cost = quota.cost(kind());
        quota.is_short(state.now, cost).then_some((bx, cost))
    })
}

/// Whether an action of this kind can be paid for, or if none is given anything at all. If not, the worker stands in
/// the bucket's line.
pub(crate) fn can_pay(state: &mut State, wx: Wx, kx: Option<Kx>) -> bool {
    match shortage(state, wx, kx) {
        Some((bx, cost)) => {
            request(state, bx, cost);
            wait_at(state, wx, bx);
            false
        }
        None => true,
    }
}

/// As `can_pay`, without putting the worker in line.
#[inline]
pub(crate) fn could_pay(state: &State, wx: Wx, kx: Kx) -> bool {
    shortage(state, wx, Some(kx)).is_none()
}

/// Puts a worker that is short of something into the line of that bucket: when there is so much in it, it looks for
/// work.
pub(crate) fn wait_at(state: &mut State, wx: Wx, bx: Bx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let Some(quota) = state.quotas.get_mut(bx) else { return };
    if worker.waits.iter().any(|(at, _)| *at == bx) {
        return;
    }
    state.waited += 1;
    worker.waits.push((bx, state.waited));
    quota.push_waiting(state.waited, wx);
}

/// Takes a worker out of the line of a bucket.
pub(crate) fn wait_no_more(state: &mut State, wx: Wx, bx: Bx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let at = worker.waits.iter().position(|(at, _)| *at == bx);
    if let Some((_, place)) = at.map(|at| worker.waits.swap_remove(at))
        && let Some(quota) = state.quotas.get_mut(bx)
    {
        quota.remove_waiting(place, wx);
    }
}

/// Takes note that a worker is on its pool's list now, or is not.
fn note_listed(state: &mut State, wx: Wx, is_listed: bool) {
    let Some(worker) = state.workers.get(wx) else { return };
    for bx in &worker.buckets {
        if let Some(quota) = state.quotas.get_mut(*bx) {
            quota.set_listed(wx, is_listed);
        }
    }
}

/// Has as many of the workers that wait for a bucket look for work as it has units, up to this place in line.
fn wake_some(state: &mut State, bx: Bx, place: u64) {
    let now = state.now;
    let Some(quota) = state.quotas.get_mut(bx) else { return };
    let woken = quota.pop_waiting(now, place);
    let has_more = quota.has_waiting(u64::MAX);
    for wx in woken {
        if let Some(worker) = state.workers.get_mut(wx) {
            worker.waits.retain(|(at, _)| *at != bx);
        }
        state.dirty_workers.push(wx);
    }
    if has_more {
        state.refilling.push((bx, place));
    }
}

/// The workers that were woken for a bucket that was refilled may have left units for others. True: another worker is
/// woken and has to look for work.
#[inline]
pub(crate) fn wake_more(state: &mut State) -> bool {
    while let Some((bx, place)) = state.refilling.pop() {
        let now = state.now;
        let Some(quota) = state.quotas.get(bx) else { continue };
        let has_more = quota.has_waiting(place);
        if has_more && !quota.is_empty(now) {
            wake_some(state, bx, place);
            return true;
        }
        // A worker that had its turn and waits again has requested its cost already.
        if has_more {
            request(state, bx, 1);
        }
    }
    !state.dirty_workers.is_empty()
}

/// When what a worker could spend goes to waste.
fn quota_expires(state: &State, wx: Wx) -> Moment {
    let expire = quotas(state, wx).map(|(_, quota)| quota.listed_expiry(state.now));
    expire.min().unwrap_or(Moment::NEVER)
}

/// A worker waits until there are so many units.
fn request(state: &mut State, bx: Bx, units: u32) {
    let Some(quota) = state.quotas.get_mut(bx) else { return };
    if quota.request(units) {
        look_again(state, bx);
    }
}

/// Something changed in a bucket, or in what is waited for.
pub(crate) fn look_again(state: &mut State, bx: Bx) {
    let now = state.now;
    let Some(quota) = state.quotas.get_mut(bx) else { return };
    let Some((before, wakes)) = quota.reschedule(now) else {
        return;
    };
    state.timers.clear(before, Timer::Bucket(bx));
    if wakes <= now {
        refilled(state, bx);
    } else {
        state.timers.set(wakes, Timer::Bucket(bx));
    }
}

/// There is as much in a bucket as a worker waits for.
pub(crate) fn refilled(state: &mut State, bx: Bx) {
    let Some(quota) = state.quotas.get_mut(bx) else { return };
    quota.end_wait();
    follow_expiry(state, bx);
    wake_some(state, bx, state.waited);
}

/// Has the lists of pools follow the moment at which a bucket's units go to waste, if it has moved far.
pub(crate) fn follow_expiry(state: &mut State, bx: Bx) {
    let now = state.now;
    if state.quotas.get_mut(bx).is_some_and(|quota| quota.follow_expiry(now)) {
        update_all_listed(state, bx);
    }
}

/// Something changed for all listed workers that draw from this bucket.
pub(crate) fn update_all_listed(state: &mut State, bx: Bx) {
    let listed = state
        .quotas
        .get(bx)
        .map(|quota| quota.listed().iter().copied().collect());
    let listed: Vec<Wx> = listed.unwrap_or_default();
    for wx in listed {
        update_listing(state, wx);
    }
}

/// Whether one of a worker's buckets is empty.
#[inline]
pub(crate) fn is_spent_out(state: &State, wx: Wx) -> bool {
    quotas(state, wx).any(|(_, quota)| quota.is_empty(state.now))
}

/// Puts a worker where its pool's lists should have it now.
pub(crate) fn update_listing(state: &mut State, wx: Wx) {
    let full_probation = state.fault_injected(Mutation::FullProbation);
    let Some(worker) = state.workers.get(wx) else { return };
    let (mut capacity, has_quota) = (worker.capacity(&state.policy), !worker.buckets.is_empty());
    if full_probation
        && matches!(worker.standing.health(), Health::Probation { .. })
        && worker.load() < worker.concurrency.slots()
    {
        capacity = Capacity::Slot;
    }
    let mut expires = Moment::NEVER;
    if has_quota {
        expires = quota_expires(state, wx);
        if capacity != Capacity::None && !can_pay(state, wx, None) {
            capacity = Capacity::None;
        }
    }
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let entry = Entry {
        expires,
        load: worker.load(),
        last_assigned: worker.last_assigned,
        wx,
    };
    let listed = (capacity, entry);
    if worker.listed == listed {
        return;
    }
    let before = std::mem::replace(&mut worker.listed, listed);
    let Some(pool) = state.pools.get_mut(worker.px) else {
        return;
    };
    let heads = pool.heads();
    match before {
        (Capacity::Slot, entry) => pool.free.remove(&entry),
        (Capacity::Prefetch, entry) => pool.prefetch.remove(&entry),
        (Capacity::None, _) => false,
    };
    match listed {
        (Capacity::Slot, entry) => pool.free.insert(entry),
        (Capacity::Prefetch, entry) => pool.prefetch.insert(entry),
        (Capacity::None, _) => false,
    };
    let next = pool.heads();
    if heads != next {
        let px = worker.px;
        for rx in &pool.routes {
            if let Some(route) = state.queues.routes.get_mut(*rx).filter(|route| route.is_wide()) {
                let [free, prefetch] = heads;
                free.map(|entry| route.free.remove(&(entry, px)));
                prefetch.map(|entry| route.prefetch.remove(&(entry, px)));
                let [free, prefetch] = next;
                free.map(|entry| route.free.insert((entry, px)));
                prefetch.map(|entry| route.prefetch.insert((entry, px)));
            }
        }
    }
    if has_quota && (before.0 == Capacity::None) != (listed.0 == Capacity::None) {
        note_listed(state, wx, listed.0 != Capacity::None);
    }
}
