use crate::ids::{ActionId, Wx};

/// Busy answers of one action, from workers whose own buckets had room.
#[derive(Debug, Default)]
pub(crate) struct BusyReplies {
    /// The workers that gave them, each once.
    pub(crate) workers: Vec<Wx>,
    /// How many since a worker was last tried with other work.
    pub(crate) answers: u32,
    /// The limit is the action's.
    pub(crate) own_limit: bool,
    /// Answers in a row since that is known, or since they last counted as a failure.
    pub(crate) consecutive: u32,
    /// It stands behind fresh work for a while.
    pub(crate) deferred: bool,
}

impl BusyReplies {
    /// Whether an action that rests does so for them.
    pub(crate) fn rests(&self) -> bool {
        self.deferred || self.own_limit
    }
}

/// A worker that rested for one action is tried with other work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BusyTrial {
    /// What made it busy.
    pub(crate) action: ActionId,
    /// The number of the last dispatch before: what was in flight then says nothing.
    pub(crate) after: u64,
}
