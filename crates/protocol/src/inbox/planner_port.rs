//! A planner's side of the conversation with the driver.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc::UnboundedSender};

use super::{Guard, Notice, Origin, Performed, PlannerNotice, PlannerStep};
use crate::limits::Charge;

/// A planner's side of the conversation with the driver.
#[derive(Clone, Debug)]
pub struct PlannerPort {
    to_driver: UnboundedSender<Notice>,
    /// The task that is being collected.
    collecting: Arc<Mutex<Option<Origin>>>,
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

    /// It begins a call at this moment of the run, in ms. `performed`: of the task that it collects.
    pub fn begins(&self, step: PlannerStep, performed: Option<Performed>, now_ms: u64) {
        self.collects(match step {
            PlannerStep::Collect(task) => Some(Origin { task, performed }),
            PlannerStep::Next | PlannerStep::Finish => None,
        });
        if self.reports_calls {
            self.say(PlannerNotice::Begun { step, now_ms });
        }
    }

    /// The call of before has ended.
    pub fn ended(&self) {
        self.collects(None);
    }

    fn collects(&self, origin: Option<Origin>) {
        *self.collecting.lock().unwrap_or_else(PoisonError::into_inner) = origin;
    }

    /// Writes to the run's output.
    pub fn output(&self, bytes: Bytes, room: Option<OwnedSemaphorePermit>) {
        let origin = *self.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        self.output_of(origin, bytes, room);
    }

    /// Writes to the run's output something of this origin.
    pub fn output_of(&self, origin: Option<Origin>, bytes: Bytes, room: Option<OwnedSemaphorePermit>) {
        self.send(
            PlannerNotice::Output { origin, bytes },
            room.map_or(Guard::None, Guard::Permit),
        );
    }

    /// Passes on bytes of the lines that failed.
    pub fn failed_lines(&self, bytes: Bytes, room: Option<OwnedSemaphorePermit>) {
        self.send(
            PlannerNotice::FailedLines(bytes),
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
