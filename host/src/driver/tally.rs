//! Counting, for the final report.

use std::{sync::Arc, time::Duration};

use disperse_scheduler::{Class, HedgeView, KindId, Outcome, PoolId, Reason, WorkerId, WorkerView};

use crate::{
    grants::Denied,
    inbox::{KindSummary, Used, WorkerSummary},
    limits::Limits,
};

/// How many denials of one worker are said in words. Arbitrary.
const DENIED_SAID_MAX: usize = 5;

/// All counters of a run.
#[derive(Default)]
pub(super) struct Tally {
    kinds: Vec<KindSummary>,
    workers: Vec<Entry>,
    retries: u64,
    unroutable: u64,
    pools: Vec<PoolEntry>,
}

struct PoolEntry {
    name: Arc<str>,
    systemic: bool,
}

struct Entry {
    name: Arc<str>,
    limits: Limits,
    /// Whether it is gone.
    left: bool,
    /// What was said of its denials.
    denied: Vec<String>,
    summary: WorkerSummary,
}

impl Tally {
    pub(super) fn add_kind(&mut self, name: Arc<str>) {
        self.kinds.push(KindSummary {
            kind: name.to_string(),
            ..KindSummary::default()
        });
    }

    pub(super) fn add_pool(&mut self, name: &str) {
        self.pools.push(PoolEntry {
            name: name.into(),
            systemic: false,
        });
    }

    pub(super) fn pool_name(&self, pool: PoolId) -> Arc<str> {
        self.pools
            .get(pool.0 as usize)
            .map_or_else(|| "?".into(), |entry| entry.name.clone())
    }

    /// Takes note that everything fails in a pool, or that this is over.
    pub(super) fn systemic(&mut self, pool: PoolId, on: bool) {
        if let Some(entry) = self.pools.get_mut(pool.0 as usize) {
            entry.systemic = on;
        }
    }

    /// The pools in which everything fails.
    pub(super) fn failing_pools(&self) -> Vec<String> {
        let failing = self.pools.iter().filter(|entry| entry.systemic);
        failing.map(|entry| entry.name.to_string()).collect()
    }

    pub(super) fn add_worker(&mut self, pool: &str, name: &Arc<str>, limits: Limits) {
        let summary = WorkerSummary {
            worker: name.to_string(),
            pool: pool.to_owned(),
            ..WorkerSummary::default()
        };
        self.workers.push(Entry {
            name: name.clone(),
            limits,
            left: false,
            denied: Vec::new(),
            summary,
        });
    }

    /// Takes note that a worker is gone. False if that is known.
    pub(super) fn worker_left(&mut self, worker: WorkerId) -> bool {
        let entry = self.workers.get_mut(worker.0 as usize);
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.left, true))
    }

    /// Whether a worker is gone, or never was.
    pub(super) fn has_left(&self, worker: WorkerId) -> bool {
        self.workers.get(worker.0 as usize).is_none_or(|entry| entry.left)
    }

    pub(super) fn worker_name(&self, worker: WorkerId) -> Arc<str> {
        self.workers
            .get(worker.0 as usize)
            .map_or_else(|| "?".into(), |entry| entry.name.clone())
    }

    pub(super) fn kind_name(&self, kind: KindId) -> Arc<str> {
        self.kinds
            .get(kind.0 as usize)
            .map_or_else(|| "?".into(), |kind| kind.kind.as_str().into())
    }

    /// In the order of their numbers.
    pub(super) fn worker_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.workers.iter().map(|entry| &*entry.name)
    }

    pub(super) fn limits(&self, worker: WorkerId) -> Limits {
        self.workers
            .get(worker.0 as usize)
            .map_or(Limits::WORKER, |entry| entry.limits)
    }

    /// The longest time that an attempt of any worker may take.
    pub(super) fn longest_timeout(&self) -> Duration {
        let timeouts = self.workers.iter().map(|entry| entry.limits.timeout);
        timeouts.max().unwrap_or_default()
    }

    pub(super) fn asked(&mut self, kind: KindId) {
        if let Some(kind) = self.kinds.get_mut(kind.0 as usize) {
            kind.asked += 1;
        }
    }

    pub(super) fn attempt(&mut self, worker: WorkerId, class: Class, used: &Used) {
        let Some(Entry { summary, .. }) = self.workers.get_mut(worker.0 as usize) else {
            return;
        };
        summary.attempts += 1;
        summary.ok += u64::from(class == Class::Ok);
        summary.failed += u64::from(!matches!(class, Class::Ok | Class::Neutral | Class::Busy | Class::Host));
        summary.fuel += used.fuel;
        summary.busy += used.wall;
        summary.peak_memory = summary.peak_memory.max(used.memory);
    }

    /// Counts what a worker was denied, and gives back what of it is to be said: each thing once, and not many of them.
    pub(super) fn denied(&mut self, worker: WorkerId, denied: Denied) -> Vec<String> {
        let Some(entry) = self.workers.get_mut(worker.0 as usize) else {
            return Vec::new();
        };
        entry.summary.denied += denied.count;
        let said = entry.denied.len();
        for what in denied.what {
            if entry.denied.len() < DENIED_SAID_MAX && !entry.denied.contains(&what) {
                entry.denied.push(what);
            }
        }
        entry.denied.get(said..).unwrap_or_default().to_vec()
    }

    pub(super) fn kind_attempt(&mut self, kind: KindId, class: Class, used: &Used) {
        let Some(kind) = self.kinds.get_mut(kind.0 as usize) else {
            return;
        };
        kind.attempts += 1;
        kind.failed += u64::from(!matches!(class, Class::Ok | Class::Neutral | Class::Busy | Class::Host));
        kind.fuel += used.fuel;
        kind.busy += used.wall;
    }

    pub(super) fn settled(&mut self, kind: KindId, outcome: Outcome) {
        self.unroutable += u64::from(outcome == Outcome::Failed(Reason::Unroutable));
        let Some(kind) = self.kinds.get_mut(kind.0 as usize) else {
            return;
        };
        match outcome {
            Outcome::Done { .. } => kind.done += 1,
            Outcome::Failed(_) => kind.refused += 1,
        }
    }

    pub(super) fn retried(&mut self) {
        self.retries += 1;
    }

    /// How many times an action was or will be tried again after a failure.
    pub(super) fn retries(&self) -> u64 {
        self.retries
    }

    /// Actions that no worker could do, because none serves their kind or none of those is left.
    pub(super) fn unroutable(&self) -> u64 {
        self.unroutable
    }

    /// What became of each kind; `hedges`: of its second attempts.
    pub(super) fn kinds(&self, hedges: impl Fn(KindId) -> HedgeView) -> Vec<KindSummary> {
        let kinds = (0..).map(KindId).zip(&self.kinds);
        let asked = kinds.filter(|(_, kind)| kind.asked > 0);
        let summary = |(id, kind): (KindId, &KindSummary)| {
            let HedgeView { made, won, .. } = hedges(id);
            KindSummary {
                hedges: made,
                hedges_won: won,
                ..kind.clone()
            }
        };
        asked.map(summary).collect()
    }

    pub(super) fn workers(&self, views: impl Iterator<Item = WorkerView>) -> Vec<WorkerSummary> {
        let summarize = |(entry, view): (&Entry, WorkerView)| WorkerSummary {
            health: view.health.into(),
            quarantines: view.quarantines,
            outvoted: view.outvoted,
            ..entry.summary.clone()
        };
        self.workers.iter().zip(views).map(summarize).collect()
    }
}
