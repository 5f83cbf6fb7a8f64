//! Where actions come from: a planner that hands out tasks, and tasks that ask for actions.
//!
//! The driver sees both through [`Operation`] and does not know whether they are a component or, for `map`, the lines of
//! the input.

mod component;
mod lines;

use bytes::Bytes;
use disperse_scheduler::TaskId;

use crate::inbox::{Answers, PlannerCall};

pub(crate) use component::{ComponentOperation, OperationSettings};
pub(crate) use lines::{Lines, LinesOptions};

/// What the driver can ask for. Everything is answered by a notice.
pub(crate) trait Operation: Send {
    /// Calls the planner; calls are carried out one at a time. `now_ms` is the run's time.
    fn call(&mut self, call: PlannerCall, now_ms: u64);

    /// Starts a task and says where its answers go. Once it has ended, answers are dropped there.
    fn start(&mut self, task: TaskId, input: Bytes, now_ms: u64) -> Answers;
}
