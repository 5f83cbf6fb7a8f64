use crate::ids::{Bx, Kx, Wx};
use crate::model::quota_state::Well;
use crate::model::worker::{Entry, Room};
use crate::moment::Moment;
use crate::outcome::Health;
use crate::state::{Plant, State};
use crate::timers::Timer;
use std::time::Duration;

/// By how much the moment at which the quota of several workers goes to waste may be off in the lists of pools: each report moves
/// it a little, and the lists need not follow each time. Arbitrary: windows are mostly a minute or longer.
const EXPIRES_OFF: Duration = Duration::from_secs(1);

/// What a worker draws from.
pub(crate) fn wells(state: &State, wx: Wx) -> impl Iterator<Item = (Bx, &Well)> {
    let buckets = state.workers.get(wx).map_or(&[][..], |worker| &worker.buckets);
    buckets.iter().filter_map(|bx| Some((*bx, state.wells.get(*bx)?)))
}

/// The first bucket from which a worker cannot pay for an action of this kind (none: for the cheapest there is), and what
/// it would take.
pub(crate) fn short(state: &State, wx: Wx, kx: Option<Kx>) -> Option<(Bx, u32)> {
    let kind = || state.kinds.get(kx?).map(|kind| kind.id);
    wells(state, wx).find_map(|(bx, well)| {
        let cost = well.cost(kind());
        (well.bucket.available(state.now) < well.bucket.most(cost)).then_some((bx, cost))
    })
}

/// Whether an action of this kind can be paid for, or if none is given anything at all. If not, the worker stands in the
/// bucket's line.
pub(crate) fn can_pay(state: &mut State, wx: Wx, kx: Option<Kx>) -> bool {
    match short(state, wx, kx) {
        Some((bx, cost)) => {
            want(state, bx, cost);
            wait_at(state, wx, bx);
            false
        }
        None => true,
    }
}

/// As `can_pay`, without anybody waiting for it.
pub(crate) fn could_pay(state: &State, wx: Wx, kx: Kx) -> bool {
    short(state, wx, Some(kx)).is_none()
}

/// Puts a worker that is short of something into the line of that bucket: when there is so much in it, it looks for work.
pub(crate) fn wait_at(state: &mut State, wx: Wx, bx: Bx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let Some(well) = state.wells.get_mut(bx) else { return };
    if worker.waits.iter().any(|(at, _)| *at == bx) {
        return;
    }
    state.waited += 1;
    worker.waits.push((bx, state.waited));
    well.waiting.insert((state.waited, wx));
}

/// Takes a worker out of the line of a bucket.
pub(crate) fn wait_no_more(state: &mut State, wx: Wx, bx: Bx) {
    let Some(worker) = state.workers.get_mut(wx) else {
        return;
    };
    let at = worker.waits.iter().position(|(at, _)| *at == bx);
    if let Some((_, place)) = at.map(|at| worker.waits.swap_remove(at))
        && let Some(well) = state.wells.get_mut(bx)
    {
        well.waiting.remove(&(place, wx));
    }
}

/// Takes note that a worker is on its pool's list now, or is not.
fn note_listed(state: &mut State, wx: Wx, is_listed: bool) {
    let Some(worker) = state.workers.get(wx) else { return };
    for bx in &worker.buckets {
        if let Some(well) = state.wells.get_mut(*bx) {
            match is_listed {
                true => well.listed.insert(wx),
                false => well.listed.remove(&wx),
            };
        }
    }
}

/// Has as many of those who wait for a bucket look for work as it has units, if they came before `place`.
fn wake_some(state: &mut State, bx: Bx, place: u64) {
    let now = state.now;
    let Some(well) = state.wells.get_mut(bx) else { return };
    let units = well.bucket.available(now);
    for _ in 0..units {
        let Some((_, wx)) = well.waiting.first().filter(|(at, _)| *at <= place).copied() else {
            break;
        };
        well.waiting.pop_first();
        if let Some(worker) = state.workers.get_mut(wx) {
            worker.waits.retain(|(at, _)| *at != bx);
        }
        state.stirred.push(wx);
    }
    if !well.waiting.is_empty() {
        state.refilling.push((bx, place));
    }
}

/// The workers that were woken for a bucket that was refilled may have left units for others. True: another worker is woken and
/// has to look for work.
pub(crate) fn wake_more(state: &mut State) -> bool {
    while let Some((bx, place)) = state.refilling.pop() {
        let now = state.now;
        let Some(well) = state.wells.get(bx) else { continue };
        let has_more = well.waiting.first().is_some_and(|(at, _)| *at <= place);
        if has_more && well.bucket.available(now) > 0 {
            wake_some(state, bx, place);
            return true;
        }
        // Whoever had its turn and waits again has said for how much.
        if has_more {
            want(state, bx, 1);
        }
    }
    !state.stirred.is_empty()
}

/// When what a worker could spend goes to waste.
fn quota_expires(state: &State, wx: Wx) -> Moment {
    let expire = wells(state, wx).map(|(_, well)| match well.workers.len() {
        0 | 1 => well.bucket.expires(state.now),
        _ => well.expires,
    });
    expire.min().unwrap_or(Moment::NEVER)
}

/// Somebody waits until there are so many units.
fn want(state: &mut State, bx: Bx, units: u32) {
    let Some(well) = state.wells.get_mut(bx) else { return };
    let least = well.thirst.map_or(units, |thirst| thirst.min(units));
    if well.thirst != Some(least) || well.wakes == Moment::NEVER {
        well.thirst = Some(least);
        look_again(state, bx);
    }
}

/// Something changed in a bucket, or in what somebody waits for.
pub(crate) fn look_again(state: &mut State, bx: Bx) {
    let now = state.now;
    let Some(well) = state.wells.get_mut(bx) else { return };
    let Some(thirst) = well.thirst else { return };
    let wakes = well.bucket.when(now, thirst).unwrap_or(Moment::NEVER);
    let before = std::mem::replace(&mut well.wakes, wakes);
    state.timers.clear(before, Timer::Bucket(bx));
    if wakes <= now {
        refilled(state, bx);
    } else {
        state.timers.set(wakes, Timer::Bucket(bx));
    }
}

/// There is as much in a bucket as somebody waits for.
pub(crate) fn refilled(state: &mut State, bx: Bx) {
    let Some(well) = state.wells.get_mut(bx) else { return };
    well.thirst = None;
    well.wakes = Moment::NEVER;
    follow_expiry(state, bx);
    wake_some(state, bx, state.waited);
}

/// Has the lists of pools follow the moment at which a bucket's units go to waste, if it has moved far.
pub(crate) fn follow_expiry(state: &mut State, bx: Bx) {
    let now = state.now;
    let Some(well) = state.wells.get_mut(bx).filter(|well| well.workers.len() > 1) else {
        return;
    };
    let (before, expires) = (well.expires, well.bucket.expires(now));
    let moved = before.max(expires).since(before.min(expires));
    if before != expires && moved > EXPIRES_OFF {
        well.expires = expires;
        relist_listed(state, bx);
    }
}

/// Something changed for all who are listed and draw from this bucket.
pub(crate) fn relist_listed(state: &mut State, bx: Bx) {
    let listed = state.wells.get(bx).map(|well| well.listed.iter().copied().collect());
    let listed: Vec<Wx> = listed.unwrap_or_default();
    for wx in listed {
        relist(state, wx);
    }
}

/// Whether one of a worker's buckets is empty.
pub(crate) fn is_dry(state: &State, wx: Wx) -> bool {
    wells(state, wx).any(|(_, well)| well.bucket.available(state.now) == 0)
}

/// Puts a worker where its pool's lists should have it now.
pub(crate) fn relist(state: &mut State, wx: Wx) {
    let full_probation = state.planted(Plant::FullProbation);
    let Some(worker) = state.workers.get(wx) else { return };
    let (mut room, has_quota) = (worker.room(&state.policy), !worker.buckets.is_empty());
    if full_probation && matches!(worker.standing.health(), Health::Probation { .. }) && worker.load() < worker.slots {
        room = Room::Slot;
    }
    let mut expires = Moment::NEVER;
    if has_quota {
        expires = quota_expires(state, wx);
        if room != Room::None && !can_pay(state, wx, None) {
            room = Room::None;
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
    let listed = (room, entry);
    if worker.listed == listed {
        return;
    }
    let before = std::mem::replace(&mut worker.listed, listed);
    let Some(pool) = state.pools.get_mut(worker.px) else {
        return;
    };
    let heads = pool.heads();
    match before {
        (Room::Slot, entry) => pool.free.remove(&entry),
        (Room::Prefetch, entry) => pool.prefetch.remove(&entry),
        (Room::None, _) => false,
    };
    match listed {
        (Room::Slot, entry) => pool.free.insert(entry),
        (Room::Prefetch, entry) => pool.prefetch.insert(entry),
        (Room::None, _) => false,
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
    if has_quota && (before.0 == Room::None) != (listed.0 == Room::None) {
        note_listed(state, wx, listed.0 != Room::None);
    }
}
