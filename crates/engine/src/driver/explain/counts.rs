//! The workers for an action that waits.

use std::collections::BTreeMap;

use disperse_scheduler::{BucketId, Health, KindId, Moment, PoolId, Quota, QuotaView, WorkerId, WorkerView};

use disperse_protocol::control::ServingWorkers;

use crate::driver::Driver;

/// What all statuses of one response share.
pub(super) struct Survey {
    /// The workers of each pool.
    pub(super) pools: BTreeMap<PoolId, WorkerCounts>,
    /// By bucket.
    pub(super) quotas: Vec<QuotaView>,
}

/// The workers of some pools, counted by what they could do for an action that waits.
#[derive(Clone, Copy, Default)]
pub(super) struct WorkerCounts {
    pub(super) all: u64,
    /// Given work as it comes.
    pub(super) usable: u64,
    /// Of those, the ones that make as many attempts as they can.
    pub(super) at_work: u64,
    /// Of the usable ones that are not at work, whose quota is spent.
    pub(super) spent: u64,
    /// When the first of these quotas has something again, and which it is.
    pub(super) refill: Option<(Moment, BucketId)>,
    pub(super) busy: u64,
    pub(super) quarantined: u64,
    pub(super) out: u64,
}

impl WorkerCounts {
    /// `refill`: when a spent quota of the worker has something again.
    pub(super) fn count(&mut self, view: &WorkerView, refill: Option<(Moment, BucketId)>) {
        self.all += 1;
        match view.health {
            Health::Busy { .. } => self.busy += 1,
            Health::Quarantined { .. } => self.quarantined += 1,
            Health::Draining | Health::Evicted(_) | Health::Gone => self.out += 1,
            _ => {
                self.usable += 1;
                let at_work = view.in_flight >= view.slots;
                self.at_work += u64::from(at_work);
                if let Some(refill) = refill.filter(|_| !at_work) {
                    self.spent += 1;
                    self.refill = Some(self.refill.map_or(refill, |first| first.min(refill)));
                }
            }
        }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        self.all += other.all;
        self.usable += other.usable;
        self.at_work += other.at_work;
        self.spent += other.spent;
        self.refill = self.refill.into_iter().chain(other.refill).min();
        self.busy += other.busy;
        self.quarantined += other.quarantined;
        self.out += other.out;
        self
    }

    pub(super) fn counts(&self) -> ServingWorkers {
        ServingWorkers {
            all: self.all,
            at_work: self.at_work,
            free: self.usable.saturating_sub(self.at_work + self.spent),
            spent: self.spent,
            busy: self.busy,
            quarantined: self.quarantined,
            out: self.out,
        }
    }
}

/// What an action waits for.
#[derive(Clone, Copy)]
pub(super) enum WaitsFor {
    Free,
    Limit,
    /// Until this quota has something again; [`Moment::NEVER`]: it is not known when.
    Quota(Moment, BucketId),
    Another,
    Any,
}

impl Driver<'_> {
    /// The workers that serve a kind.
    pub(super) fn serving(&self, kind: KindId, survey: &Survey) -> WorkerCounts {
        let pools = self.routes.pools(kind).iter();
        let serving = pools.filter_map(|pool| survey.pools.get(pool));
        serving.fold(WorkerCounts::default(), WorkerCounts::and)
    }
}

pub(super) fn waits_for(serving: &WorkerCounts, patience: Moment) -> WaitsFor {
    if patience != Moment::NEVER {
        WaitsFor::Another
    } else if serving.usable > serving.spent {
        WaitsFor::Free
    } else if let Some((refills, bucket)) = serving.refill {
        WaitsFor::Quota(refills, bucket)
    } else if serving.busy > 0 {
        WaitsFor::Limit
    } else {
        WaitsFor::Any
    }
}

/// The workers that have a spent quota, and when the last of theirs has something again.
pub(super) fn spent(quotas: &[QuotaView]) -> BTreeMap<WorkerId, (Moment, BucketId)> {
    let is_spent = |view: &&QuotaView| view.is.available == 0 && !matches!(view.is.quota, Quota::Concurrent { .. });
    let mut spent: BTreeMap<WorkerId, (Moment, BucketId)> = BTreeMap::new();
    for view in quotas.iter().filter(is_spent) {
        let refill = (view.is.refills_at, view.bucket);
        for worker in &view.workers {
            let last = spent.entry(*worker).or_insert(refill);
            *last = refill.max(*last);
        }
    }
    spent
}
