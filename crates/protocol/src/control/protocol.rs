//! The control protocol: a request is one line of JSON, and so is the answer.
//!
//! `{"v":2,"ask":"worker","name":"pool/a"}` is answered by `{"v":2,"response":{…}}` or by `{"v":2,"problem":{…}}`. A
//! request in another version is answered by a problem alone.
//!
//! Responses are facts: ids, classes, verdicts, reasons and times. The asking side makes sentences of them. A
//! [`Problem`] is text, because a client of another version must be able to show it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::inbox::{
    AttemptNumber, Dissent, FailureClass, FailureReason, FaultVerdict, HealthKind, HealthState, QuotaSummary,
    TaskCounts,
};

/// The version of requests, responses and the records of runs that have ended. Version 1 had sentences instead of
/// facts.
pub const VERSION: u32 = 2;

/// The most bytes of an attempt's message. Arbitrary: enough for the cause, and for the first functions of a trap.
pub const MESSAGE_MAX: usize = 240;

/// A request to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Query {
    /// Its status.
    Run,
    /// The status of an action.
    Action { id: u64 },
    /// The status of a worker. By its name, `pool/worker`, or by the part after the `/` if it is unique.
    Worker { name: String },
    /// Readmit a worker with a clean record.
    Readmit { worker: String },
    /// Add workers to a pool.
    Workers { pool: String, add: u32 },
    /// Drain a worker; without a name, start no more attempts in the run.
    Drain { worker: Option<String> },
}

/// A line to a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub v: u32,
    #[serde(flatten)]
    pub query: Query,
}

/// The version alone, so that a line of another version is told apart from garbage.
#[derive(Deserialize)]
pub struct Version {
    pub v: u32,
}

/// A line from a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub v: u32,
    #[serde(flatten)]
    pub reply: Reply,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Response(ControlResponse),
    Problem(Problem),
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The response of a run, or of the record of an ended one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlResponse {
    /// The run's name.
    pub run: String,
    /// Whether it has ended: then this is its last state.
    pub ended: bool,
    /// The run's time of the response.
    pub at_ms: u64,
    pub status: Status,
}

/// The subject of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Run(Box<RunStatus>),
    Action(Box<ActionStatus>),
    Worker(Box<WorkerStatus>),
    /// The effect of `readmit`, `workers` or `drain`.
    Changed(Change),
}

/// The effect of a request that changes the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A worker has a clean record.
    Readmitted {
        worker: String,
        /// Its health before.
        was: HealthState,
        /// Whether the run is stopping, so that the worker gets no work.
        stopping: bool,
    },
    /// A worker gets no more work, and finishes this many attempts.
    WorkerDraining {
        worker: String,
        running: u64,
    },
    /// A worker that got no work before.
    AlreadyOut {
        worker: String,
        health: HealthState,
    },
    /// Workers joined, the first and the last of them by name. None: the request was for none.
    Joined {
        names: Option<(String, String)>,
    },
    /// The run starts no more attempts, and finishes this many.
    Stopping {
        running: u64,
    },
    AlreadyStopping,
}

/// The status of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Its name.
    pub id: String,
    /// Whether it is stopping: no more attempts start.
    pub stopping: bool,
    pub tasks: TaskCounts,
    /// The number of all tasks, if it is known.
    pub tasks_total: Option<u64>,
    /// The estimated time to the end, if it is known.
    pub left_ms: Option<u64>,
    /// Actions with a result.
    pub actions_done: u64,
    /// Actions that ended without one.
    pub actions_failed: u64,
    /// Actions that a worker performs.
    pub actions_running: u64,
    pub waiting: Waiting,
    /// Retries of actions, made or due.
    pub retries: u64,
    /// The number of workers in each health state.
    pub workers: BTreeMap<HealthKind, u64>,
    /// The first workers that are not healthy.
    pub notable: Vec<(String, HealthState)>,
    /// The number of the others.
    pub notable_more: u64,
    /// The names of the first thousand workers.
    pub names: Vec<String>,
    /// The first of them.
    pub quotas: Vec<QuotaSummary>,
    pub remarks: Vec<RunRemark>,
}

/// A problem of the run as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunRemark {
    /// Every attempt in a pool fails.
    PoolFailing { pool: String },
    /// This many results wait for that of a line.
    ResultsHeld { results: u64, line: u64 },
    /// All remaining workers are suspect.
    AllSuspect,
    /// No worker gets work now.
    NoWorker,
}

/// The number of waiting actions by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// All that wait for a worker.
    pub all: u64,
    /// How many of them were examined for the numbers below; not all if there are very many.
    pub looked_at: u64,
    /// All their workers are at work.
    pub for_a_free_worker: u64,
    /// All their workers that get work are at a limit.
    pub for_a_limit: u64,
    /// They avoid workers on which they failed.
    pub for_another_worker: u64,
    /// None of their workers gets work now: all are quarantined or taken out.
    pub for_any_worker: u64,
    /// Every worker failed them, and they wait for the next attempt.
    pub resting: u64,
}

/// The status of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name, as `pool/worker`.
    pub id: String,
    pub health: HealthState,
    /// Since when, in the run's time.
    pub since_ms: u64,
    /// Its attempts with a result.
    pub ok: u64,
    /// Its attempts that failed, by any cause.
    pub failed: u64,
    /// Its attempts that were lost.
    pub lost: u64,
    /// Times that it reported to be busy.
    pub busy: u64,
    /// Attempts that failed by the worker's own fault.
    pub faults: u64,
    /// Times that it was quarantined.
    pub quarantines: u32,
    /// The natural logarithm of how much likelier the worker is faulty than of average reliability, by the verdicts so
    /// far.
    pub score: f64,
    /// The score from which it is quarantined.
    pub score_max: f64,
    /// Its results that others contradicted, if it is untrusted.
    pub outvoted: u64,
    /// How many attempts it makes at once.
    pub slots: u32,
    /// How many of these it gets now.
    pub width: u32,
    /// The first of its running attempts.
    pub has: Vec<HeldAttempt>,
    /// The number of all of them.
    pub holds: u32,
    /// The kinds of actions that it does not get, and until when.
    pub barred: Vec<(String, u64)>,
    pub quotas: Vec<QuotaSummary>,
    /// Its failed attempts that are kept, oldest first.
    pub failures: Vec<FailureStatus>,
    /// The number of failed attempts that are not kept any more.
    pub failures_forgotten: u64,
    /// The changes of its health that are kept, oldest first: when, and to which state.
    pub history: Vec<(u64, HealthState)>,
}

/// A running attempt of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAttempt {
    pub attempt: AttemptNumber,
    /// The action's kind, and since when the worker has it. None: the action is settled, and the attempt is
    /// superfluous.
    pub action: Option<(String, u64)>,
}

/// A failed attempt of a worker, and its action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureStatus {
    pub attempt: AttemptStatus,
    /// Empty if it is not known any more.
    pub kind: String,
    pub fate: Fate,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptStatus {
    pub attempt: AttemptNumber,
    pub worker: String,
    pub class: FailureClass,
    pub cause: FailureCause,
    pub at_ms: u64,
    pub took: Duration,
    /// Once it is known.
    pub verdict: Option<FaultVerdict>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCause {
    /// The text of the guest and of the sandbox, at most 240 bytes.
    Message(String),
    /// Its result was outvoted.
    Dissent(Dissent),
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Not known any more.
    Forgotten,
    Open,
    /// It has a result: of this worker at this attempt, if that is known.
    Passed(Option<(String, u32)>),
    Failed(FailureReason),
}

/// The status of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionStatus {
    pub id: u64,
    /// Zero if it is not known any more.
    pub task: u64,
    pub kind: String,
    pub state: ActionState,
    /// The failed attempts that are kept, oldest first.
    pub attempts: Vec<AttemptStatus>,
}

/// The state of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionState {
    Waiting {
        cause: WaitCause,
        /// The workers that serve its kind.
        serving: ServingWorkers,
        /// When it was sent.
        asked_ms: u64,
    },
    Running {
        worker: String,
        /// A second worker, in parallel to a slow one.
        second: Option<String>,
        /// The number of its newest attempt.
        attempt: u32,
        since_ms: u64,
    },
    /// Every worker failed it, or was busy with it, and it waits for the next attempt.
    Resting {
        until_ms: u64,
        busy: bool,
    },
    Settled(Fate),
    /// It is settled, and no details are kept.
    Forgotten,
}

/// Why an action waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitCause {
    /// The run is stopping.
    Stopping,
    /// All workers are at work.
    FreeWorker,
    /// All workers are at a limit.
    Limit,
    /// A quota is exhausted.
    Quota {
        quota: String,
        /// None: the time is unknown.
        refills_ms: Option<u64>,
    },
    /// No worker gets work now.
    AnyWorker,
    /// It avoids workers on which it failed, at most until then.
    AnotherWorker { until_ms: u64 },
}

/// The number of workers in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingWorkers {
    pub all: u64,
    pub at_work: u64,
    /// Free, or slowed down.
    pub free: u64,
    /// With an exhausted quota.
    pub spent: u64,
    pub busy: u64,
    pub quarantined: u64,
    pub out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let request = Request {
            v: VERSION,
            query: Query::Worker { name: "pool/a".into() },
        };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"v":2,"ask":"worker","name":"pool/a"}"#);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap().query, request.query);
        let answer = Answer {
            v: VERSION,
            reply: Reply::Problem(Problem::new("no")),
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"v":2,"problem":{"what":"no"}}"#
        );
        let response = ControlResponse {
            run: "r".into(),
            ended: false,
            at_ms: 1,
            status: Status::Changed(Change::AlreadyStopping),
        };
        let line = serde_json::to_string(&response).unwrap();
        assert_eq!(
            line,
            r#"{"run":"r","ended":false,"at_ms":1,"status":{"changed":"already-stopping"}}"#
        );
        assert_eq!(serde_json::from_str::<ControlResponse>(&line).unwrap(), response);
    }
}
