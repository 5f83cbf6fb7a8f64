//! The pools and workers of a run. Workers join and leave at any time; a number is never used again.

use std::{sync::Arc, time::Duration};

use disperse_scheduler::{BucketId, Class, PoolId, WorkerCheckpoint, WorkerId, WorkerView};

use super::setup::Recruiter;
use disperse_protocol::{
    inbox::{Denied, FailureClass, Used, WorkerSummary},
    limits::Limits,
};

/// How many denials of one worker are reported by name. Arbitrary.
const DENIALS_NAMED_MAX: usize = 5;

/// One pool.
pub(super) struct Pool {
    pub(super) name: Arc<str>,
    pub(super) limits: Limits,
    pub(super) recruiter: Option<Box<dyn Recruiter>>,
    /// Whether every attempt in it fails.
    pub(super) is_systemic: bool,
}

/// One worker, present or gone.
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) pool: PoolId,
    pub(super) limits: Limits,
    /// Whether its results need confirmation.
    pub(super) is_untrusted: bool,
    /// What it draws from.
    pub(super) buckets: Vec<BucketId>,
    has_left: bool,
    /// What was last recorded of it.
    recorded: WorkerCheckpoint,
    /// The denials that were reported by name.
    denials: Vec<String>,
    totals: WorkerSummary,
}

/// All pools and workers, by number.
#[derive(Default)]
pub(super) struct Registry {
    pools: Vec<Pool>,
    workers: Vec<Entry>,
}

impl Registry {
    /// Adds a pool, with the next number.
    pub(super) fn add_pool(&mut self, name: &str, limits: Limits, recruiter: Option<Box<dyn Recruiter>>) -> PoolId {
        let id = PoolId(u32::try_from(self.pools.len()).unwrap_or(u32::MAX));
        self.pools.push(Pool {
            name: name.into(),
            limits,
            recruiter,
            is_systemic: false,
        });
        id
    }

    pub(super) fn pool(&self, pool: PoolId) -> Option<&Pool> {
        self.pools.get(pool.0 as usize)
    }

    pub(super) fn pool_mut(&mut self, pool: PoolId) -> Option<&mut Pool> {
        self.pools.get_mut(pool.0 as usize)
    }

    /// In the order of their numbers.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter()
    }

    /// The number of the worker that joins next, which is also how many have joined.
    pub(super) fn next_worker(&self) -> WorkerId {
        WorkerId(u32::try_from(self.workers.len()).unwrap_or(u32::MAX))
    }

    /// Adds a worker of a pool, with the next number. None: there is no such pool.
    pub(super) fn join(
        &mut self,
        pool: PoolId,
        name: Arc<str>,
        is_untrusted: bool,
        buckets: Vec<BucketId>,
    ) -> Option<WorkerId> {
        let id = self.next_worker();
        let Pool {
            name: pool_name,
            limits,
            ..
        } = self.pool(pool)?;
        let totals = WorkerSummary {
            worker: name.to_string(),
            pool: pool_name.to_string(),
            ..WorkerSummary::default()
        };
        let entry = Entry {
            name,
            pool,
            limits: *limits,
            is_untrusted,
            buckets,
            has_left: false,
            recorded: WorkerCheckpoint::FRESH,
            denials: Vec::new(),
            totals,
        };
        self.workers.push(entry);
        Some(id)
    }

    /// Marks a worker as gone. False: it was, or never joined.
    pub(super) fn leave(&mut self, worker: WorkerId) -> bool {
        let entry = self.workers.get_mut(worker.0 as usize);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.has_left, true))
    }

    /// A worker that is not gone.
    pub(super) fn present(&self, worker: WorkerId) -> Option<&Entry> {
        self.workers.get(worker.0 as usize).filter(|entry| !entry.has_left)
    }

    /// Changes what was last recorded of a worker, if there is something new. Returns its name if there is.
    pub(super) fn follow(
        &mut self,
        worker: WorkerId,
        news: impl FnOnce(&WorkerCheckpoint) -> Option<WorkerCheckpoint>,
    ) -> Option<Arc<str>> {
        let entry = self.workers.get_mut(worker.0 as usize)?;
        entry.recorded = news(&entry.recorded)?;
        Some(entry.name.clone())
    }

    /// Whether a worker is not as one that joins, by what was last recorded of it.
    pub(super) fn has_record(&self, worker: WorkerId) -> bool {
        let entry = self.workers.get(worker.0 as usize);
        entry.is_some_and(|entry| entry.recorded != WorkerCheckpoint::FRESH)
    }

    /// The name of a worker, also of one that is gone.
    pub(super) fn name(&self, worker: WorkerId) -> Arc<str> {
        let entry = self.workers.get(worker.0 as usize);
        entry.map_or_else(|| "?".into(), |entry| entry.name.clone())
    }

    /// The worker of this name that joined first. None: there is none.
    pub(super) fn find(&self, name: &str) -> Option<WorkerId> {
        let place = self.workers.iter().position(|entry| &*entry.name == name);
        place.map(|place| WorkerId(u32::try_from(place).unwrap_or(u32::MAX)))
    }

    /// The names of all workers, in the order of their numbers.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.workers.iter().map(|entry| &*entry.name)
    }

    /// What a worker draws from, also one that is gone.
    pub(super) fn buckets(&self, worker: WorkerId) -> &[BucketId] {
        let entry = self.workers.get(worker.0 as usize);
        entry.map_or(&[], |entry| entry.buckets.as_slice())
    }

    /// The longest time that an attempt of any worker may take.
    pub(super) fn longest_timeout(&self) -> Duration {
        let timeouts = self.workers.iter().map(|entry| entry.limits.timeout);
        timeouts.max().unwrap_or_default()
    }

    /// Counts an attempt of a worker that ended.
    pub(super) fn count_attempt(&mut self, worker: WorkerId, class: Class, used: &Used) {
        let Some(Entry { totals, .. }) = self.workers.get_mut(worker.0 as usize) else {
            return;
        };
        totals.attempts += 1;
        totals.ok += u64::from(class == Class::Ok);
        totals.failed += u64::from(FailureClass::is_failure(class));
        totals.fuel += used.fuel;
        totals.busy += used.wall;
        totals.peak_memory = totals.peak_memory.max(used.memory);
    }

    /// Counts what a worker was denied. Returns what of it is reported by name: each thing once, and not many of them.
    pub(super) fn count_denials(&mut self, worker: WorkerId, denied: Denied) -> Vec<String> {
        let Some(entry) = self.workers.get_mut(worker.0 as usize) else {
            return Vec::new();
        };
        entry.totals.denied += denied.count;
        let named = entry.denials.len();
        for what in denied.what {
            if entry.denials.len() < DENIALS_NAMED_MAX && !entry.denials.contains(&what) {
                entry.denials.push(what);
            }
        }
        entry.denials.get(named..).unwrap_or_default().to_vec()
    }

    /// The totals of all workers; `views`: what the scheduler knows of them, in the order of their numbers.
    pub(super) fn summaries(&self, views: impl Iterator<Item = WorkerView>) -> Vec<WorkerSummary> {
        let summary = |(entry, view): (&Entry, WorkerView)| WorkerSummary {
            health: view.health.into(),
            quarantines: view.quarantines,
            outvoted: view.outvoted,
            ..entry.totals.clone()
        };
        self.workers.iter().zip(views).map(summary).collect()
    }
}
