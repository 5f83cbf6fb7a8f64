//! Finds the best worker for an action, and gives it the action.
//!
//! No action waits while a worker that may take it has room. So when an action comes, it alone is to be placed
//! (`find`); when a worker is free, it alone is to be given something (`dispatch`). Neither ever looks at all of the
//! others.

use std::collections::BTreeSet;

use crate::{
    command::Command,
    ids::{AttemptId, Ax, Kx, Px, Rx, Wx},
    model::{
        action::{Phase, Run},
        health::{Rest, Standing, Trust},
        pool::Pool,
        worker::{Entry, InFlight},
    },
    rules::{damping, listing, outage, slow, spending, standing},
    state::{Mutation, State},
};

/// The best worker of a route that is not in `avoid` (rising): with a free slot if there is one, else to lie ready.
/// `choosy`: one that has not failed since its last success.
pub(crate) fn find(state: &State, rx: Rx, kx: Kx, avoid: &[Wx], choosy: bool) -> Option<Wx> {
    let suits = |entry: &Entry| !choosy || !state.has_failed(entry.wx);
    let route = state.queues.routes.get(rx)?;
    match route.is_wide() {
        true => first_of(state, &route.free, |pool| &pool.free, kx, avoid, suits)
            .or_else(|| first_of(state, &route.prefetch, |pool| &pool.prefetch, kx, avoid, suits)),
        false => best(state, rx, kx, avoid, |pool| &pool.free, suits)
            .or_else(|| best(state, rx, kx, avoid, |pool| &pool.prefetch, suits)),
    }
}

/// The best worker of these lists that suits, of a route of so many pools that not all of them are looked at: `heads`
/// are the first of each.
fn first_of(
    state: &State,
    heads: &BTreeSet<(Entry, Px)>,
    list: fn(&Pool) -> &BTreeSet<Entry>,
    kx: Kx,
    avoid: &[Wx],
    suits: impl Fn(&Entry) -> bool,
) -> Option<Wx> {
    if state.draining {
        return None;
    }
    let mut best: Option<&Entry> = None;
    for (head, px) in heads {
        if best.is_some_and(|best| best < head) {
            break;
        }
        if state.is_held_back(*px) {
            continue;
        }
        let may = |entry: &&Entry| {
            avoid.binary_search(&entry.wx).is_err() && listing::could_pay(state, entry.wx, kx) && suits(entry)
        };
        let found = state.pools.get(*px).and_then(|pool| list(pool).iter().find(may));
        best = best.into_iter().chain(found).min();
    }
    best.map(|entry| entry.wx)
}

/// The best worker of these lists of a route's pools that is not in `avoid` (rising), can pay for it and is suitable.
pub(crate) fn best(
    state: &State,
    rx: Rx,
    kx: Kx,
    avoid: &[Wx],
    list: fn(&Pool) -> &BTreeSet<Entry>,
    suits: impl Fn(&Entry) -> bool,
) -> Option<Wx> {
    if state.draining {
        return None;
    }
    let may = |entry: &&Entry| {
        suits(entry) && avoid.binary_search(&entry.wx).is_err() && listing::could_pay(state, entry.wx, kx)
    };
    let pools = state.queues.routes.get(rx)?.pools.iter();
    pools
        .filter(|px| !state.is_held_back(**px))
        .filter_map(|px| list(state.pools.get(*px)?).iter().find(may))
        .min()
        .map(|entry| entry.wx)
}

/// Gives an action that is in no state to a worker that has room.
pub(crate) fn assign(state: &mut State, ax: Ax, wx: Wx) {
    let same_number = state.fault_injected(Mutation::SameNumber);
    let (Some(action), Some(worker)) = (state.actions.get_mut(ax), state.workers.get_mut(wx)) else {
        return;
    };
    if !same_number || action.number == 0 {
        action.number = action.number.saturating_add(1);
    }
    let run = Run {
        number: action.number,
        wx,
    };
    let is_second = match action.phase {
        Phase::Running { first, .. } => {
            action.phase = Phase::Running {
                first,
                second: Some(run),
            };
            true
        }
        _ => {
            action.phase = Phase::Running {
                first: run,
                second: None,
            };
            false
        }
    };
    let attempt = AttemptId {
        action: action.id,
        number: action.number,
    };
    state.assigned += 1;
    state.in_flight += 1;
    state.tallies.running += usize::from(!is_second);
    state.tallies.second += usize::from(is_second);
    let (px, kx, id, seq) = (worker.px, action.kx, action.id, state.assigned);
    worker.attempts.push(InFlight {
        attempt,
        seq: state.assigned,
    });
    worker.last_assigned = state.assigned;
    state.commands.push(Command::Assign {
        attempt,
        worker: worker.id,
    });
    let standing = worker.standing;
    if !is_second {
        slow::watch(state, ax, attempt);
    }
    outage::count_probe(state, px);
    spending::pay(state, wx, kx, seq);
    if let Standing::Usable {
        trust: trust @ Trust::Suspect { further },
        rest: Rest::None,
    } = standing
        && !outage::fails_again(state, wx, id)
    {
        let rest = damping::damp(state, wx, Some(kx), further);
        standing::set_standing(state, wx, Standing::Usable { trust, rest });
    }
    listing::update_listing(state, wx);
}
