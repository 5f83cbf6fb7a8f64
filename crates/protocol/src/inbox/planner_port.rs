//! A planner's side of the conversation with the driver.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use disperse_scheduler::TaskId;
use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedSender};

use super::{Guard, Notice, PlannerNotice};
use crate::limits::Charge;

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
