//! What the driver has to say, before it is text, JSON or a value.

use std::{sync::Arc, time::Duration};

use disperse_scheduler::{ActionId, AttemptId, Class, Counts, Reason, TaskId};

use super::{KindSummary, QuotaSummary, TaskCounts, Undone, WorkerSummary};
use crate::inbox::{Held, Used};

/// A failed attempt.
pub(crate) struct AttemptFailed {
    pub(crate) attempt: AttemptId,
    pub(crate) worker: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) class: Class,
    /// Whether it is the first one that this worker itself is to blame for.
    pub(crate) is_first_fault: bool,
    pub(crate) message: String,
    pub(crate) stderr: String,
    /// Both, as people read them.
    pub(crate) told: String,
    pub(crate) used: Used,
}

/// An action that ended without a result.
pub(crate) struct Dead {
    pub(crate) action: ActionId,
    pub(crate) task: TaskId,
    pub(crate) kind: Arc<str>,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) tasks: TaskCounts,
    /// How many tasks there will be in all, where that is known.
    pub(crate) total: Option<u64>,
    pub(crate) actions: Counts,
    /// How many times an action was or will be tried again.
    pub(crate) retries: u64,
    /// How many workers wait for their quota, and how long all that is open will take, as far as that is known.
    pub(crate) quota: Option<(usize, Option<Duration>)>,
    /// What of the results waits for an earlier one.
    pub(crate) held: Option<Held>,
    pub(crate) elapsed: Duration,
}

/// How a run went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) interrupted: bool,
    /// What is left of the tasks.
    pub(crate) undone: Undone,
    /// What the machine had none left of, if that ended the run.
    pub(crate) shortage: Option<String>,
    pub(crate) wall: Duration,
    pub(crate) tasks: TaskCounts,
    /// Why the operation itself failed, if it did.
    pub(crate) failure: Option<String>,
    /// Bytes.
    pub(crate) peak_host_memory: u64,
    pub(crate) kinds: Vec<KindSummary>,
    pub(crate) workers: Vec<WorkerSummary>,
    /// Actions that no worker was left for.
    pub(crate) unroutable: u64,
    /// Pools in which everything failed in the end.
    pub(crate) systemic: Vec<String>,
    pub(crate) quotas: Vec<QuotaSummary>,
}
