//! The public form of the output of `explain`, `readmit`, `workers` and `drain`: facts with sentences about them. It is the line of
//! `--format json`, whose schema is published in `docs/schema/explain.json`; `text.rs` renders it as text.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cli::commands::runs::RunLine;

/// A run's response to a query, live or from its record. The line of `--format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Said")]
pub(super) struct Explanation {
    /// The run's name.
    pub(super) run: String,
    /// Whether the run has ended. Then this is its final state.
    pub(super) ended: bool,
    /// The run's time of the response.
    pub(super) at_ms: u64,
    #[serde(flatten)]
    pub(super) explained: Explained,
}

/// The response by kind of query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Explained {
    Run(Box<RunExplained>),
    Action(Box<ActionExplained>),
    Worker(Box<WorkerExplained>),
    /// What the journal has of a run that was killed, or else left no record.
    Recorded(Box<RunLine>),
    /// The change that `readmit`, `workers` or `drain` made.
    Done {
        message: String,
    },
}

/// The status of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct RunExplained {
    /// Its name.
    pub(super) id: String,
    /// Whether it is being stopped: no further attempts are started.
    pub(super) stopping: bool,
    /// Tasks with a result.
    pub(super) tasks_done: u64,
    /// Tasks that failed.
    pub(super) tasks_failed: u64,
    /// Tasks that were created and not collected yet.
    pub(super) tasks_in_flight: u64,
    /// The final number of tasks. Absent: unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) tasks_total: Option<u64>,
    /// The estimated time left. Absent: unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) left_ms: Option<u64>,
    /// Actions with a result.
    pub(super) actions_done: u64,
    /// Actions that failed.
    pub(super) actions_refused: u64,
    /// Actions that are running on a worker.
    pub(super) actions_running: u64,
    /// What the open actions that are not running wait for.
    pub(super) waiting: Waiting,
    /// Number of retries, made or scheduled.
    pub(super) retries: u64,
    /// Number of workers, by health.
    pub(super) workers: BTreeMap<String, u64>,
    /// Workers that are not healthy; the first of them.
    pub(super) notable: Vec<WorkerBrief>,
    /// Number of further workers that are not healthy.
    pub(super) notable_more: u64,
    /// The names of the workers, the first thousand of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) names: Vec<String>,
    /// Quotas: a line each.
    pub(super) quotas: Vec<String>,
    /// Problems of the run as a whole: a line each.
    pub(super) remarks: Vec<String>,
}

/// Open actions, by what they wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Waiting {
    /// Actions that wait for a worker.
    pub(super) all: u64,
    /// How many of them the counts below cover: fewer than all if there are very many.
    pub(super) looked_at: u64,
    /// All workers that serve them are at work.
    pub(super) for_a_free_worker: u64,
    /// All workers that serve them and are in service have reported that they are at a limit.
    pub(super) for_a_limit: u64,
    /// They wait for a worker that has not failed them.
    pub(super) for_another_worker: u64,
    /// No worker that serves them is in service: all are quarantined, draining or evicted.
    pub(super) for_any_worker: u64,
    /// Every worker failed them, and they wait until they are tried again.
    pub(super) resting: u64,
}

/// A worker and its health, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct WorkerBrief {
    pub(super) id: String,
    pub(super) words: String,
}

/// The health of a worker and the evidence for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct WorkerExplained {
    /// Its name, as `pool/worker`.
    pub(super) id: String,
    /// healthy, suspect, quarantined, probation, busy, draining, evicted or gone.
    pub(super) health: String,
    /// The same as a sentence, with reason and times.
    pub(super) words: String,
    /// The run's time of the last change of its health.
    pub(super) since_ms: u64,
    /// Its attempts with a result.
    pub(super) ok: u64,
    /// Its failed attempts.
    pub(super) failed: u64,
    /// Its lost attempts.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) lost: u64,
    /// Number of times that it reported to be busy.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) busy: u64,
    /// Failed attempts with a verdict against the worker.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) faults: u64,
    /// Number of its quarantines.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) quarantines: u32,
    /// The natural logarithm of the likelihood ratio of a bad worker to one of average flakiness, by the verdicts so far.
    #[serde(default)]
    pub(super) score: f64,
    /// The score from which it is quarantined.
    #[serde(default)]
    pub(super) score_max: f64,
    /// Its results that other workers contradicted, if it is untrusted.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) outvoted: u64,
    /// The most attempts that it runs at once.
    pub(super) slots: u32,
    /// The most attempts that it receives at once now: fewer than `slots` after repeated busy reports despite a free quota.
    #[serde(default)]
    pub(super) width: u32,
    /// Its running attempts: a line each, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) has: Vec<String>,
    /// Number of its running attempts.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) holds: u32,
    /// The kinds of actions that it does not receive: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) barred: Vec<String>,
    /// Quotas: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) quotas: Vec<String>,
    /// Its failures, oldest first, as far as they are recorded.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) failures: Vec<FailureExplained>,
    /// Number of its failures that are no longer recorded.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(super) failures_forgotten: u64,
    /// Changes of its health, oldest first, as far as they are recorded.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) history: Vec<HealthTurn>,
}

/// An attempt that failed on a worker, and the outcome of its action elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct FailureExplained {
    pub(super) action: u64,
    pub(super) attempt: u32,
    pub(super) kind: String,
    /// transient, trap, permanent, worker-fault or lost.
    pub(super) class: String,
    pub(super) message: String,
    pub(super) at_ms: u64,
    /// Whether the action has a result by now. Absent: it is not settled, or no longer recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) passed: Option<bool>,
    /// The outcome of the action.
    pub(super) fate: String,
    /// The verdict on the worker.
    pub(super) verdict: String,
}

/// A change of a worker's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) struct HealthTurn {
    pub(super) at_ms: u64,
    pub(super) health: String,
    pub(super) words: String,
}

/// The state of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ActionState {
    /// It waits for a worker.
    Waiting,
    /// It runs on a worker.
    Running,
    /// Every worker failed it, and it waits until it is tried again.
    Resting,
    /// It has a result.
    Done,
    /// It failed.
    Refused,
    /// It is settled, and its outcome is no longer recorded.
    Forgotten,
}

/// The state of an action and its failed attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct ActionExplained {
    pub(super) id: u64,
    /// Zero if it is no longer recorded.
    pub(super) task: u64,
    pub(super) kind: String,
    pub(super) state: ActionState,
    /// The same as a sentence, with reason and times.
    pub(super) words: String,
    /// The failed attempts, oldest first, as far as they are recorded. Missing numbers ended in another way.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) attempts: Vec<AttemptExplained>,
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct AttemptExplained {
    pub(super) attempt: u32,
    pub(super) worker: String,
    /// transient, trap, permanent, worker-fault or lost.
    pub(super) class: String,
    pub(super) message: String,
    pub(super) at_ms: u64,
    pub(super) run_ms: f64,
    /// The verdict on the worker and on the action.
    pub(super) verdict: String,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// The schema of the line of `--format json`.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Explanation)
}
