//! The JSON Lines of `--format json`. Their schema is published in `docs/schema/events.json`.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Summary, text_or_base64};
use crate::logger::Level;

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
    /// What is thought of it in the end.
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
    /// Who spends it.
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

/// One line of `--format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// The first line: the run has begun.
    Run {
        /// Its name, for `explain`, `readmit` and `drain`. Sorts by time.
        id: String,
    },
    /// The run wrote bytes to its output: `text` if they are UTF-8, else `base64`; neither if they went to a file.
    Output {
        /// How many bytes.
        bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        base64: Option<String>,
    },
    /// A task ended; without `error` it has a result.
    TaskEnded {
        /// From 1 in the order of being handed out.
        id: u64,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        error: Option<String>,
        /// Units.
        fuel: u64,
        /// From start to end, waits included.
        run_ms: f64,
    },
    /// An attempt failed; the action may still succeed elsewhere.
    AttemptFailed {
        /// The action.
        id: u64,
        /// Which attempt of it, from 1.
        attempt: u32,
        worker: String,
        kind: String,
        /// transient, trap, permanent, worker-fault or lost.
        class: String,
        message: String,
        /// The last 4 KiB of what the guest wrote.
        stderr: String,
        fuel: u64,
        run_ms: f64,
    },
    /// An attempt takes much longer than such attempts do, and somebody has nothing to do: its action gets a second one beside
    /// it.
    Hedged {
        /// The action.
        id: u64,
        /// The slow attempt of it.
        attempt: u32,
        kind: String,
    },
    /// An untrusted worker's result was not the one that others had, and they were believed.
    Outvoted {
        /// The action.
        id: u64,
        /// Which attempt of it.
        attempt: u32,
        worker: String,
        message: String,
    },
    /// An action ended without a result.
    ActionDead {
        /// The action.
        id: u64,
        task: u64,
        kind: String,
        reason: String,
        /// One line for each attempt.
        message: String,
    },
    /// A worker is thought of differently now.
    Health {
        worker: String,
        /// healthy, suspect, quarantined, probation, busy, draining, evicted or gone.
        health: String,
        /// The run's time.
        at_ms: u64,
    },
    /// A worker fails actions of one kind and does others well: it is given none of that kind until then, or is given them again.
    Barred {
        worker: String,
        kind: String,
        /// The run's time. Without it, it is given them again.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until_ms: Option<u64>,
        /// The run's time.
        at_ms: u64,
    },
    /// Everything that a pool is given fails, whoever tries it: it is only probed from now on, and no worker is blamed. Or that
    /// is over.
    Systemic {
        pool: String,
        /// Whether it begins or is over.
        on: bool,
        /// The run's time.
        at_ms: u64,
    },
    /// A worker asked for what is not granted. Said once for each thing and at most five times for each worker; the report
    /// counts them all.
    Denied {
        worker: String,
        /// What it was, and the flag that would open it.
        message: String,
    },
    /// A guest or, without `speaker`, the host said something.
    Log {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        speaker: Option<String>,
        level: Level,
        text: String,
    },
    /// The last line: how the run went.
    Report {
        /// Whether it was stopped before its end.
        interrupted: bool,
        /// If it was stopped: what it left.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        undone: Option<Undone>,
        /// Why the operation itself failed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        failure: Option<String>,
        wall_ms: f64,
        tasks: TaskCounts,
        /// In the order of first use.
        kinds: Vec<KindSummary>,
        /// In the order of the manifest.
        workers: Vec<WorkerSummary>,
        /// In the order of the manifest.
        quotas: Vec<QuotaSummary>,
        /// The most that guests and their payloads took, in bytes.
        peak_host_memory: u64,
    },
}

impl Event {
    /// An output as JSON can carry it.
    pub(super) fn output(bytes: &Bytes) -> Self {
        let (text, base64) = text_or_base64(bytes);
        Self::Output {
            bytes: bytes.len() as u64,
            text,
            base64,
        }
    }

    /// The last line.
    pub(super) fn report(summary: &Summary) -> Self {
        Self::Report {
            interrupted: summary.interrupted,
            undone: summary.interrupted.then_some(summary.undone),
            failure: summary.failure.clone(),
            wall_ms: summary.wall.as_secs_f64() * 1e3,
            tasks: summary.tasks,
            kinds: summary.kinds.clone(),
            workers: summary.workers.clone(),
            quotas: summary.quotas.clone(),
            peak_host_memory: summary.peak_host_memory,
        }
    }
}

/// The schema of one line.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Event)
}
