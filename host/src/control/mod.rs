//! Control of a run from outside, while it runs and after.
//!
//! A run listens on a socket in a folder that depends on where it was started (`place.rs`). A request is one line of
//! JSON, and so is the answer. A request goes to the driver as a notice and is answered in its turn. When the run ends,
//! its record is written to a file beside the socket, so that an ended run can be explained too. The folder is private
//! to this user.

mod archive;
mod client;
mod folder;
mod id;
mod place;
mod protocol;
mod server;

pub(crate) use archive::{Archive, find_worker, forgotten};
pub(crate) use client::{AskError, ask};
pub(crate) use folder::{Folder, Known, State};
pub(crate) use id::RunId;
pub(crate) use place::of_new_runs as folder_of_new_runs;
pub(crate) use protocol::{
    ActionState, ActionStatus, AttemptStatus, Change, ControlResponse, FailureCause, FailureStatus, Fate, HeldAttempt,
    MESSAGE_MAX, Problem, Query, RunRemark, RunStatus, ServingWorkers, Status, WaitCause, Waiting, WorkerStatus,
};
pub(crate) use server::Server;
