//! Simulated workers and their attempts.

use std::{collections::VecDeque, time::Duration};

use super::scenario::Nature;
use crate::{AttemptId, BucketId, End, Moment, Report, WorkerId};

/// An attempt whose end is to come.
pub(super) struct PendingEnd {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerId,
    pub(super) end: End,
    pub(super) begun: Moment,
    pub(super) stage: Stage,
    /// Whether it has one of the worker's slots, or lies ready behind them.
    pub(super) has_slot: bool,
}

/// How far an attempt is.
pub(super) enum Stage {
    /// Its service gets to see it next, and if it is counted the attempt goes on for so long.
    Asks(Duration),
    /// Nothing comes but its end. What the service said when it counted it; none if it did not.
    Ends(Option<Vec<(BucketId, Report)>>),
}

/// A worker.
pub(super) struct SimWorker {
    pub(super) nature: Nature,
    /// How many attempts it makes now.
    pub(super) busy: u32,
    /// Attempts that lie ready.
    pub(super) ready: VecDeque<AttemptId>,
    /// Time in attempts with a result.
    pub(super) useful: Duration,
    pub(super) was_taken_out: bool,
}

impl SimWorker {
    pub(super) fn new(nature: Nature) -> Self {
        Self {
            nature,
            busy: 0,
            ready: VecDeque::new(),
            useful: Duration::ZERO,
            was_taken_out: false,
        }
    }
}
