//! The figures of a run: while it goes on and in the end.

use std::time::Duration;

use disperse_scheduler::{Counts, Quota};
use serde::{Deserialize, Serialize};

use super::{Held, health::HealthState};

/// How many tasks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Ended with a result.
    pub done: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Handed out and not collected.
    pub in_flight: u64,
}

/// How many tasks a run that was stopped has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// Tasks without an end, those included that were not handed out.
    pub tasks: u64,
    /// Whether there may be more, because the input was not read to its end.
    pub at_least: bool,
}

/// How many actions are in which state, and the workers for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCounts {
    pub done: u64,
    /// Waiting for a worker.
    pub waiting: u64,
    pub running: u64,
    pub workers: u64,
    pub quarantined: u64,
}

impl From<Counts> for ActionCounts {
    fn from(counts: Counts) -> Self {
        Self {
            done: counts.done,
            waiting: counts.waiting as u64,
            running: counts.running as u64,
            workers: counts.workers as u64,
            quarantined: counts.quarantined as u64,
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub tasks: TaskCounts,
    /// How many tasks there will be in all, where that is known.
    pub total: Option<u64>,
    pub actions: ActionCounts,
    /// How many times an action was or will be tried again.
    pub retries: u64,
    /// How many workers wait for their quota, and how long all that is open will take, as far as that is known.
    pub quota: Option<(u64, Option<Duration>)>,
    /// The results that wait for an earlier one.
    pub held: Option<Held>,
    pub elapsed: Duration,
}

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// Whether that was because too many tasks failed.
    pub halted: bool,
    /// The tasks that are left.
    pub undone: Undone,
    /// What the machine had none left of, if that ended the run.
    pub shortage: Option<String>,
    pub wall: Duration,
    pub tasks: TaskCounts,
    /// Why the operation itself failed, if it did.
    pub failure: Option<String>,
    /// Bytes.
    pub peak_host_memory: u64,
    /// In the order of first use.
    pub kinds: Vec<KindSummary>,
    /// In the order of the manifest.
    pub workers: Vec<WorkerSummary>,
    /// Actions for which no worker was left.
    pub unroutable: u64,
    /// Pools in which everything failed in the end.
    pub systemic: Vec<String>,
    /// In the order of the manifest.
    pub quotas: Vec<QuotaSummary>,
}

/// The actions of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindSummary {
    pub kind: String,
    /// Actions that were asked for.
    pub asked: u64,
    /// Actions with a result.
    pub done: u64,
    /// Actions that ended without one.
    pub refused: u64,
    pub attempts: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts that were second ones, beside slow ones.
    pub hedges: u64,
    /// Those of them that had the result first.
    pub hedges_won: u64,
    /// Units of all attempts.
    pub fuel: u64,
    /// Time in workers of all attempts.
    pub busy: Duration,
}

/// One worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerSummary {
    /// Its name, as `pool/worker`.
    pub worker: String,
    pub pool: String,
    /// In the end.
    pub health: HealthState,
    pub attempts: u64,
    /// Attempts with a result.
    pub ok: u64,
    pub failed: u64,
    /// Requests for something that is not granted.
    pub denied: u64,
    /// Times it was quarantined.
    pub quarantines: u32,
    /// Results of it that others contradicted, if it is untrusted.
    pub outvoted: u64,
    /// Units.
    pub fuel: u64,
    /// Time in attempts.
    pub busy: Duration,
    /// The most memory that one of its instances held, in bytes.
    pub peak_memory: u64,
}

/// What a quota allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaTerms {
    Sliding { limit: u32, per: Duration },
    Fixed { limit: u32, per: Duration },
    Rate { limit: u32, per: Duration, burst: u32 },
    Concurrent { limit: u32 },
}

impl From<Quota> for QuotaTerms {
    fn from(quota: Quota) -> Self {
        match quota {
            Quota::Sliding { limit, per } => Self::Sliding { limit, per },
            Quota::Fixed { limit, per } => Self::Fixed { limit, per },
            Quota::Rate { limit, per, burst } => Self::Rate { limit, per, burst },
            Quota::Concurrent { limit } => Self::Concurrent { limit },
        }
    }
}

impl From<QuotaTerms> for Quota {
    fn from(terms: QuotaTerms) -> Self {
        match terms {
            QuotaTerms::Sliding { limit, per } => Self::Sliding { limit, per },
            QuotaTerms::Fixed { limit, per } => Self::Fixed { limit, per },
            QuotaTerms::Rate { limit, per, burst } => Self::Rate { limit, per, burst },
            QuotaTerms::Concurrent { limit } => Self::Concurrent { limit },
        }
    }
}

/// One quota.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuotaSummary {
    /// Whose it is, as `pool/worker` or `pool/account`, and after a colon its name if it has one.
    pub quota: String,
    /// The workers that spend it.
    pub workers: Vec<String>,
    pub terms: QuotaTerms,
    /// Units that were spent.
    pub used: u64,
    /// Units that the windows which began so far have offered.
    pub capacity: u64,
    /// Units that were left over when windows ended of which the end was known.
    pub wasted: u64,
    /// The same for the last of them.
    pub wasted_last: u64,
    /// How many such ends there were.
    pub resets: u64,
    /// When the next one is, by the run's time.
    pub resets_at_ms: Option<u64>,
    /// When an exhausted quota has units again, by the run's time. None: it is not exhausted, or that is not known.
    pub refills_at_ms: Option<u64>,
}
