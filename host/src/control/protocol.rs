//! What is asked and what is answered: one line of JSON each.
//!
//! `{"v":1,"ask":"worker","name":"pool/a"}` is answered by `{"v":1,"said":{…}}` or by `{"v":1,"problem":{…}}`. A side that
//! is spoken to in another version says so and nothing else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of what is asked and answered, and of the files that are kept.
pub(super) const VERSION: u32 = 1;

/// How much of an attempt's message is kept, in bytes. Arbitrary: it says what is wrong, and a trap has room for its
/// first functions.
pub(crate) const MESSAGE_MAX: usize = 240;

/// What can be asked of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Query {
    /// How it is going.
    Run,
    /// What became of an action.
    Action { id: u64 },
    /// What is thought of a worker and why. By its name, `pool/worker`, or what follows the `/` if that is one worker's only.
    Worker { name: String },
    /// Give a worker work again, with a clean record.
    Readmit { worker: String },
    /// Let more workers join a pool.
    Workers { pool: String, add: u32 },
    /// Give a worker nothing more; without one, start no more attempts at all.
    Drain { worker: Option<String> },
}

/// A line to a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) v: u32,
    #[serde(flatten)]
    pub(super) query: Query,
}

/// The version alone, so that a line of another one is told apart from garbage.
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) v: u32,
}

/// A line from a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) v: u32,
    #[serde(flatten)]
    pub(super) reply: Reply,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    Said(Said),
    Problem(Problem),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) what: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What a run said of itself, or would have said in the end. The line of `--format json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Said {
    /// The run's name.
    pub(crate) run: String,
    /// Whether it has ended: then this is how things stood in the end.
    pub(crate) ended: bool,
    /// The run's time when this was said.
    pub(crate) at_ms: u64,
    #[serde(flatten)]
    pub(crate) explained: Explained,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Explained {
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
pub(crate) struct RunExplained {
    /// Its name.
    pub(crate) id: String,
    /// Whether it is being stopped: no more attempts are started.
    pub(crate) stopping: bool,
    /// Tasks with a result.
    pub(crate) tasks_done: u64,
    /// Tasks that ended in an error.
    pub(crate) tasks_failed: u64,
    /// Tasks that were handed out and not collected.
    pub(crate) tasks_in_flight: u64,
    /// How many there will be in all, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) tasks_total: Option<u64>,
    /// How long the rest takes, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) left_ms: Option<u64>,
    /// Actions with a result.
    pub(crate) actions_done: u64,
    /// Actions that ended without one.
    pub(crate) actions_refused: u64,
    /// Actions that a worker has.
    pub(crate) actions_running: u64,
    /// What the open actions that nobody has wait for.
    pub(crate) waiting: Waiting,
    /// How many times an action was or will be tried again.
    pub(crate) retries: u64,
    /// How many workers are of which health.
    pub(crate) workers: BTreeMap<String, u64>,
    /// Workers of which more is to be said than that they are healthy; the first of them.
    pub(crate) notable: Vec<WorkerBrief>,
    /// How many more of those there are.
    pub(crate) notable_more: u64,
    /// The names of the workers, the first thousand of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) names: Vec<String>,
    /// What is to be said of limits of servers and the like: a line each.
    pub(crate) quotas: Vec<String>,
    /// What is wrong with the run as a whole: a line each.
    pub(crate) remarks: Vec<String>,
}

/// What open actions wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Waiting {
    /// All that wait for a worker.
    pub(crate) all: u64,
    /// How many of them were looked at for what follows; not all where there are very many.
    pub(crate) looked_at: u64,
    /// All their workers are at work.
    pub(crate) for_a_free_worker: u64,
    /// All their workers that are given work at all have said that they are at a limit.
    pub(crate) for_a_limit: u64,
    /// They avoid workers that failed them, and wait for another one.
    pub(crate) for_another_worker: u64,
    /// None of their workers is given work now: all are in quarantine, or taken out.
    pub(crate) for_any_worker: u64,
    /// Every worker failed them, and they rest before they are tried again.
    pub(crate) resting: u64,
}

/// A worker and its health, in few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WorkerBrief {
    pub(crate) id: String,
    pub(crate) words: String,
}

/// What is thought of a worker and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WorkerExplained {
    /// Its name, as `pool/worker`.
    pub(crate) id: String,
    /// healthy, suspect, quarantined, probation, busy, draining, evicted or gone.
    pub(crate) health: String,
    /// The same with its reason and times.
    pub(crate) words: String,
    /// Since when, in the run's time.
    pub(crate) since_ms: u64,
    /// Its attempts with a result.
    pub(crate) ok: u64,
    /// Its attempts that failed, for whatever reason.
    pub(crate) failed: u64,
    /// Its attempts that got lost.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) lost: u64,
    /// Times that it said it was busy.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) busy: u64,
    /// Attempts that failed because of the worker itself.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) faults: u64,
    /// Times that it was quarantined.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) quarantines: u32,
    /// How much likelier it is a bad one than one as flaky as everybody, as a natural logarithm, by the verdicts so far.
    #[serde(default)]
    pub(crate) score: f64,
    /// From which score on it is quarantined.
    #[serde(default)]
    pub(crate) score_max: f64,
    /// Results of it that others contradicted, if it is untrusted.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) outvoted: u64,
    /// How many attempts it makes at once.
    pub(crate) slots: u32,
    /// How many of these it is given now: fewer after it was busy again and again though it had something to spend.
    #[serde(default)]
    pub(crate) width: u32,
    /// What it has now: a line for each attempt, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) has: Vec<String>,
    /// How many attempts it has in all.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) holds: u32,
    /// The kinds of actions that it is not given: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) barred: Vec<String>,
    /// What is to be said of limits of servers and the like: a line each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) quotas: Vec<String>,
    /// What failed here, oldest first, as far as it is kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) failures: Vec<FailureExplained>,
    /// How many failed here that are not kept any more.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub(crate) failures_forgotten: u64,
    /// How its health changed, oldest first, as far as it is kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) history: Vec<HealthTurn>,
}

/// An attempt that failed on a worker, and what became of its action elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FailureExplained {
    pub(crate) action: u64,
    pub(crate) attempt: u32,
    pub(crate) kind: String,
    /// transient, trap, permanent, worker-fault or lost.
    pub(crate) class: String,
    pub(crate) message: String,
    pub(crate) at_ms: u64,
    /// Whether the action has a result by now. None: it is not settled, or that is not known any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) passed: Option<bool>,
    /// What became of the action.
    pub(crate) fate: String,
    /// What it means for the worker.
    pub(crate) verdict: String,
}

/// A change of a worker's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HealthTurn {
    pub(crate) at_ms: u64,
    pub(crate) health: String,
    pub(crate) words: String,
}

/// What happens to an action, or happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ActionState {
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
pub(crate) struct ActionExplained {
    pub(crate) id: u64,
    /// Zero where it is not known any more.
    pub(crate) task: u64,
    pub(crate) kind: String,
    pub(crate) state: ActionState,
    /// The same with its reason and times.
    pub(crate) words: String,
    /// The attempts that failed, oldest first, as far as they are kept. Those in between ended otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) attempts: Vec<AttemptExplained>,
}

/// One attempt that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AttemptExplained {
    pub(crate) attempt: u32,
    pub(crate) worker: String,
    /// transient, trap, permanent, worker-fault or lost.
    pub(crate) class: String,
    pub(crate) message: String,
    pub(crate) at_ms: u64,
    pub(crate) run_ms: f64,
    /// What it means for the worker and for the action.
    pub(crate) verdict: String,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// The schema of the line of `--format json`.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(Said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_the_page_above_says() {
        let request = Request {
            v: VERSION,
            query: Query::Worker { name: "pool/a".into() },
        };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"v":1,"ask":"worker","name":"pool/a"}"#);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap().query, request.query);
        let answer = Answer {
            v: VERSION,
            reply: Reply::Problem(Problem::new("no")),
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"v":1,"problem":{"what":"no"}}"#
        );
        let said = Said {
            run: "r".into(),
            ended: false,
            at_ms: 1,
            explained: Explained::Done { message: "m".into() },
        };
        let line = serde_json::to_string(&said).unwrap();
        assert_eq!(
            line,
            r#"{"run":"r","ended":false,"at_ms":1,"type":"done","message":"m"}"#
        );
        assert_eq!(serde_json::from_str::<Said>(&line).unwrap(), said);
    }
}
