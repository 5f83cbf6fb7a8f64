//! What a run remembers of itself, and what waits until it does.
//!
//! A turn of the driver ends with its records appended. What leaves the run (an [effect](super::effects::Effect) on the outside)
//! waits until the records of its turn are durable; what stays inside leaves at once, because it follows again from the records.

use bytes::Bytes;
use disperse_scheduler::{Outcome, TaskId};
use futures::future::BoxFuture;

use disperse_protocol::inbox::{ActionName, RequestNumber};

/// A turn of the driver: 1, 2, 3 and so on within the run.
pub type TurnNumber = u64;

/// One thing that happened in a turn, from which the run can be replayed: the answers, and not the questions, which follow from
/// them.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A task was handed out, with this input.
    TaskStarted { task: TaskId, input: Bytes },
    /// These answers were delivered to a task, together.
    Delivered {
        task: TaskId,
        /// Which delivery of the task, from 1.
        number: u32,
        /// The run's time.
        now_ms: u64,
        /// What was answered, rising.
        requests: Vec<RequestNumber>,
    },
    /// An action was settled. Its result, or why it has none.
    Settled {
        action: ActionName,
        kind: std::sync::Arc<str>,
        outcome: Outcome,
        result: Result<Bytes, String>,
    },
    /// A task ended, with its result or the error.
    TaskEnded {
        task: TaskId,
        outcome: Result<Bytes, String>,
    },
    /// So many bytes were written to the run's output.
    Output { task: Option<TaskId>, bytes: u64 },
}

/// Keeps the records of a run. Only the driver calls it, and it must not wait but in [`Journal::advanced`].
pub trait Journal: Send {
    /// Whether it wants records. If not, none are made.
    fn is_on(&self) -> bool;

    /// Takes the records of a turn, in order. Called once for each turn that has any, with rising numbers.
    fn append(&mut self, turn: TurnNumber, records: Vec<Record>);

    /// The last turn that is durable with all before it. Never falls.
    fn durable(&self) -> TurnNumber;

    /// Waits until more turns may be durable.
    ///
    /// Cancel safe.
    fn advanced(&mut self) -> BoxFuture<'_, ()>;
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
