//! The progress of a run.

use super::Health;
use crate::{
    control::{ControlResponse, Status},
    words,
};

/// The state of a run at a moment. See [`Run::progress`](crate::Run::progress).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Tasks that ended with a result.
    pub tasks_done: u64,
    /// Tasks that ended with an error.
    pub tasks_failed: u64,
    /// Tasks that were started and not yet completed.
    pub tasks_in_flight: u64,
    /// The number of all tasks, if it is known.
    pub tasks_total: Option<u64>,
    /// The estimated time to the end, if it can be estimated: from the pace so far, and at least the wait that quotas
    /// impose.
    pub left: Option<std::time::Duration>,
    /// Actions with a result.
    pub actions_done: u64,
    /// Actions that ended without one.
    pub actions_refused: u64,
    /// Actions that a worker performs.
    pub actions_running: u64,
    /// Actions that wait for a worker.
    pub actions_waiting: u64,
    /// Retries of actions, made or due.
    pub retries: u64,
    /// The number of workers in each health state; only states that occur.
    pub workers: Vec<(Health, u64)>,
    /// The problems of the run as a whole, for people: a line each.
    pub remarks: Vec<String>,
}

impl Progress {
    /// None: the response is to another query.
    pub(super) fn of(response: ControlResponse) -> Option<Self> {
        let Status::Run(run) = response.status else {
            return None;
        };
        Some(Self {
            tasks_done: run.tasks.done,
            tasks_failed: run.tasks.failed,
            tasks_in_flight: run.tasks.in_flight,
            tasks_total: run.tasks_total,
            left: run.left_ms.map(std::time::Duration::from_millis),
            actions_done: run.actions_done,
            actions_refused: run.actions_failed,
            actions_running: run.actions_running,
            actions_waiting: run.waiting.all,
            retries: run.retries,
            workers: run
                .workers
                .iter()
                .map(|(health, count)| (Health::of(*health), *count))
                .collect(),
            remarks: run.remarks.iter().map(words::remark).collect(),
        })
    }
}
