//! The source of actions: a planner that hands out tasks, and tasks that send actions.
//!
//! The driver uses both through [`Operation`] and does not know whether they are a component, for `map` the lines of
//! the input, or functions of a program that embeds this host.

mod ends;
mod in_order;
mod line_text;
mod lines;
mod native;

use std::sync::Arc;

use bytes::Bytes;
use disperse_scheduler::TaskId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use disperse_protocol::{
    inbox::{Deliveries, Held, PlannerCall, TaskRoom},
    limits::{OUTPUT_ROOM, PIECE},
};

pub use in_order::IN_MEMORY_MAX;
pub use lines::{COUNTING, Files, LineWriting, Lines, LinesOptions};
pub use native::{Native, NativePort, NativeTask, NativeTasks};

/// The calls of the driver. Each is answered by a notice.
pub trait Operation: Send {
    /// Calls the planner; calls are carried out one at a time. `room`: what a task that is collected takes in the host, to be dropped
    /// once it is. `now_ms` is the run's time.
    fn call(&mut self, call: PlannerCall, room: TaskRoom, now_ms: u64);

    /// Starts a task and returns the channel of its answers. Once the task has ended, answers are dropped there.
    fn start(&mut self, task: TaskId, input: Bytes, now_ms: u64) -> Deliveries;

    /// Stops handing out tasks, as the run is stopping. Returns whether [`PlannerNotice::Total`] may follow soon,
    /// because the rest of the input is counted.
    ///
    /// [`PlannerNotice::Total`]: disperse_protocol::inbox::PlannerNotice::Total
    fn stop(&mut self) -> bool {
        false
    }

    /// The number of tasks in the input that was read so far.
    fn tasks_read(&self) -> u64 {
        0
    }

    /// The results that wait for that of an earlier task before they are written. None: there are none.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Checks regularly that no part has panicked.
    ///
    /// # Panics
    /// A part of it has panicked.
    fn look(&mut self);
}

/// A permit for a piece of output.
pub async fn output_room(room: &Arc<Semaphore>, size: usize) -> Option<OwnedSemaphorePermit> {
    take(room, size.saturating_add(PIECE), OUTPUT_ROOM).await
}

/// A permit for so many bytes, or for `all` if that is less.
async fn take(room: &Arc<Semaphore>, size: usize, all: usize) -> Option<OwnedSemaphorePermit> {
    let size = u32::try_from(size.min(all)).unwrap_or(u32::MAX);
    room.clone().acquire_many_owned(size).await.ok()
}
