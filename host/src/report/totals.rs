//! The figures of a run in the JSON Lines of `--format json`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words;
use crate::inbox;

/// How many tasks are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TaskCounts {
    /// Ended with a result.
    pub(crate) done: u64,
    /// Ended with an error.
    pub(crate) failed: u64,
    /// Handed out and not collected.
    pub(crate) in_flight: u64,
}

/// How many tasks a run that was stopped has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Undone {
    /// Tasks without an end, those included that were not handed out.
    pub(crate) tasks: u64,
    /// Whether there may be more, because the input was not read to its end.
    pub(crate) at_least: bool,
}

/// What became of one kind of action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KindSummary {
    /// Its name.
    pub(crate) kind: String,
    /// Actions that were asked for.
    pub(crate) asked: u64,
    /// Actions with a result.
    pub(crate) done: u64,
    /// Actions without one.
    pub(crate) refused: u64,
    /// Attempts at them.
    pub(crate) attempts: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    /// Attempts that were second ones, beside slow ones.
    #[serde(default)]
    pub(crate) hedges: u64,
    /// Those of them that had the result first.
    #[serde(default)]
    pub(crate) hedges_won: u64,
    /// Units of fuel used by all attempts.
    pub(crate) fuel: u64,
    /// Time in workers of all attempts, in ms.
    pub(crate) run_ms: f64,
}

/// What one worker did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WorkerSummary {
    /// Its name, as `pool/worker`.
    pub(crate) worker: String,
    /// Its pool.
    pub(crate) pool: String,
    /// Its health in the end.
    pub(crate) health: String,
    /// Attempts it made.
    pub(crate) attempts: u64,
    /// Attempts with a result.
    pub(crate) ok: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    /// Times it asked for what is not granted.
    pub(crate) denied: u64,
    /// Times it was quarantined.
    pub(crate) quarantines: u32,
    /// Results of it that others contradicted, if it is untrusted.
    #[serde(default)]
    pub(crate) outvoted: u64,
    /// Units of fuel it used.
    pub(crate) fuel: u64,
    /// Time in attempts, in ms.
    pub(crate) run_ms: f64,
    /// The most memory one of its instances held, in bytes.
    pub(crate) peak_memory: u64,
}

/// What became of one quota.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct QuotaSummary {
    /// Whose it is, as `pool/worker` or `pool/account`, and after a colon its name if it has one.
    pub(crate) quota: String,
    /// The workers that spend it.
    pub(crate) workers: Vec<String>,
    /// What it allows, in words.
    pub(crate) allows: String,
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
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) resets_at_ms: Option<u64>,
}

impl TaskCounts {
    pub(crate) fn of(counts: inbox::TaskCounts) -> Self {
        let inbox::TaskCounts {
            done,
            failed,
            in_flight,
        } = counts;
        Self {
            done,
            failed,
            in_flight,
        }
    }
}

impl Undone {
    pub(super) fn of(undone: inbox::Undone) -> Self {
        let inbox::Undone { tasks, at_least } = undone;
        Self { tasks, at_least }
    }
}

impl KindSummary {
    pub(crate) fn of(kind: &inbox::KindSummary) -> Self {
        Self {
            kind: kind.kind.clone(),
            asked: kind.asked,
            done: kind.done,
            refused: kind.refused,
            attempts: kind.attempts,
            failed: kind.failed,
            hedges: kind.hedges,
            hedges_won: kind.hedges_won,
            fuel: kind.fuel,
            run_ms: ms(kind.busy),
        }
    }
}

impl WorkerSummary {
    pub(super) fn of(worker: &inbox::WorkerSummary) -> Self {
        Self {
            worker: worker.worker.clone(),
            pool: worker.pool.clone(),
            health: words::health_word(worker.health.kind()).to_owned(),
            attempts: worker.attempts,
            ok: worker.ok,
            failed: worker.failed,
            denied: worker.denied,
            quarantines: worker.quarantines,
            outvoted: worker.outvoted,
            fuel: worker.fuel,
            run_ms: ms(worker.busy),
            peak_memory: worker.peak_memory,
        }
    }
}

impl QuotaSummary {
    pub(crate) fn of(quota: &inbox::QuotaSummary) -> Self {
        Self {
            quota: quota.quota.clone(),
            workers: quota.workers.clone(),
            allows: words::quota(quota.terms),
            used: quota.used,
            capacity: quota.capacity,
            wasted: quota.wasted,
            wasted_last: quota.wasted_last,
            resets: quota.resets,
            resets_at_ms: quota.resets_at_ms,
        }
    }
}

/// In ms.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
