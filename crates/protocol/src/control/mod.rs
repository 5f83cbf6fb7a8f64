//! The control protocol: requests to a run, its answers, and the record of a run that has ended.

mod archive;
mod id;
mod protocol;

pub use self::{
    archive::{Archive, find_worker, forgotten},
    id::RunId,
    protocol::{
        ActionState, ActionStatus, Answer, AttemptStatus, Change, ControlResponse, FailureCause, FailureStatus, Fate,
        HeldAttempt, MESSAGE_MAX, Problem, Query, Reply, Request, RunRemark, RunStatus, ServingWorkers, Status,
        VERSION, Version, WaitCause, Waiting, WorkerStatus,
    },
};
