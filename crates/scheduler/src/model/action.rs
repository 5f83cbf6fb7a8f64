//! An open action, and the phase that it is in.

use crate::{
    ids::{ActionId, Ax, Gx, Kx, Rx, TaskId, Wx},
    model::{
        order::{Key, Turn},
        retry::{Exclusion, RetryHistory},
    },
    moment::Moment,
};

/// Where an open action is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// On its way from one state to the next. Never seen between two events.
    Between,
    /// In line.
    Waiting {
        /// In which group; none: the open line.
        group: Option<Gx>,
        /// Which workers it avoids, and why.
        bar: Exclusion,
        /// When it avoids fewer.
        patience: Moment,
    },
    /// Every worker was tried; or it has no attempt left, and it awaits the verdict on a worker that failed it.
    Resting { until: Moment },
    /// A worker has an attempt of it, and if that is slow another worker a second one.
    Running { first: Run, second: Option<Run> },
}

/// An attempt that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) number: u32,
    pub(crate) wx: Wx,
}

/// An open action. Kept small: there may be a million.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) id: ActionId,
    pub(crate) task: TaskId,
    pub(crate) deadline: Moment,
    pub(crate) rx: Rx,
    pub(crate) kx: Kx,
    pub(crate) priority: i32,
    /// How many attempts may fail; 0: as many as its kind needs.
    pub(crate) attempts: u32,
    /// Whether a second run of it does no harm.
    pub(crate) idempotent: bool,
    /// The number of its newest attempt; 0: it had none.
    pub(crate) number: u32,
    pub(crate) failed: u32,
    pub(crate) losses: u32,
    /// When it has its turn, the next time that it stands in line.
    pub(crate) turn: Turn,
    pub(crate) phase: Phase,
    /// Where it failed. None: nowhere, as for most.
    pub(crate) history: Option<Box<RetryHistory>>,
}

impl Action {
    pub(crate) fn key(&self, ax: Ax) -> Key {
        Key::new(self.priority, self.turn, self.task, self.id, ax)
    }
}

/// What an attempt that ended was an attempt of.
pub(crate) struct AttemptContext {
    pub(crate) action: ActionId,
    /// Its kind, if the action is open.
    pub(crate) kx: Option<Kx>,
    /// Whether the action still wanted it.
    pub(crate) current: bool,
}

impl Action {
    /// Whether it is only tried on a worker that does nothing else.
    pub(crate) fn is_solo(&self) -> bool {
        self.history.as_deref().is_some_and(|history| history.solo)
    }
}
