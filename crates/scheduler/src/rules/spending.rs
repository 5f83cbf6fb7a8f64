//! Payments from quotas, and what changes in a bucket.

use crate::{
    ids::{AttemptId, BucketId, Bx, Kx, WorkerId, Wx},
    moment::Moment,
    quota::Report,
    rules::listing,
    state::State,
};

/// An attempt is given to a worker: it is paid for.
#[inline]
pub(crate) fn pay(state: &mut State, wx: Wx, kx: Kx, seq: u64) {
    let Some(worker) = state.workers.get(wx) else { return };
    if worker.buckets.is_empty() {
        return;
    }
    let kind = state.kinds.get(kx).map(|kind| kind.id);
    let mut emptied: Vec<Wx> = Vec::new();
    for bx in &worker.buckets {
        let Some(quota) = state.quotas.get_mut(*bx) else {
            continue;
        };
        quota.pay(state.now, seq, kind);
        if quota.is_shared() && quota.is_empty(state.now) {
            emptied.extend(quota.listed());
        }
    }
    for other in emptied {
        if other != wx {
            listing::update_listing(state, other);
        }
    }
}

/// An attempt is over. `sent`: whether the service may have seen it.
pub(crate) fn finish_payment(state: &mut State, wx: Wx, seq: u64, sent: bool) {
    let buckets = state.workers.get(wx).map_or(0, |worker| worker.buckets.len());
    for index in 0..buckets {
        let Some(bx) = bucket_of(state, wx, index) else {
            continue;
        };
        if let Some(quota) = state.quotas.get_mut(bx) {
            quota.end_attempt(state.now, seq, sent);
        }
        listing::look_again(state, bx);
    }
}

fn bucket_of(state: &State, wx: Wx, index: usize) -> Option<Bx> {
    state.workers.get(wx)?.buckets.get(index).copied()
}

/// What a service reported with an attempt that is going on.
pub(crate) fn reported(state: &mut State, id: WorkerId, attempt: AttemptId, bucket: BucketId, report: Report) {
    let (Some(wx), Some(bx)) = (state.workers.slot(id), state.quotas.slot(bucket)) else {
        return;
    };
    let Some(worker) = state.workers.get(wx).filter(|worker| worker.buckets.contains(&bx)) else {
        return;
    };
    let Some(seq) = worker
        .attempts
        .iter()
        .find(|held| held.attempt == attempt)
        .map(|held| held.seq)
    else {
        return;
    };
    let Some(quota) = state.quotas.get_mut(bx) else { return };
    // A report without news may still tell what was counted before.
    quota.report(state.now, seq, report);
    changed(state, bx);
}

/// A worker was told to wait, and others draw from the same buckets: they would be told so too.
pub(crate) fn close_shared(state: &mut State, wx: Wx, until: Moment) {
    let buckets = state.workers.get(wx).map_or(0, |worker| worker.buckets.len());
    for index in 0..buckets {
        let Some(bx) = bucket_of(state, wx, index) else {
            continue;
        };
        if let Some(quota) = state.quotas.get_mut(bx)
            && quota.close_if_shared(until)
        {
            changed(state, bx);
        }
    }
}

/// A worker was told to wait until then, and that was not about its quota: buckets that were closed for it are open.
pub(crate) fn reopen_shared(state: &mut State, wx: Wx, until: Moment) {
    let now = state.now;
    let buckets = state.workers.get(wx).map_or(0, |worker| worker.buckets.len());
    for index in 0..buckets {
        let Some(bx) = bucket_of(state, wx, index) else {
            continue;
        };
        if let Some(quota) = state.quotas.get_mut(bx)
            && quota.reopen(now, until)
        {
            changed(state, bx);
        }
    }
}

/// A worker was busy though each of its buckets had room.
pub(crate) fn contradicted(state: &mut State, wx: Wx) {
    let buckets = state.workers.get(wx).map_or(0, |worker| worker.buckets.len());
    for index in 0..buckets {
        if let Some(quota) = bucket_of(state, wx, index).and_then(|bx| state.quotas.get_mut(bx)) {
            quota.contradict(state.now);
        }
    }
}

/// More or less is in a bucket than before.
pub(crate) fn changed(state: &mut State, bx: Bx) {
    listing::look_again(state, bx);
    let now = state.now;
    let Some(quota) = state.quotas.get(bx) else { return };
    match quota.workers() {
        [] => {}
        [only] => listing::update_listing(state, *only),
        _ if quota.is_empty(now) => listing::update_all_listed(state, bx),
        _ => listing::follow_expiry(state, bx),
    }
}
