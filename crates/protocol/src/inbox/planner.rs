//! What the driver and a planner say to each other.

use std::time::Duration;

use super::guard::Guard;
use bytes::Bytes;
use disperse_scheduler::{ActionId, TaskId, WorkerId};
use serde::{Deserialize, Serialize};

/// What a planner is asked to do. One at a time, in order.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum PlannerCall {
    /// Hand out up to this many tasks.
    Next(u32),
    /// Take the end of a task.
    Collect {
        task: TaskId,
        /// The bytes that `next` handed out.
        input: Bytes,
        outcome: Result<Bytes, String>,
        performed: Option<Performed>,
    },
    /// Write the results that wait for an earlier one: the run is being stopped, and that one may never come.
    Release,
    /// Nothing will follow.
    Finish,
}

/// A call of a planner's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlannerStep {
    /// It is asked for a task.
    Next,
    /// It takes the end of a task.
    Collect(TaskId),
    /// It is told that nothing will follow.
    Finish,
}

/// What a planner did.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum PlannerNotice {
    /// It begins a call: what it does from now on follows from that. Only told if the run is recorded.
    Begun {
        step: PlannerStep,
        /// The run's time that it sees.
        now_ms: u64,
    },
    /// It handed out a task.
    Handed(Bytes),
    /// It has handed out as many as it was asked for, or said that there is nothing now.
    Paused {
        /// Whether it said that there is nothing now.
        none: bool,
    },
    /// It knows how many tasks there will be in all, those that it handed out among them. Not every planner ever does.
    Total(u64),
    /// It took the end of a task, or wrote what waited.
    Collected,
    /// It was told that nothing will follow, and what it said.
    Finished(Result<(), String>),
    /// It wrote to the run's output.
    Output { origin: Option<Origin>, bytes: Bytes },
    /// The next bytes of the lines of the input that failed, each with its end.
    FailedLines(Bytes),
    /// It cannot go on. The run is over.
    Failed(String),
}

/// Results of lines that wait for an earlier one before they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How many.
    pub results: u64,
    /// The line that they wait for, or the first line of the batch.
    pub line: u64,
}

impl Held {
    /// The same if they are more than the tasks in flight, which overtake each other all the time.
    pub fn beside(self, in_flight: u64) -> Option<Self> {
        (self.results > in_flight).then_some(self)
    }
}

/// What a piece of output was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The task whose end the planner was taking.
    pub task: TaskId,
    pub performed: Option<Performed>,
}

/// How the action of a task was performed: known if the task had a single one, with a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performed {
    pub action: ActionId,
    /// The worker whose result it is.
    pub worker: WorkerId,
    /// The number of the attempt with the result, from 1.
    pub attempts: u32,
    /// From when it was first given to a worker until it was settled.
    pub wall: Duration,
}

/// Bytes of the run's output on their way out, and the room that they take in the host.
#[derive(Debug)]
pub struct OutputPiece {
    pub bytes: Bytes,
    pub origin: Option<Origin>,
    /// Given back once the bytes are written.
    #[allow(dead_code, reason = "held for what its drop does")]
    pub room: Guard,
}
