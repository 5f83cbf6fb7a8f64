//! The public form of what `explain`, `readmit`, `workers` and `drain` print: facts with the sentences about them. It is the line
//! of `--format json`, whose schema is published in `docs/schema/explain.json`, and what `words.rs` makes text of.

mod facts;
mod sentences;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run said of itself, or would have said in the end. The line of `--format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Said")]
pub(in crate::cli) struct Explanation {
    /// The run's name.
    pub(in crate::cli) run: String,
    /// Whether it has ended: then this is how things stood in the end.
    pub(in crate::cli) ended: bool,
    /// The run's time when this was said.
    pub(in crate::cli) at_ms: u64,
    #[serde(flatten)]
    pub(in crate::cli) explained: Explained,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(in crate::cli) enum Explained {
    Run(Box<RunExplained>),
    Action(Box<ActionExplained>),
    Worker(Box<WorkerExplained>),
    /// What `readmit`, `workers` and `drain` did.
    Done {
        message: String,
    },
}

/// How a run is going.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct RunExplained {
    /// Its name.
    pub(in crate::cli) id: String,
    /// Whether it is being stopped: no more attempts are started.
    pub(in crate::cli) stopping: bool,
    /// Tasks with a result.
    pub(in crate::cli) tasks_done: u64,
    /// Tasks that ended in an error.
    pub(in crate::cli) tasks_failed: u64,
    /// Tasks that were handed out and not collected.
    pub(in crate::cli) tasks_in_flight: u64,
    /// How many there will be in all, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::cli) tasks_total: Option<u64>,
    /// How long the rest takes, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::cli) left_ms: Option<u64>,
    /// Actions with a result.
    pub(in crate::cli) actions_done: u64,
    /// Actions that ended without one.
    pub(in crate::cli) actions_refused: u64,
    /// Actions that a worker has.
    pub(in crate::cli) actions_running: u64,
    /// What the open actions that nobody has wait for.
    pub(in crate::cli) waiting: Waiting,
    /// How many times an action was or will be tried again.
    pub(in crate::cli) retries: u64,
    /// How many workers are of which health.
    pub(in crate::cli) workers: BTreeMap<String, u64>,
    /// Workers of which more is to be said than that they are healthy; the first of them.
    pub(in crate::cli) notable: Vec<WorkerBrief>,
    /// How many more of those there are.
    pub(in crate::cli) notable_more: u64,
    /// The names of the workers, the first thousand of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(in crate::cli) names: Vec<String>,
    /// What is to be said of limits of servers and the like: a line each.
    pub(in crate::cli) quotas: Vec<String>,
    /// What is wrong with the run as a whole: a line each.
    pub(in crate::cli) remarks: Vec<String>,
}

/// What open actions wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct Waiting {
    /// All that wait for a worker.
    pub(in crate::cli) all: u64,
    /// How many of them were looked at for what follows; not all where there are very many.
    pub(in crate::cli) looked_at: u64,
    /// All their workers are at work.
    pub(in crate::cli) for_a_free_worker: u64,
    /// All their workers that are given work at all have said that they are at a limit.
    pub(in crate::cli) for_a_limit: u64,
    /// They avoid workers that failed them, and wait for another one.
    pub(in crate::cli) for_another_worker: u64,
    /// None of their workers is given work now: all are in quarantine, or taken out.
    pub(in crate::cli) for_any_worker: u64,
    /// Every worker failed them, and they rest before they are tried again.
    pub(in crate::cli) resting: u64,
}

/// A worker and its health, in few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct WorkerBrief {
    pub(in crate::cli) id: String,
    pub(in crate::cli) words: String,
}

/// What is thought of a worker and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct WorkerExplained {
    /// Its name, as `pool/worker`.
    pub(in crate::cli) id: String,
    /// healthy, suspect, quarantined, probation, busy, draining, evicted or gone.
    pub(in crate::cli) health: String,
    /// The same with its reason and times.
    pub(in crate::cli) words: String,
    /// Since when, in the run's time.
    pub(in crate::cli) since_ms: u64,
    /// Its attempts with a result.
    pub(in crate::cli) ok: u64,
    /// Its attempts that failed, for whatever reason.
    pub(in crate::cli) failed: u64,
    /// Its attempts that got lost.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(in crate::cli) lost: u64,
    /// Times that it said it was busy.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(in crate::cli) busy: u64,
    /// Attempts that failed because of the worker itself.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(in crate::cli) faults: u64,
    /// Times that it was quarantined.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(in crate::cli) quarantines: u32,
    /// How much likelier it is a bad one than one as flaky as everybody, as a natural logarithm, by the verdicts so far.
    #[serde(default)]
    pub(in crate::cli) score: f64,
    /// From which score on it is quarantined.
    #[serde(default)]
    pub(in crate::cli) score_max: f64,
    /// Results of it that others contradicted, if it is untrusted.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(in crate::cli) outvoted: u64,
    /// How many attempts it makes at once.
    pub(in crate::cli) slots: u32,
    /// How many of these it is given now: fewer after it was busy again and again though it had something to spend.
    #[serde(default)]
    pub(in crate::cli) width: u32,
    /// What it has now: a line for each attempt, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(in crate::cli) has: Vec<String>,
    /// How many attempts it has in all.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(in crate::cli) holds: u32,
    /// The kinds of actions that it is not given: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(in crate::cli) barred: Vec<String>,
    /// What is to be said of limits of servers and the like: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(in crate::cli) quotas: Vec<String>,
    /// What failed here, oldest first, as far as it is kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(in crate::cli) failures: Vec<FailureExplained>,
    /// How many failed here that are not kept any more.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(in crate::cli) failures_forgotten: u64,
    /// How its health changed, oldest first, as far as it is kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(in crate::cli) history: Vec<HealthTurn>,
}

/// An attempt that failed on a worker, and what became of its action elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct FailureExplained {
    pub(in crate::cli) action: u64,
    pub(in crate::cli) attempt: u32,
    pub(in crate::cli) kind: String,
    /// transient, trap, permanent, worker-fault or lost.
    pub(in crate::cli) class: String,
    pub(in crate::cli) message: String,
    pub(in crate::cli) at_ms: u64,
    /// Whether the action has a result by now. None: it is not settled, or that is not known any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::cli) passed: Option<bool>,
    /// What became of the action.
    pub(in crate::cli) fate: String,
    /// What it means for the worker.
    pub(in crate::cli) verdict: String,
}

/// A change of a worker's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct HealthTurn {
    pub(in crate::cli) at_ms: u64,
    pub(in crate::cli) health: String,
    pub(in crate::cli) words: String,
}

/// What happens to an action, or happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum ActionState {
    /// It waits for a worker.
    Waiting,
    /// A worker has it.
    Running,
    /// Every worker failed it, and it rests before it is tried again.
    Resting,
    /// It has a result.
    Done,
    /// It ended without one.
    Refused,
    /// It is settled, and nothing else is kept of it.
    Forgotten,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct ActionExplained {
    pub(in crate::cli) id: u64,
    /// Zero where it is not known any more.
    pub(in crate::cli) task: u64,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) state: ActionState,
    /// The same with its reason and times.
    pub(in crate::cli) words: String,
    /// The attempts that failed, oldest first, as far as they are kept. Those in between ended otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(in crate::cli) attempts: Vec<AttemptExplained>,
}

/// One attempt that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(in crate::cli) struct AttemptExplained {
    pub(in crate::cli) attempt: u32,
    pub(in crate::cli) worker: String,
    /// transient, trap, permanent, worker-fault or lost.
    pub(in crate::cli) class: String,
    pub(in crate::cli) message: String,
    pub(in crate::cli) at_ms: u64,
    pub(in crate::cli) run_ms: f64,
    /// What it means for the worker and for the action.
    pub(in crate::cli) verdict: String,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// The schema of the line of `--format json`.
pub(in crate::cli) fn schema() -> schemars::Schema {
    schemars::schema_for!(Explanation)
}
