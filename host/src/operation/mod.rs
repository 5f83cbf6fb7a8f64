//! Where actions come from: a planner that hands out tasks, and tasks that ask for actions.
//!
//! The driver sees both through [`Operation`] and does not know whether they are a component, for `map` the lines of the
//! input, or functions of a program that has this host built in.

mod component;
mod in_order;
mod lines;
mod native;

use std::sync::Arc;

use bytes::Bytes;
use disperse_scheduler::TaskId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    inbox::{Deliveries, Held, PlannerCall, TaskRoom},
    limits::{OUTPUT_ROOM, PIECE},
};

pub(crate) use component::{ComponentOperation, OperationSettings};
pub(crate) use in_order::IN_MEMORY_MAX;
pub(crate) use lines::{COUNTING, Files, Lines, LinesOptions};
pub(crate) use native::{Native, NativePort, NativeTask, NativeTasks};

/// What the driver can ask for. Everything is answered by a notice.
pub(crate) trait Operation: Send {
    /// Calls the planner; calls are carried out one at a time. `room`: what a task that is collected takes in the host, to be dropped
    /// once it is. `now_ms` is the run's time.
    fn call(&mut self, call: PlannerCall, room: TaskRoom, now_ms: u64);

    /// Starts a task and returns the way of its answers. Once it has ended, answers are dropped there.
    fn start(&mut self, task: TaskId, input: Bytes, now_ms: u64) -> Deliveries;

    /// Takes note that the run is being stopped and hands out nothing more. Whether [`PlannerNotice::Total`] may follow soon, as
    /// the rest of the input is counted.
    ///
    /// [`PlannerNotice::Total`]: crate::inbox::PlannerNotice::Total
    fn stop(&mut self) -> bool {
        false
    }

    /// How many tasks the input has at least, as far as it was read.
    fn tasks_read(&self) -> u64 {
        0
    }

    /// The results that wait for that of an earlier task before they are written. None: there are none.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Looks now and then whether everything is well.
    ///
    /// # Panics
    /// Something of it has panicked.
    fn look(&mut self);
}

/// Room for a piece of output.
async fn output_room(room: &Arc<Semaphore>, size: usize) -> Option<OwnedSemaphorePermit> {
    take(room, size.saturating_add(PIECE), OUTPUT_ROOM).await
}

/// Room for so many bytes, or for all that there is.
async fn take(room: &Arc<Semaphore>, size: usize, all: usize) -> Option<OwnedSemaphorePermit> {
    let size = u32::try_from(size.min(all)).unwrap_or(u32::MAX);
    room.clone().acquire_many_owned(size).await.ok()
}
