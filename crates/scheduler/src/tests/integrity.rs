//! What must be true inside between two events: every index says the same as what it is an index of.

use std::collections::BTreeSet;

use crate::{
    action::State,
    ids::{Ax, Px, Wx},
    scheduler::Scheduler,
    slab::Slot,
    worker::{Entry, Room, Standing, Worker},
};

/// The first thing that is wrong.
pub(super) fn check(scheduler: &Scheduler) -> Result<(), String> {
    lists(scheduler)?;
    heads(scheduler)?;
    shunned(scheduler)?;
    lines(scheduler)
}

fn places(scheduler: &Scheduler) -> impl Iterator<Item = (Wx, &Worker)> {
    scheduler
        .workers
        .iter()
        .enumerate()
        .map(|(index, worker)| (Wx::at(index as u32), worker))
}

fn lists(scheduler: &Scheduler) -> Result<(), String> {
    let (mut free, mut prefetch, mut held) = (0, 0, 0);
    for (wx, worker) in places(scheduler) {
        // What a window offers can shrink by itself when it ends. It is noticed when somebody is to be given something.
        let room = match scheduler.is_dry(wx) {
            false => worker.room(&scheduler.policy),
            true if worker.listed.0 == Room::Slot => Room::Slot,
            true => Room::None,
        };
        let entry = Entry {
            expires: worker.listed.1.expires,
            load: worker.load(),
            last_assigned: worker.last_assigned,
            wx,
        };
        if worker.listed != (room, entry) && scheduler.plant.is_none() {
            return Err(format!("{} is listed as {:?}, not {room:?}", worker.id, worker.listed));
        }
        let pool = scheduler.pools.get(worker.px).expect("a pool");
        let kept = match worker.listed.0 {
            Room::None => true,
            Room::Slot => pool.free.contains(&worker.listed.1),
            Room::Prefetch => pool.prefetch.contains(&worker.listed.1),
        };
        if !kept {
            return Err(format!("{} is not in its pool's list", worker.id));
        }
        free += usize::from(worker.listed.0 == Room::Slot);
        prefetch += usize::from(worker.listed.0 == Room::Prefetch);
        held += worker.attempts.len();
    }
    let pools = || scheduler.pools.iter();
    let sizes = [
        ("free", free, pools().map(|pool| pool.free.len()).sum()),
        ("prefetch", prefetch, pools().map(|pool| pool.prefetch.len()).sum()),
        ("held", held, scheduler.held),
        (
            "usable",
            count(scheduler, Standing::is_usable),
            pools().map(|pool| pool.usable).sum(),
        ),
        (
            "present",
            count(scheduler, Standing::is_present),
            pools().map(|pool| pool.present).sum(),
        ),
        (
            "member",
            count(scheduler, Standing::is_member),
            pools().map(|pool| pool.members).sum(),
        ),
        (
            "judged",
            count(scheduler, Standing::is_judged),
            pools().map(|pool| pool.judged).sum::<usize>(),
        ),
    ];
    for (name, counted, kept) in sizes {
        if counted != kept {
            return Err(format!("{counted} are {name}, not {kept}"));
        }
    }
    Ok(())
}

/// A route of many pools knows the first free worker of each.
fn heads(scheduler: &Scheduler) -> Result<(), String> {
    for (rx, route) in scheduler.queues.routes.places() {
        for (index, kept) in [&route.free, &route.prefetch].into_iter().enumerate() {
            let head = |px: &Px| Some((scheduler.pools.get(*px)?.heads()[index]?, *px));
            let heads: BTreeSet<(Entry, Px)> = match route.is_wide() {
                true => route.pools.iter().filter_map(head).collect(),
                false => BTreeSet::new(),
            };
            if *kept != heads {
                return Err(format!("{rx:?} has other first workers than its pools"));
            }
        }
    }
    Ok(())
}

/// A worker lists exactly the open actions that avoid it because it failed lately: what is settled takes no memory there.
fn shunned(scheduler: &Scheduler) -> Result<(), String> {
    for (wx, worker) in places(scheduler) {
        let avoids = |ax: &Ax| {
            let trials = scheduler.actions.get(*ax).and_then(|action| action.trials.as_deref());
            trials.is_some_and(|trials| trials.shunned.contains(&wx))
        };
        let avoided = scheduler.actions.places().filter(|(ax, _)| avoids(ax)).count();
        if avoided != worker.shunned_by.len() || !worker.shunned_by.iter().all(avoids) {
            let listed = worker.shunned_by.len();
            return Err(format!(
                "{} lists {listed} actions that avoid it, not {avoided}",
                worker.id
            ));
        }
    }
    Ok(())
}

fn count(scheduler: &Scheduler, holds: fn(Standing) -> bool) -> usize {
    scheduler.workers.iter().filter(|worker| holds(worker.standing)).count()
}

fn lines(scheduler: &Scheduler) -> Result<(), String> {
    let (mut waiting, mut running, mut resting) = (0, 0, 0);
    for (ax, action) in scheduler.actions.places() {
        let route = scheduler.queues.routes.get(action.rx).expect("a route");
        let group = match action.state {
            State::Between => return Err(format!("{} is between two states", action.id)),
            State::Running { .. } => {
                running += 1;
                continue;
            }
            State::Resting { .. } => {
                resting += 1;
                if scheduler.is_unroutable(action.rx) || scheduler.is_out_of_voters(ax, action.rx) {
                    return Err(format!("{} backs off, but nobody is left for it", action.id));
                }
                continue;
            }
            State::Waiting { group, .. } => group,
        };
        waiting += 1;
        if scheduler.is_unroutable(action.rx) || scheduler.is_out_of_voters(ax, action.rx) {
            return Err(format!("{} waits, but nobody is left for it", action.id));
        }
        let solo = action.is_solo();
        if solo != route.solo.iter().any(|key| key.ax == ax) {
            return Err(format!("{} is in the wrong line", action.id));
        }
        let avoids = |wx| match solo {
            true => !scheduler.solo_takes(ax, wx),
            false => group.is_some_and(|gx| scheduler.queues.avoids(gx, wx)),
        };
        let usable: Vec<(Wx, &Worker)> = places(scheduler)
            .filter(|(_, worker)| route.pools.contains(&worker.px) && worker.standing.is_usable())
            .collect();
        if scheduler.allowed(ax, action.rx) > 0 && usable.iter().all(|(wx, _)| avoids(*wx)) {
            return Err(format!("{} avoids everybody", action.id));
        }
        if let Some((_, worker)) = usable.iter().find(|(wx, worker)| {
            worker.listed.0 != Room::None
                && !avoids(*wx)
                && (!solo || worker.load() == 0)
                && !scheduler.is_held_back(worker.px)
                && scheduler.could_pay(*wx, action.kx)
        }) && !scheduler.draining
        {
            return Err(format!("{} waits while {} has room for it", action.id, worker.id));
        }
    }
    let counts = scheduler.counts();
    if (waiting, running, resting) != (counts.waiting, counts.running, counts.backing_off) {
        return Err(format!(
            "{waiting} wait, {running} run, {resting} back off, not {counts:?}"
        ));
    }
    Ok(())
}
