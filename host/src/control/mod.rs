//! Talking to a run from outside, while it goes on and after.
//!
//! A run listens on a socket in a folder that depends on where it was started (`place.rs`); one line of JSON asks, one line answers. A
//! request goes to the driver as a notice and is answered in its turn. When the run ends, all that could be asked of it is written
//! to a file beside, so that a run that has ended can be explained too. All of it is for this user alone.

mod client;
mod folder;
mod id;
mod kept;
mod place;
mod protocol;
mod server;

pub(crate) use client::{AskError, ask};
pub(crate) use folder::{Folder, Known, State};
pub(crate) use id::RunId;
pub(crate) use kept::{Archive, find_worker, forgotten};
pub(crate) use place::of_new_runs as folder_of_new_runs;
pub(crate) use protocol::{
    ActionState, ActionStatus, AttemptStatus, Change, ControlResponse, FailureCause, FailureStatus, Fate, HeldAttempt,
    MESSAGE_MAX, Problem, Query, RunRemark, RunStatus, ServingWorkers, Status, WaitCause, Waiting, WorkerStatus,
};
pub(crate) use server::Server;
