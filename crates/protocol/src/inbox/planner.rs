//! What the driver and a planner say to each other.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use disperse_scheduler::TaskId;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedSender};

use super::{Guard, Notice};
use crate::limits::Charge;

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
    },
    /// Write the results that wait for an earlier one: the run is being stopped, and that one may never come.
    Release,
    /// Nothing will follow.
    Finish,
}

/// What a planner did.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum PlannerNotice {
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
    Output {
        /// The task whose end it was taking.
        task: Option<TaskId>,
        bytes: Bytes,
    },
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

/// Bytes of the run's output on their way out, and the room that they take in the host.
#[derive(Debug)]
pub struct OutputPiece {
    pub bytes: Bytes,
    /// Whose end the planner was taking when it wrote them.
    pub task: Option<TaskId>,
    /// Given back once the bytes are written.
    #[allow(dead_code, reason = "held for what its drop does")]
    pub room: Guard,
}

/// A planner's side of the conversation with the driver.
#[derive(Clone, Debug)]
pub struct PlannerPort {
    to_driver: UnboundedSender<Notice>,
    /// The task that is being collected; 0: none is.
    collecting: Arc<AtomicU64>,
}

impl PlannerPort {
    pub fn new(to_driver: UnboundedSender<Notice>) -> Self {
        Self {
            to_driver,
            collecting: Arc::default(),
        }
    }

    /// From now on it takes the end of this task, or of none.
    pub fn collects(&self, task: Option<TaskId>) {
        self.collecting.store(task.map_or(0, |task| task.0), Ordering::Relaxed);
    }

    /// Writes to the run's output.
    pub fn output(&self, bytes: Bytes, room: Option<OwnedSemaphorePermit>) {
        let task = Some(self.collecting.load(Ordering::Relaxed)).filter(|task| *task > 0);
        self.output_of(task.map(TaskId), bytes, room);
    }

    /// Writes to the run's output something of this task.
    pub fn output_of(&self, task: Option<TaskId>, bytes: Bytes, room: Option<OwnedSemaphorePermit>) {
        self.send(
            PlannerNotice::Output { task, bytes },
            room.map_or(Guard::None, Guard::Permit),
        );
    }

    /// Hands out a task, which takes so much in the host.
    pub fn hand_out(&self, input: Bytes, charge: Option<Charge>) {
        self.send(PlannerNotice::Handed(input), charge.map_or(Guard::None, Guard::Charge));
    }

    /// Reports something that takes nothing in the host.
    pub fn say(&self, notice: PlannerNotice) {
        self.send(notice, Guard::None);
    }

    /// A driver that is gone hears nothing, and the planner is dropped with the run.
    fn send(&self, notice: PlannerNotice, guard: Guard) {
        let _ = self.to_driver.send(Notice::Planner(notice, guard));
    }
}
