//! A planner's side of the conversation with the driver.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use disperse_scheduler::TaskId;
use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedSender};

use super::{Guard, Notice, PlannerNotice, PlannerStep};
use crate::limits::Charge;

/// A planner's side of the conversation with the driver.
#[derive(Clone, Debug)]
pub struct PlannerPort {
    to_driver: UnboundedSender<Notice>,
    /// The task that is being collected; 0: none is.
    collecting: Arc<AtomicU64>,
    /// Whether it reports each call before it begins.
    reports_calls: bool,
}

impl PlannerPort {
    pub fn new(to_driver: UnboundedSender<Notice>) -> Self {
        Self {
            to_driver,
            collecting: Arc::default(),
            reports_calls: false,
        }
    }

    /// The same for a run that is recorded: each call is reported before it begins.
    #[must_use]
    pub fn reporting_calls(self) -> Self {
        Self {
            reports_calls: true,
            ..self
        }
    }

    /// It begins a call at this moment of the run, in ms.
    pub fn begins(&self, step: PlannerStep, now_ms: u64) {
        let task = match step {
            PlannerStep::Collect(task) => task.0,
            PlannerStep::Next | PlannerStep::Finish => 0,
        };
        self.collecting.store(task, Ordering::Relaxed);
        if self.reports_calls {
            self.say(PlannerNotice::Begun { step, now_ms });
        }
    }

    /// The call of before has ended.
    pub fn ended(&self) {
        self.collecting.store(0, Ordering::Relaxed);
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
