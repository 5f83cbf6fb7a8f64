//! What a run remembers of itself, and what waits until it does.
//!
//! A turn of the driver ends with its records appended. What leaves the run (an [effect](super::effects::Effect) on the outside)
//! waits until the records of its turn are durable; what stays inside leaves at once, because it follows again from the records.

use std::{io, sync::Arc};

use bytes::Bytes;
use disperse_scheduler::{Block, TaskId, WorkerCheckpoint};
use futures::future::BoxFuture;
use rustc_hash::FxHashMap;

use disperse_protocol::{
    digest::Digest,
    inbox::{ActionName, FailureClass, PlannerStep, Refusal, RequestNumber},
};

/// A turn of the driver: 1, 2, 3 and so on within the run.
pub type TurnNumber = u64;

/// One thing that happened in a turn, from which the run can be replayed: the answers, and not the questions, which follow from
/// them.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// The planner begins a call.
    PlannerCalled(PlannerCalled),
    /// A task was handed out, with this input.
    TaskStarted {
        task: TaskId,
        input: Bytes,
        /// The run's time at which it starts.
        now_ms: u64,
    },
    /// These answers were delivered to a task, together.
    Delivered(Delivered),
    /// An action was settled.
    Settled(Settled),
    /// A task ended, with its result or the error.
    TaskEnded {
        task: TaskId,
        outcome: Result<Bytes, String>,
        now_ms: u64,
    },
    /// So many bytes of the run's output have been written in all.
    Written { bytes: u64 },
    /// An attempt failed.
    AttemptFailed(AttemptRecord),
    /// Units of a quota are reserved, or more is known of it.
    QuotaReserved(QuotaReserved),
    /// What a worker is has changed.
    WorkerChanged(WorkerChanged),
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub action: ActionName,
    pub kind: Arc<str>,
    /// Which attempt of the action, from 1.
    pub number: u32,
    pub worker: Arc<str>,
    pub class: FailureClass,
    pub message: String,
    /// The run's time.
    pub now_ms: u64,
}

/// A part of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaReserved {
    /// What the bucket is called, in this run and when it is resumed.
    pub bucket: Arc<str>,
    pub block: Block,
    /// The run's time.
    pub now_ms: u64,
}

/// What a worker is from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerChanged {
    pub worker: Arc<str>,
    pub checkpoint: WorkerCheckpoint,
    /// The run's time.
    pub now_ms: u64,
}

/// A call of the planner. The calls in their order, at their times, are all that its path depends on beside its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannerCalled {
    pub step: PlannerStep,
    /// The run's time that it sees.
    pub now_ms: u64,
}

/// A delivery to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub task: TaskId,
    /// Which delivery of the task, from 1.
    pub number: u32,
    /// The run's time that the task sees from then on.
    pub now_ms: u64,
    /// What was answered, rising.
    pub requests: Vec<RequestNumber>,
}

/// How many bytes of a payload are recorded, to be shown.
pub const BEGINNING: usize = 64;

/// An action and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    pub action: ActionName,
    pub kind: Arc<str>,
    /// Recorded as its digest and its first bytes.
    pub payload: Bytes,
    pub value: Result<Bytes, Refusal>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The run's time.
    pub now_ms: u64,
}

/// Keeps the records of a run. Only the driver calls it, and it must not wait but in [`Journal::advanced`].
pub trait Journal: Send {
    /// Whether it wants records. If not, none are made.
    fn is_on(&self) -> bool;

    /// Takes the records of a turn, in order. Called once for each turn that has any, with rising numbers.
    fn append(&mut self, turn: TurnNumber, records: Vec<Record>);

    /// The last turn that is durable with all before it. Never falls.
    fn durable(&self) -> TurnNumber;

    /// Waits until more turns may be durable, or [`Journal::failure`] has a reason.
    ///
    /// Cancel safe.
    fn advanced(&mut self) -> BoxFuture<'_, ()>;

    /// Whether so many records wait to be durable, or cannot be written at the moment, that no more tasks should be begun.
    fn is_behind(&self) -> bool {
        false
    }

    /// Why it can keep no more records, if it cannot. What waits for them never leaves the run.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// Keeps nothing: every turn counts as durable.
pub struct NoJournal;

impl Journal for NoJournal {
    fn is_on(&self) -> bool {
        false
    }

    fn append(&mut self, _: TurnNumber, _: Vec<Record>) {}

    fn durable(&self) -> TurnNumber {
        TurnNumber::MAX
    }

    fn advanced(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// What a run did before it is resumed. Its methods block for as long as a read from a file takes.
pub trait History: Send {
    /// The next call of the planner, in their order. None: that was the last.
    ///
    /// # Errors
    /// It cannot be read.
    fn next_call(&mut self) -> io::Result<Option<PlannerCalled>>;

    /// How a task was started. None: that was not recorded.
    ///
    /// # Errors
    /// It cannot be read.
    fn started(&mut self, task: TaskId) -> io::Result<Option<StartedBefore>>;

    /// How a task ended. None: it has not.
    ///
    /// # Errors
    /// It cannot be read.
    fn outcome(&mut self, task: TaskId) -> io::Result<Option<Result<Bytes, String>>>;

    /// What was recorded of quotas, in order.
    ///
    /// # Errors
    /// It cannot be read.
    fn quotas(&mut self) -> io::Result<Vec<QuotaReserved>>;

    /// What was last recorded of each worker.
    ///
    /// # Errors
    /// It cannot be read.
    fn workers(&mut self) -> io::Result<Vec<WorkerChanged>>;

    /// What a task did that has not ended.
    ///
    /// # Errors
    /// It cannot be read.
    fn task(&mut self, task: TaskId) -> io::Result<TaskHistory>;
}

/// How a task was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartedBefore {
    /// Of its input.
    pub input: Digest,
    /// The run's time.
    pub now_ms: u64,
}

/// What a task that has not ended was answered, and what became of its actions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskHistory {
    /// In their order.
    pub deliveries: Vec<Delivered>,
    /// The actions that were settled, delivered or not.
    pub settled: FxHashMap<RequestNumber, SettledBefore>,
    /// The attempts that failed, of all its actions, in their order.
    pub failed: Vec<AttemptRecord>,
}

/// An action that was settled.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledBefore {
    pub kind: String,
    /// Of the payload.
    pub digest: Digest,
    /// The first bytes of the payload.
    pub beginning: Bytes,
    pub value: Result<Bytes, Refusal>,
}
