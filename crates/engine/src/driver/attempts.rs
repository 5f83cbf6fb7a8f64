//! The attempts that run, for a sink to which each is reported.

use std::sync::Arc;

use disperse_scheduler::{AttemptId, Moment, TaskId, WorkerId};
use rustc_hash::FxHashMap;

use super::actions::Parked;

/// An attempt that a worker was given.
pub(super) struct Given {
    pub(super) worker: WorkerId,
    pub(super) task: TaskId,
    pub(super) kind: Arc<str>,
    /// The length of the payload, in bytes.
    pub(super) sent: usize,
    pub(super) at: Moment,
}

/// The attempts that have not ended; none if they are not reported.
#[derive(Default)]
pub(super) struct OpenAttempts(FxHashMap<AttemptId, Given>);

impl OpenAttempts {
    /// Takes note of an attempt that a worker is given.
    pub(super) fn given(&mut self, attempt: AttemptId, worker: WorkerId, parked: &Parked) {
        let given = Given {
            worker,
            task: parked.task,
            kind: parked.name.clone(),
            sent: parked.payload.len(),
            at: parked.given,
        };
        self.0.insert(attempt, given);
    }

    /// Takes an attempt.
    pub(super) fn take(&mut self, attempt: AttemptId) -> Option<Given> {
        self.0.remove(&attempt)
    }

    /// Takes the attempts of a worker, in their order.
    pub(super) fn take_of(&mut self, worker: WorkerId) -> Vec<(AttemptId, Given)> {
        let of_worker = self.0.extract_if(|_, given| given.worker == worker);
        let mut attempts: Vec<_> = of_worker.collect();
        attempts.sort_unstable_by_key(|(attempt, _)| *attempt);
        attempts
    }
}
