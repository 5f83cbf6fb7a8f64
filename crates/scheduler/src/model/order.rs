//! The order of the line: which action is next.

use crate::ids::{ActionId, Ax, TaskId};

/// When an action has its turn among those of the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Before fresh work: it failed somewhere, and the sooner it is tried again the sooner there is a verdict.
    Soon = 0,
    /// It never failed.
    #[default]
    Fresh = 1,
    /// After fresh work: it failed when the run's budget of retries was spent.
    Late = 2,
}

/// An action's place in line. Less goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    rank: u64,
    task: TaskId,
    action: ActionId,
    /// Where the action is kept. Last, so that it never decides the order.
    pub(crate) ax: Ax,
}

impl Key {
    /// Higher priority first; then by [`Turn`]; then the older task, so that tasks are finished rather than begun; then
    /// the older action.
    pub(crate) fn new(priority: i32, turn: Turn, task: TaskId, action: ActionId, ax: Ax) -> Self {
        let lateness = (i64::from(i32::MAX) - i64::from(priority)) as u64;
        Self {
            rank: lateness << 2 | turn as u64,
            task,
            action,
            ax,
        }
    }

    /// Whether it never failed.
    pub(crate) fn is_fresh(self) -> bool {
        self.rank & 0b11 == Turn::Fresh as u64
    }
}
