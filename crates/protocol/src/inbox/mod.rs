//! What the parts of a run say to each other.
//!
//! Four one-way messages carry an action from `perform` to its answer: a task's [`Request`] to the driver, the driver's
//! [`Job`] to a worker, the worker's [`Notice::AttemptEnded`] to the driver, and the driver's [`Delivery`] to the task.
//!
//! The channels have no capacity of their own because what is in them is bounded by what their senders may have open:
//! a task has at most 1,024 requests unanswered, a worker at most its slots and prefetch in hand, a planner
//! as many calls as the driver made.

mod attempt_report;
mod delivery;
mod event;
mod guard;
mod health;
mod planner;
mod planner_port;
mod reports;
mod shared_text;
mod summary;
mod task;
mod task_end;
#[cfg(test)]
mod tests;
mod words;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use disperse_scheduler::{AttemptId, End, Reason, TaskId, WorkerId};

use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    control::{ControlResponse, Problem, Query},
    limits::{Begun, Charge},
};

pub use attempt_report::AttemptReport;
pub use delivery::{Arrivals, Deliveries, Delivery, Parcel, deliveries};
pub use event::{
    ActionDone, ActionFailed, AttemptFailed, AttemptNumber, Dissent, FailureClass, FailureReason, FaultVerdict,
    HostNotice, Numbered, RunEvent,
};
pub use guard::Guard;
pub use health::{HealthKind, HealthState};
pub use planner::{Held, Origin, OutputPiece, Performed, PlannerCall, PlannerNotice, PlannerStep};
pub use planner_port::PlannerPort;
pub use reports::{Reported, Reports, is_reported};
pub use summary::ActionCounts;
pub use summary::{KindSummary, Progress, QuotaSummary, QuotaTerms, RunSummary, TaskCounts, Undone, WorkerSummary};
pub use task::{TaskPort, Unwanted};
pub use task_end::{TaskEnd, Used};

pub use crate::logger::LogSource;
pub use words::{Words, told};

/// What reaches the driver.
#[derive(Debug)]
pub enum Notice {
    /// A task wants something.
    Request(Request),
    /// A task is over.
    TaskEnded {
        /// Which.
        task: TaskId,
        /// How.
        end: TaskEnd,
        /// What it takes in the host until it is collected.
        room: TaskRoom,
    },
    /// The planner did something, which takes so much in the host.
    Planner(PlannerNotice, Guard),
    /// An attempt is over.
    AttemptEnded(AttemptEnded),
    /// A worker is gone for good, with all that it was given.
    WorkerLeft {
        /// Which.
        worker: WorkerId,
    },
    /// The operator wants something.
    Control(Control),
    /// The machine has none left of something without which there is no use in going on. Says what.
    Shortage(String),
    /// A task can do nothing more before its next delivery. Sent only in a rehearsal, once for each delivery.
    Resting {
        /// Which.
        task: TaskId,
        /// How many deliveries it has taken so far.
        taken: u32,
    },
}

/// What the operator wants.
#[derive(Debug)]
pub enum Control {
    /// Start no more attempts, let those that run end, then stop.
    Drain,
    /// Stop now, whatever runs.
    Cancel,
    /// A question from outside. A client that does not wait for the answer any more has dropped the other side.
    Query(Query, Replier),
}

/// Where the answer to a question goes.
pub type Replier = oneshot::Sender<Box<Result<ControlResponse, Problem>>>;

/// Names a request within its task: 1, 2, 3 and so on, in the order of asking. The same on every replay.
pub type RequestNumber = u32;

/// Something that a task asks for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The task that asks.
    pub task: TaskId,
    /// The request's name, or for [`Ask::Cancel`] that of the one that is meant.
    pub number: RequestNumber,
    /// The run's time as the task knew it, in ms: that of the last delivery that it had taken, or else of its start.
    pub asked_ms: u64,
    /// What is wanted.
    pub ask: Ask,
}

impl Request {
    /// Bytes of payload.
    fn size(&self) -> usize {
        match &self.ask {
            Ask::Action(action, _) => action.payload.len(),
            Ask::Oversize { .. } | Ask::Sleep(_) | Ask::Cancel => 0,
        }
    }
}

/// What can be asked for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// An action.
    Action(Action, Options),
    /// An action whose payload is larger than allowed, and was not taken: what is wrong with it, for people.
    Oversize {
        #[serde(with = "shared_text")]
        kind: Arc<str>,
        message: String,
    },
    /// To be woken after this long.
    Sleep(Duration),
    /// That an earlier request be dropped. It is answered all the same.
    Cancel,
}

/// One piece of work, as its asker put it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Which sort. Any text.
    #[serde(with = "shared_text")]
    pub kind: Arc<str>,
    /// What the worker is given. Any bytes.
    pub payload: Bytes,
}

/// How an action is to be treated; see the WIT record of this name. The default is all defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub priority: i32,
    /// Zero: the pool's.
    pub timeout: Duration,
    /// Zero: none.
    pub deadline: Duration,
    /// Units; zero: the pool's.
    pub fuel: u64,
    /// Zero: the policy's.
    pub attempts: u32,
    pub idempotent: bool,
}

/// What a task gets back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Which request this answers.
    pub number: RequestNumber,
    /// The result, or for a sleep nothing.
    pub value: Result<Bytes, Refusal>,
}

impl Answer {
    /// Bytes of result, or of words.
    pub fn size(&self) -> usize {
        match &self.value {
            Ok(result) => result.len(),
            Err(refusal) => refusal.message.len(),
        }
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub reason: Reason,
    /// For people.
    pub message: String,
}

/// Which request of which task an action is. A task makes the same requests in the same order whenever it is run with the same
/// answers, so this names the same action in every run with the same seed, whatever order actions come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionName {
    pub task: TaskId,
    pub request: RequestNumber,
}

impl ActionName {
    /// The name as guests are told it, unique between runs: `RUN-TASK-REQUEST`, as in `20261124-162024-kqztb-3-1`.
    pub fn in_run(self, run: &str) -> String {
        format!("{run}-{}-{}", self.task.0, self.request)
    }

    /// A number that follows from the name alone and is another one for each action of a run with fewer than 2^32 tasks.
    pub fn number(self) -> u64 {
        self.task.0 ^ u64::from(self.request) << 32
    }
}

/// One attempt for one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub attempt: AttemptId,
    pub action: ActionName,
    #[serde(with = "shared_text")]
    pub kind: Arc<str>,
    /// What the guest is given; shared with the driver, never copied on the way.
    pub payload: Bytes,
    /// Units.
    pub fuel: u64,
    pub timeout: Duration,
}

/// What a worker is told.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Make this attempt.
    Run(Job),
    /// Stop this attempt, if it is still going on.
    Stop(AttemptId),
}

/// What a worker was denied since it was last asked.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    pub count: u64,
    /// Some of them as text, without duplicates.
    pub what: Vec<String>,
}

/// How one attempt went.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnded {
    pub attempt: AttemptId,
    pub worker: WorkerId,
    pub end: End,
    /// The result if `end` is [`End::Ok`], else empty.
    pub result: Bytes,
    /// What went wrong, if anything did.
    pub words: Option<Box<Words>>,
    pub used: Used,
    /// What the worker was denied since its last attempt ended.
    pub denied: Option<Box<Denied>>,
    /// What the service said about the worker's quotas.
    pub reports: Option<Box<[Reported]>>,
}

/// What a panic said, for people.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it did not say why")
}

/// Forgets tokio tasks that have ended.
///
/// # Panics
/// One of them has panicked, which is a bug of the host: what waits for its message would wait for ever.
pub fn reap(running: &mut JoinSet<()>) {
    while let Some(ended) = running.try_join_next() {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// What a task takes in the host until it is collected, held for what its drop does.
#[derive(Debug, Default)]
pub struct TaskRoom {
    /// Of what it was handed.
    #[allow(dead_code, reason = "as above")]
    pub input: Option<Charge>,
    /// Of what it ended with.
    #[allow(dead_code, reason = "as above")]
    pub result: Option<Charge>,
    #[allow(dead_code, reason = "as above")]
    pub begun: Option<Begun>,
}
