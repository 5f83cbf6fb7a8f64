//! What the parts of a run say to each other.
//!
//! Four one-way messages carry an action from `perform` to its answer: a task's [`Request`] to the driver, the driver's
//! [`Job`] to a worker, the worker's [`Notice::AttemptEnded`] to the driver, and the driver's [`Delivery`] to the task.
//!
//! The channels have no capacity of their own because what is in them is bounded by what their senders may have open:
//! a task has at most 1,024 requests unanswered, a worker at most its slots and prefetch in hand, a planner
//! as many calls as the driver made.

mod delivery;
mod event;
mod planner;
mod reports;
mod summary;
mod task;
mod words;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use disperse_scheduler::{AttemptId, End, Reason, TaskId, WorkerId};

use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinSet,
};

use crate::{
    control::{ControlResponse, Problem, Query},
    grants::Denied,
    limits::{Begun, Charge},
};

pub(crate) use delivery::{Arrivals, Deliveries, Delivery, Parcel, deliveries};
pub(crate) use event::{
    ActionFailed, AttemptFailed, AttemptNumber, Dissent, FailureClass, FailureReason, FaultVerdict, HealthKind,
    HealthState, HostNotice, Numbered, RunEvent,
};
pub(crate) use planner::{Held, OutputPiece, PlannerCall, PlannerNotice, PlannerPort};
pub(crate) use reports::{Reported, Reports};
#[cfg(test)]
pub(crate) use summary::ActionCounts;
pub(crate) use summary::{
    KindSummary, Progress, QuotaSummary, QuotaTerms, RunSummary, TaskCounts, Undone, WorkerSummary,
};
pub(crate) use task::{TaskPort, Unwanted};
pub(crate) use words::{Words, told};

/// What reaches the driver.
#[derive(Debug)]
pub(crate) enum Notice {
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
pub(crate) enum Control {
    /// Start no more attempts, let those that run end, then stop.
    Drain,
    /// Stop now, whatever runs.
    Cancel,
    /// A question from outside. A client that does not wait for the answer any more has dropped the other side.
    Query(Query, Replier),
}

/// Where the answer to a question goes.
pub(crate) type Replier = oneshot::Sender<Box<Result<ControlResponse, Problem>>>;

/// Names a request within its task: 1, 2, 3 and so on, in the order of asking. The same on every replay.
pub(crate) type RequestNumber = u32;

/// Something that a task asks for.
#[derive(Debug)]
pub(crate) struct Request {
    /// The task that asks.
    pub(crate) task: TaskId,
    /// The request's name, or for [`Ask::Cancel`] that of the one that is meant.
    pub(crate) number: RequestNumber,
    /// What is wanted.
    pub(crate) ask: Ask,
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
#[derive(Debug)]
pub(crate) enum Ask {
    /// An action.
    Action(Action, Options),
    /// An action whose payload is larger than allowed, and was not taken: what is wrong with it, for people.
    Oversize { kind: Arc<str>, message: String },
    /// To be woken after this long.
    Sleep(Duration),
    /// That an earlier request be dropped. It is answered all the same.
    Cancel,
}

/// One piece of work, as its asker put it.
#[derive(Debug)]
pub(crate) struct Action {
    /// Which sort. Any text.
    pub(crate) kind: Arc<str>,
    /// What the worker is given. Any bytes.
    pub(crate) payload: Bytes,
}

/// How an action is to be treated; see the WIT record of this name. The default is all defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) priority: i32,
    /// Zero: the pool's.
    pub(crate) timeout: Duration,
    /// Zero: none.
    pub(crate) deadline: Duration,
    /// Units; zero: the pool's.
    pub(crate) fuel: u64,
    /// Zero: the policy's.
    pub(crate) attempts: u32,
    pub(crate) idempotent: bool,
}

/// What a task gets back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Which request this answers.
    pub(crate) number: RequestNumber,
    /// The result, or for a sleep nothing.
    pub(crate) value: Result<Bytes, Refusal>,
}

impl Answer {
    /// Bytes of result, or of words.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Ok(result) => result.len(),
            Err(refusal) => refusal.message.len(),
        }
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// For people.
    pub(crate) message: String,
}

/// Which request of which task an action is. A task makes the same requests in the same order whenever it is run with the same
/// answers, so this names the same action in every run with the same seed, whatever order actions come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ActionName {
    pub(crate) task: TaskId,
    pub(crate) request: RequestNumber,
}

impl ActionName {
    /// The name as guests are told it, unique between runs: `RUN-TASK-REQUEST`, as in `20261124-162024-kqztb-3-1`.
    pub(crate) fn in_run(self, run: &str) -> String {
        format!("{run}-{}-{}", self.task.0, self.request)
    }

    /// A number that follows from the name alone and is another one for each action of a run with fewer than 2^32 tasks.
    pub(crate) fn number(self) -> u64 {
        self.task.0 ^ u64::from(self.request) << 32
    }
}

/// One attempt for one worker.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) attempt: AttemptId,
    pub(crate) action: ActionName,
    pub(crate) kind: Arc<str>,
    /// What the guest is given; shared with the driver, never copied on the way.
    pub(crate) payload: Bytes,
    /// Units.
    pub(crate) fuel: u64,
    pub(crate) timeout: Duration,
}

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Make this attempt.
    Run(Job),
    /// Stop this attempt, if it is still going on.
    Stop(AttemptId),
}

/// How one attempt went.
#[derive(Debug)]
pub(crate) struct AttemptEnded {
    pub(crate) attempt: AttemptId,
    pub(crate) worker: WorkerId,
    pub(crate) end: End,
    /// The result if `end` is [`End::Ok`], else empty.
    pub(crate) result: Bytes,
    /// What went wrong, if anything did.
    pub(crate) words: Option<Box<Words>>,
    pub(crate) used: Used,
    /// What the worker was denied since its last attempt ended.
    pub(crate) denied: Option<Box<Denied>>,
    /// What the service said about the worker's quotas.
    pub(crate) reports: Option<Box<[Reported]>>,
}

/// What a panic said, for people.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it did not say why")
}

/// Forgets tokio tasks that have ended.
///
/// # Panics
/// One of them has panicked, which is a bug of the host: what waits for its message would wait for ever.
pub(crate) fn reap(running: &mut JoinSet<()>) {
    while let Some(ended) = running.try_join_next() {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// What an attempt or a task cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Units of fuel.
    pub(crate) fuel: u64,
    /// From the first instruction to the last, waits in the host included.
    pub(crate) wall: Duration,
    /// The most that the instance held while it was at it, in bytes.
    pub(crate) memory: u64,
}

/// How a task ended.
#[derive(Debug)]
pub(crate) struct TaskEnd {
    /// The result, or the error in words.
    pub(crate) outcome: Result<Bytes, String>,
    /// The machine has none left of something that the task needs, for as long as was waited.
    pub(crate) is_of_machine: bool,
    pub(crate) used: Used,
}

impl TaskEnd {
    /// Of a task that came to none, in words.
    pub(crate) fn failed(error: String) -> Self {
        Self {
            outcome: Err(error),
            is_of_machine: false,
            used: Used::default(),
        }
    }
}

/// What a message takes in the host. Messages are plain data; their guards go beside them, and give back when they are dropped.
#[derive(Debug, Default)]
pub(crate) enum Guard {
    #[default]
    None,
    /// Memory.
    Charge(Charge),
    /// A part of something that is counted.
    Permit(#[allow(dead_code, reason = "held for what its drop does")] OwnedSemaphorePermit),
}

impl Guard {
    /// The charge, if it is one.
    pub(crate) fn charge(self) -> Option<Charge> {
        match self {
            Self::Charge(charge) => Some(charge),
            Self::None | Self::Permit(_) => None,
        }
    }
}

/// What a task takes in the host until it is collected, held for what its drop does.
#[derive(Debug, Default)]
pub(crate) struct TaskRoom {
    /// Of what it was handed.
    #[allow(dead_code, reason = "as above")]
    pub(crate) input: Option<Charge>,
    /// Of what it ended with.
    #[allow(dead_code, reason = "as above")]
    pub(crate) result: Option<Charge>,
    #[allow(dead_code, reason = "as above")]
    pub(crate) begun: Option<Begun>,
}

/// The source of a log line: a planner, a task or a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogSource {
    Planner,
    Task(TaskId),
    /// A worker, as `pool/worker`, in the middle of an attempt or, without one, being started.
    Worker(Arc<str>, Option<AttemptId>),
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planner => f.write_str("planner"),
            Self::Task(task) => write!(f, "task {}", task.0),
            Self::Worker(worker, None) => f.write_str(worker),
            Self::Worker(worker, Some(attempt)) => write!(f, "{worker}#{}.{}", attempt.action.0, attempt.number),
        }
    }
}
