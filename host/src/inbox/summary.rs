//! The figures of a run: while it goes on and in the end.

use std::time::Duration;

use disperse_scheduler::{Counts, Quota};
use serde::{Deserialize, Serialize};

use super::{Held, event::HealthState};

/// How many tasks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskCounts {
    /// Ended with a result.
    pub(crate) done: u64,
    /// Ended with an error.
    pub(crate) failed: u64,
    /// Handed out and not collected.
    pub(crate) in_flight: u64,
}

/// How many tasks a run that was stopped has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undone {
    /// Tasks without an end, those included that were not handed out.
    pub(crate) tasks: u64,
    /// Whether there may be more, because the input was not read to its end.
    pub(crate) at_least: bool,
}

/// How many actions are in which state, and the workers for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ActionCounts {
    pub(crate) done: u64,
    /// Waiting for a worker.
    pub(crate) waiting: u64,
    pub(crate) running: u64,
    pub(crate) workers: u64,
    pub(crate) quarantined: u64,
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
pub(crate) struct Progress {
    pub(crate) tasks: TaskCounts,
    /// How many tasks there will be in all, where that is known.
    pub(crate) total: Option<u64>,
    pub(crate) actions: ActionCounts,
    /// How many times an action was or will be tried again.
    pub(crate) retries: u64,
    /// How many workers wait for their quota, and how long all that is open will take, as far as that is known.
    pub(crate) quota: Option<(u64, Option<Duration>)>,
    /// The results that wait for an earlier one.
    pub(crate) held: Option<Held>,
    pub(crate) elapsed: Duration,
}

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunSummary {
    /// Whether it was stopped before its end.
    pub(crate) interrupted: bool,
    /// The tasks that are left.
    pub(crate) undone: Undone,
    /// What the machine had none left of, if that ended the run.
    pub(crate) shortage: Option<String>,
    pub(crate) wall: Duration,
    pub(crate) tasks: TaskCounts,
    /// Why the operation itself failed, if it did.
    pub(crate) failure: Option<String>,
    /// Bytes.
    pub(crate) peak_host_memory: u64,
    /// In the order of first use.
    pub(crate) kinds: Vec<KindSummary>,
    /// In the order of the manifest.
    pub(crate) workers: Vec<WorkerSummary>,
    /// Actions for which no worker was left.
    pub(crate) unroutable: u64,
    /// Pools in which everything failed in the end.
    pub(crate) systemic: Vec<String>,
    /// In the order of the manifest.
    pub(crate) quotas: Vec<QuotaSummary>,
}

/// The actions of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct KindSummary {
    pub(crate) kind: String,
    /// Actions that were asked for.
    pub(crate) asked: u64,
    /// Actions with a result.
    pub(crate) done: u64,
    /// Actions that ended without one.
    pub(crate) refused: u64,
    pub(crate) attempts: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    /// Attempts that were second ones, beside slow ones.
    pub(crate) hedges: u64,
    /// Those of them that had the result first.
    pub(crate) hedges_won: u64,
    /// Units of all attempts.
    pub(crate) fuel: u64,
    /// Time in workers of all attempts.
    pub(crate) busy: Duration,
}

/// One worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkerSummary {
    /// Its name, as `pool/worker`.
    pub(crate) worker: String,
    pub(crate) pool: String,
    /// In the end.
    pub(crate) health: HealthState,
    pub(crate) attempts: u64,
    /// Attempts with a result.
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    /// Requests for something that is not granted.
    pub(crate) denied: u64,
    /// Times it was quarantined.
    pub(crate) quarantines: u32,
    /// Results of it that others contradicted, if it is untrusted.
    pub(crate) outvoted: u64,
    /// Units.
    pub(crate) fuel: u64,
    /// Time in attempts.
    pub(crate) busy: Duration,
    /// The most memory that one of its instances held, in bytes.
    pub(crate) peak_memory: u64,
}

/// What a quota allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QuotaTerms {
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
pub(crate) struct QuotaSummary {
    /// Whose it is, as `pool/worker` or `pool/account`, and after a colon its name if it has one.
    pub(crate) quota: String,
    /// The workers that spend it.
    pub(crate) workers: Vec<String>,
    pub(crate) terms: QuotaTerms,
    /// Units that were spent.
    pub(crate) used: u64,
    /// Units that the windows which began so far have offered.
    pub(crate) capacity: u64,
    /// Units that were left over when windows ended of which the end was known.
    pub(crate) wasted: u64,
    /// The same for the last of them.
    pub(crate) wasted_last: u64,
    /// How many such ends there were.
    pub(crate) resets: u64,
    /// When the next one is, by the run's time.
    pub(crate) resets_at_ms: Option<u64>,
    /// When an exhausted quota has units again, by the run's time. None: it is not exhausted, or that is not known.
    pub(crate) refills_at_ms: Option<u64>,
}
