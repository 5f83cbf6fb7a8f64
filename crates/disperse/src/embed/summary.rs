//! The summary of a run.

use std::time::Duration;

use super::Health;
use disperse_protocol::inbox;

/// The results of a run in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Whether it was cancelled or drained before its end.
    pub interrupted: bool,
    /// Why the operation itself failed, if it did: a planner that trapped, inputs that broke off, or an error it
    /// returned.
    pub failure: Option<String>,
    /// The length of the run.
    pub wall: Duration,
    /// Tasks that ended with a result.
    pub tasks_done: u64,
    /// Tasks that ended with an error.
    pub tasks_failed: u64,
    /// Tasks that were started and not completed, in a run that was interrupted or failed.
    pub tasks_undone: u64,
    /// Actions that no worker could perform, after workers were evicted.
    pub unroutable: u64,
    /// Pools in which everything failed when the run ended.
    pub failing_pools: Vec<String>,
    /// The numbers of each kind of action, in the order of first use.
    pub kinds: Vec<KindSummary>,
    /// The numbers of each worker, in the order of the pools.
    pub workers: Vec<WorkerSummary>,
    /// The most bytes that guests and payloads of all runs of the host took at once so far.
    pub peak_memory: u64,
}

impl Summary {
    /// Whether the run came to its end and every task has a result.
    pub fn is_success(&self) -> bool {
        !self.interrupted && self.failure.is_none() && self.tasks_failed == 0
    }

    pub(super) fn of(summary: inbox::RunSummary) -> Self {
        let kind = |kind: inbox::KindSummary| KindSummary {
            busy: kind.busy,
            kind: kind.kind,
            asked: kind.asked,
            done: kind.done,
            refused: kind.refused,
            attempts: kind.attempts,
            failed: kind.failed,
            fuel: kind.fuel,
        };
        let worker = |worker: inbox::WorkerSummary| WorkerSummary {
            busy: worker.busy,
            worker: worker.worker,
            pool: worker.pool,
            health: Health::of(worker.health.kind()),
            attempts: worker.attempts,
            ok: worker.ok,
            failed: worker.failed,
            denied: worker.denied,
            quarantines: worker.quarantines,
            fuel: worker.fuel,
            peak_memory: worker.peak_memory,
        };
        Self {
            interrupted: summary.interrupted,
            failure: summary.failure,
            wall: summary.wall,
            tasks_done: summary.tasks.done,
            tasks_failed: summary.tasks.failed,
            tasks_undone: summary.tasks.in_flight,
            unroutable: summary.unroutable,
            failing_pools: summary.systemic,
            kinds: summary.kinds.into_iter().map(kind).collect(),
            workers: summary.workers.into_iter().map(worker).collect(),
            peak_memory: summary.peak_host_memory,
        }
    }
}

/// The numbers of one kind of action.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KindSummary {
    /// Its name.
    pub kind: String,
    /// Actions that tasks sent.
    pub asked: u64,
    /// Actions with a result.
    pub done: u64,
    /// Actions without one.
    pub refused: u64,
    /// Attempts at them.
    pub attempts: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Units of fuel that guests used for them.
    pub fuel: u64,
    /// The total time of their attempts.
    pub busy: Duration,
}

/// The numbers of one worker.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WorkerSummary {
    /// Its name, as `pool/worker`.
    pub worker: String,
    /// Its pool.
    pub pool: String,
    /// Its health at the end.
    pub health: Health,
    /// Attempts it made.
    pub attempts: u64,
    /// Attempts with a result.
    pub ok: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Requests for things that are not granted.
    pub denied: u64,
    /// Times it was quarantined.
    pub quarantines: u32,
    /// Units of fuel it used.
    pub fuel: u64,
    /// The total time of its attempts.
    pub busy: Duration,
    /// The most memory of one of its instances, in bytes. 0 for native workers.
    pub peak_memory: u64,
}
