//! Kinds, buckets, workers and owners as they are defined, and the routes between kinds and pools.

use std::collections::BTreeSet;

use crate::{
    ids::{BucketId, Bx, KindId, Kx, OwnerId, Ox, PoolId, Px, Rx, WorkerId, Wx},
    mean::Mean,
    model::{
        failure_rate::FailureRate, fates::Fates, health::Standing, kind::Kind, latency::Latency, pool::Pool,
        quota_state::QuotaState, worker::Worker,
    },
    quota::Quota,
    rules::standing,
    state::State,
};

pub(crate) fn define_bucket(state: &mut State, id: BucketId, quota: Quota, costs: Vec<(KindId, u32)>) {
    if state.quotas.contains(id) || quota.check().is_err() {
        return;
    }
    for (kind, _) in costs.iter().filter(|(_, cost)| *cost > 1) {
        if let Some(kx) = state.kinds.slot(*kind) {
            separate_route(state, kx);
        }
    }
    state.quotas.insert(id, QuotaState::new(id, quota, costs));
}

/// Has a worker draw from these buckets. What was never defined does not count.
fn attach_buckets(state: &mut State, wx: Wx, buckets: &[BucketId]) {
    let mut own: Vec<Bx> = buckets.iter().filter_map(|id| state.quotas.slot(*id)).collect();
    own.sort_unstable();
    own.dedup();
    for bx in &own {
        if let Some(quota) = state.quotas.get_mut(*bx) {
            quota.add_worker(wx);
        }
    }
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.buckets = own.into_boxed_slice();
    }
}

pub(crate) fn define(state: &mut State, kind: KindId, pools: &[PoolId]) {
    if state.kinds.contains(kind) {
        return;
    }
    let mut places: Vec<Px> = pools.iter().map(|pool| pool_of(state, *pool)).collect();
    places.sort_unstable();
    places.dedup();
    let rx = route_of(state, &places, None);
    let kx = state.kinds.insert(
        kind,
        Kind {
            id: kind,
            rx,
            failure_rate: FailureRate::default(),
            fates: Fates::default(),
            latency: Latency::default(),
            barred: Vec::new(),
            took: Mean::default(),
            refuted: 0,
        },
    );
    if state.quotas.iter().any(|quota| quota.cost(Some(kind)) > 1) {
        separate_route(state, kx);
    }
}

/// The route of these pools, which they are part of from now on. `costly`: of this kind alone.
fn route_of(state: &mut State, places: &[Px], costly: Option<Kx>) -> Rx {
    let (rx, new) = state.queues.route(places, costly);
    if new {
        let (mut free, mut prefetch) = (BTreeSet::new(), BTreeSet::new());
        for px in places {
            if let Some(pool) = state.pools.get_mut(*px) {
                pool.routes.push(rx);
                free.extend(pool.free.first().map(|entry| (*entry, *px)));
                prefetch.extend(pool.prefetch.first().map(|entry| (*entry, *px)));
            }
        }
        if let Some(route) = state.queues.routes.get_mut(rx).filter(|route| route.is_wide()) {
            (route.free, route.prefetch) = (free, prefetch);
        }
    }
    rx
}

/// A kind takes more of some quota than usual: what is submitted from now on has a route of its own.
fn separate_route(state: &mut State, kx: Kx) {
    let rx = state.kinds.get(kx).map(|kind| kind.rx);
    let route = rx.and_then(|rx| state.queues.routes.get(rx));
    let Some(places) = route.map(|route| route.pools.to_vec()) else {
        return;
    };
    let rx = route_of(state, &places, Some(kx));
    if let Some(kind) = state.kinds.get_mut(kx) {
        kind.rx = rx;
    }
}

/// The pool of this id; an empty one if it is new.
fn pool_of(state: &mut State, id: PoolId) -> Px {
    if let Some(px) = state.pools.slot(id) {
        return px;
    }
    state.pools.insert(id, Pool::new(id))
}

fn set_owner(state: &mut State, wx: Wx, owner: OwnerId) -> Ox {
    let ox = match state.owners.slot(owner) {
        Some(ox) => ox,
        None => state.owners.insert(owner, Vec::new()),
    };
    if let Some(workers) = state.owners.get_mut(ox) {
        workers.push(wx);
    }
    if let Some(worker) = state.workers.get_mut(wx) {
        worker.ox = Some(ox);
    }
    ox
}

/// Adds a worker. Its place. None: it is known already.
pub(crate) fn join(
    state: &mut State,
    id: WorkerId,
    pool: PoolId,
    slots: u32,
    buckets: &[BucketId],
    owner: Option<OwnerId>,
) -> Option<Wx> {
    if state.workers.contains(id) {
        return None;
    }
    let px = pool_of(state, pool);
    let wx = state.workers.insert(id, Worker::new(id, px, slots));
    attach_buckets(state, wx, buckets);
    if let Some(owner) = owner {
        set_owner(state, wx, owner);
    }
    if let Some(pool) = state.pools.get_mut(px) {
        pool.joined = true;
    }
    standing::update_pool_counts(state, px, None, Some(Standing::FRESH));
    Some(wx)
}
