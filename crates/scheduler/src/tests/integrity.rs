//! What must be true inside between two events: every index says the same as what it is an index of.

use std::collections::BTreeSet;

use crate::{
    ids::{Ax, Px, Wx},
    model::action::Phase,
    model::health::Standing,
    model::worker::{Capacity, Entry, Worker},
    rules::{eligible, listing},
    scheduler::Scheduler,
    slab::Slot,
};

/// The first thing that is wrong.
pub(super) fn check(scheduler: &Scheduler) -> Result<(), String> {
    if !scheduler.state.follow_ups.is_empty() || !scheduler.state.commands.is_empty() {
        return Err("something is left to be carried out".to_owned());
    }
    lists(scheduler)?;
    heads(scheduler)?;
    shunned(scheduler)?;
    lines(scheduler)
}

fn places(scheduler: &Scheduler) -> impl Iterator<Item = (Wx, &Worker)> {
    scheduler
        .state
        .workers
        .iter()
        .enumerate()
        .map(|(index, worker)| (Wx::at(index as u32), worker))
}

fn lists(scheduler: &Scheduler) -> Result<(), String> {
    let (mut free, mut prefetch, mut held) = (0, 0, 0);
    for (wx, worker) in places(scheduler) {
        // What a window offers can shrink by itself when it ends. It is noticed when a worker is to be given something.
        let room = match listing::is_spent_out(&scheduler.state, wx) {
            false => worker.capacity(&scheduler.state.policy),
            true if worker.listed.0 == Capacity::Slot => Capacity::Slot,
            true => Capacity::None,
        };
        let entry = Entry {
            expires: worker.listed.1.expires,
            load: worker.load(),
            last_assigned: worker.last_assigned,
            wx,
        };
        if worker.listed != (room, entry) && scheduler.state.mutation.is_none() {
            return Err(format!("{} is listed as {:?}, not {room:?}", worker.id, worker.listed));
        }
        let pool = scheduler.state.pools.get(worker.px).expect("a pool");
        let kept = match worker.listed.0 {
            Capacity::None => true,
            Capacity::Slot => pool.free.contains(&worker.listed.1),
            Capacity::Prefetch => pool.prefetch.contains(&worker.listed.1),
        };
        if !kept {
            return Err(format!("{} is not in its pool's list", worker.id));
        }
        free += usize::from(worker.listed.0 == Capacity::Slot);
        prefetch += usize::from(worker.listed.0 == Capacity::Prefetch);
        held += worker.attempts.len();
    }
    let pools = || scheduler.state.pools.iter();
    let sizes = [
        ("free", free, pools().map(|pool| pool.free.len()).sum()),
        ("prefetch", prefetch, pools().map(|pool| pool.prefetch.len()).sum()),
        ("held", held, scheduler.state.in_flight),
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
    for (rx, route) in scheduler.state.queues.routes.places() {
        for (index, kept) in [&route.free, &route.prefetch].into_iter().enumerate() {
            let head = |px: &Px| Some((scheduler.state.pools.get(*px)?.heads()[index]?, *px));
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

/// A worker lists exactly the open actions that avoid it because it failed lately: what is settled takes no memory
/// there.
fn shunned(scheduler: &Scheduler) -> Result<(), String> {
    for (wx, worker) in places(scheduler) {
        let avoids = |ax: &Ax| {
            let history = scheduler
                .state
                .actions
                .get(*ax)
                .and_then(|action| action.history.as_deref());
            history.is_some_and(|history| history.shunned.contains(&wx))
        };
        let avoided = scheduler
            .state
            .actions
            .slab()
            .places()
            .filter(|(ax, _)| avoids(ax))
            .count();
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
    scheduler
        .state
        .workers
        .iter()
        .filter(|worker| holds(worker.standing))
        .count()
}

fn lines(scheduler: &Scheduler) -> Result<(), String> {
    let (mut waiting, mut running, mut resting) = (0, 0, 0);
    for (ax, action) in scheduler.state.actions.slab().places() {
        let route = scheduler.state.queues.routes.get(action.rx).expect("a route");
        let group = match action.phase {
            Phase::Between => return Err(format!("{} is between two states", action.id)),
            Phase::Running { .. } => {
                running += 1;
                continue;
            }
            Phase::Resting { .. } => {
                resting += 1;
                if scheduler.state.is_unroutable(action.rx)
                    || eligible::is_out_of_voters(&scheduler.state, ax, action.rx)
                {
                    return Err(format!("{} backs off, but no worker is left for it", action.id));
                }
                continue;
            }
            Phase::Waiting { group, .. } => group,
        };
        waiting += 1;
        if scheduler.state.is_unroutable(action.rx) || eligible::is_out_of_voters(&scheduler.state, ax, action.rx) {
            return Err(format!("{} waits, but no worker is left for it", action.id));
        }
        let solo = action.is_solo();
        if solo != route.solo.iter().any(|key| key.ax == ax) {
            return Err(format!("{} is in the wrong line", action.id));
        }
        let avoids = |wx| match solo {
            true => !eligible::solo_takes(&scheduler.state, ax, wx),
            false => group.is_some_and(|gx| scheduler.state.queues.avoids(gx, wx)),
        };
        let usable: Vec<(Wx, &Worker)> = places(scheduler)
            .filter(|(_, worker)| route.pools.contains(&worker.px) && worker.standing.is_usable())
            .collect();
        if eligible::allowed(&scheduler.state, ax, action.rx) > 0 && usable.iter().all(|(wx, _)| avoids(*wx)) {
            return Err(format!("{} avoids everybody", action.id));
        }
        if let Some((_, worker)) = usable.iter().find(|(wx, worker)| {
            worker.listed.0 != Capacity::None
                && !avoids(*wx)
                && (!solo || worker.load() == 0)
                && !scheduler.state.is_held_back(worker.px)
                && listing::could_pay(&scheduler.state, *wx, action.kx)
        }) && !scheduler.state.draining
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
